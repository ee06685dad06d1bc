"""What a result depends on, as one short text: code, parameters, numbers.

Code counts as the files it may call: the whole package for what is ours, the folder of a plug-in,
and for a notebook's function, which has no file, its bytecode with everything global it names.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PACKAGE = Path(__file__).resolve().parents[1]


def digest(*parts: object) -> str:
    """16 bytes of blake2b over the parts, in hex. Arrays count by their bytes, mappings by their
    sorted names, everything else as JSON writes it, and what JSON cannot by its repr."""
    told = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, np.ndarray):
            told.update(f"{part.dtype}{part.shape}".encode() + np.ascontiguousarray(part).tobytes())
        else:
            told.update(json.dumps(part, sort_keys=True, default=_plain).encode())
        told.update(b"\0")
    return told.hexdigest()


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else repr(value)


def code_of(function: Callable[..., Any]) -> str:
    """The fingerprint of a function and of all it may call.

    A file edited within a process that has loaded it is not seen until the next one.
    """
    inner = inspect.unwrap(function)
    module = inspect.getmodule(inner)
    file = getattr(module, "__file__", None)
    name = f"{getattr(inner, '__module__', '')}.{getattr(inner, '__qualname__', type(inner))}"
    if file is None or getattr(inner, "__module__", "") == "__main__":
        return digest(name, _files(PACKAGE), _code(inner, set()))
    folder = Path(file).resolve()
    own = PACKAGE if folder.is_relative_to(PACKAGE) else _folder(folder)
    return digest(name, _files(PACKAGE), _files(own), _code(inner, set()))


def _folder(file: Path) -> Path:
    """The package a file belongs to, or the file."""
    top = file
    while (top.parent / "__init__.py").is_file():
        top = top.parent
    return top


@functools.cache
def _files(top: Path) -> str:
    files = sorted(top.rglob("*.py")) if top.is_dir() else [top]
    return digest(*[(str(f.relative_to(top.parent)), f.read_bytes().hex()) for f in files])


def _code(value: Any, seen: set[int]) -> Any:
    """A function as its bytecode, constants and the globals it names, those in turn likewise."""
    if id(value) in seen:
        return "again"
    seen.add(id(value))
    if isinstance(value, types.FunctionType):
        body = value.__code__
        names = [n for code in _nested(body) for n in code.co_names]
        known = {n: value.__globals__[n] for n in sorted(set(names)) if n in value.__globals__}
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return [
            [(c.co_code.hex(), [repr(k) for k in c.co_consts if not inspect.iscode(k)])
             for c in _nested(body)],
            {n: _code(v, seen) for n, v in known.items()},
            [_code(cell, seen) for cell in cells],
            repr(value.__defaults__), repr(value.__kwdefaults__),
        ]  # fmt: skip
    if isinstance(value, types.ModuleType):
        return [value.__name__, getattr(value, "__version__", "")]
    if isinstance(value, type) or inspect.isroutine(value):
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value)}"
    if isinstance(value, np.ndarray):
        return digest(value)
    function = getattr(value, "function", None)  # a strategy names another
    return _code(function, seen) if isinstance(function, types.FunctionType) else repr(value)


def _nested(code: types.CodeType) -> list[types.CodeType]:
    inner = [c for k in code.co_consts if inspect.iscode(k) for c in _nested(k)]
    return [code, *inner]
