"""What a result depends on, as one short text: code, parameters, numbers.

Code counts as the files it may call: our strategies, judges and nouns, the folder of a plug-in.
A notebook's function has no file; it counts as its bytecode, and so in turn does everything global
that it names: functions, classes, modules of one's own, tables. What is installed counts by name
and version. What cannot be told from another of its kind is refused: it would be kept as the same.
"""

from __future__ import annotations

import copyreg
import functools
import hashlib
import inspect
import json
import sys
import sysconfig
import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pandas as pd

from workbench.domain import UsageError

PACKAGE = Path(__file__).resolve().parents[1]
_INSTALLED = tuple(
    Path(sysconfig.get_path(name)).resolve()
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


def digest(*parts: object) -> str:
    """16 bytes of blake2b over the parts, in hex: equal for equal contents, in every process.

    Raises UsageError for a part that cannot be told from another of its kind.
    """
    told = hashlib.blake2b(digest_size=16)
    for part in parts:
        try:
            told.update(json.dumps(_plain(part, {})).encode() + b"\0")
        except RecursionError:
            raise _refused(part) from None
    return told.hexdigest()


def code_of(function: Callable[..., Any]) -> str:
    """The fingerprint of a function and of all it may call.

    A file edited within a process that has loaded it is not seen until the next one. Raises
    UsageError if it names something that cannot be told from another of its kind.
    """
    root = _root(function)
    name = f"{getattr(root, '__module__', '')}.{getattr(root, '__qualname__', '')}"
    file = getattr(inspect.getmodule(root), "__file__", None)
    if file is None or getattr(root, "__module__", "") == "__main__":
        return digest(name, _ours(), function)
    folder = _folder(Path(file).resolve())
    theirs = "" if folder == PACKAGE else _files(folder)
    return digest(name, _ours(), theirs, function)


@functools.cache
def _ours() -> str:
    """What a vote or a verdict may call of this package: an edited chart makes no new strategy."""
    parts = (
        "strategies", "judges", "arrays.py", "calibration.py", "domain.py", "limits.py", "panel.py",
    )  # fmt: skip
    return digest([_files(PACKAGE / part) for part in parts])


@functools.cache
def version() -> str:
    """Of what decides the bytes of a result: this package's files, the compiler and the numbers."""
    libraries = [library.__version__ for library in (numba, np, pd)]
    return digest(_files(PACKAGE), libraries, sys.version)


def _root(function: Any) -> Any:
    """The function or class that was written down, of whatever it was wrapped in."""
    if isinstance(function, functools.partial):
        return _root(function.func)
    inner = inspect.unwrap(function)
    if inspect.ismethod(inner):
        return inner.__func__
    return inner if isinstance(inner, types.FunctionType | type) else type(inner)


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


# --- a value as JSON has it ----------------------------------------------------------------------

Seen = dict[int, Any]
"""What is being told, by identity: it keeps them alive, so no number is given twice."""


def _plain(value: Any, seen: Seen) -> Any:
    """The value in JSON's own types: equal where the contents are, whatever their addresses."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if id(value) in seen:
        return {"again": [*seen].index(id(value))}
    seen[id(value)] = value
    known = seen if isinstance(value, types.FunctionType | type) else {**seen}
    kind = type(value)
    return {f"{kind.__module__}.{kind.__qualname__}": _told(value, known)}


def _told(value: Any, seen: Seen) -> Any:
    if isinstance(value, np.ndarray):
        return _array(value, seen)
    if isinstance(value, pd.DataFrame | pd.Series | pd.Index):
        return _table(value, seen)
    if isinstance(value, Mapping):
        return _sorted([_plain(k, seen), _plain(v, seen)] for k, v in value.items())
    if isinstance(value, list | tuple):
        return [_plain(each, seen) for each in value]
    if isinstance(value, set | frozenset):
        return _sorted(_plain(each, seen) for each in value)
    if isinstance(value, bytes | bytearray | np.generic | Enum | Path | range | type(...)):
        return repr(value)
    if isinstance(value, types.ModuleType):
        return _module(value)
    if isinstance(value, functools.partial):
        return [_plain(part, seen) for part in (value.func, value.args, value.keywords)]
    if isinstance(value, property):
        return [_plain(part, seen) for part in (value.fget, value.fset, value.fdel)]
    if inspect.ismethod(value):
        return [_plain(value.__func__, seen), _plain(value.__self__, seen)]
    return _code_or_state(value, seen)


def _code_or_state(value: Any, seen: Seen) -> Any:
    wrapped = getattr(value, "py_func", None) or getattr(value, "__wrapped__", None)
    if wrapped is not None and not isinstance(value, type):  # compiled, cached or decorated
        return [_plain(wrapped, seen), _function(value, seen) if inspect.isfunction(value) else ""]
    if isinstance(value, staticmethod | classmethod):
        return _plain(value.__func__, seen)
    if isinstance(value, types.FunctionType | type) and _by_name(value):
        return _version(value)
    if isinstance(value, types.FunctionType):
        return _function(value, seen)
    if isinstance(value, type):
        return _class(value, seen)
    if inspect.isroutine(value):
        return _version(value)
    if is_dataclass(value):
        own = [(f.name, _plain(getattr(value, f.name), seen)) for f in fields(value)]
        return [_plain(type(value), seen), own]
    return _state(value, seen)


def _array(value: np.ndarray, seen: Seen) -> Any:
    if value.dtype == object:  # its bytes are addresses
        return [list(value.shape), [_plain(each, seen) for each in value.ravel().tolist()]]
    bare = np.ascontiguousarray(value)
    return [
        str(value.dtype), list(value.shape), hashlib.blake2b(bare, digest_size=16).hexdigest()
    ]  # fmt: skip


def _table(value: Any, seen: Seen) -> Any:
    if isinstance(value, pd.Index):
        return [_plain(list(value.names), seen), _plain(_numbers(value), seen)]
    if isinstance(value, pd.Series):
        return [_plain(part, seen) for part in (value.name, value.index, _numbers(value))]
    columns = [_numbers(value.iloc[:, k]) for k in range(value.shape[1])]
    return [_plain(part, seen) for part in (value.index, value.columns, columns)]


def _numbers(values: Any) -> np.ndarray:
    """The cells; of times with a zone the instants, for as objects they take a hundred times as
    long."""
    zoned = isinstance(values.dtype, pd.DatetimeTZDtype)
    return pd.DatetimeIndex(values).as_unit("ns").asi8 if zoned else values.to_numpy()


def _function(function: types.FunctionType, seen: Seen) -> Any:
    """Its bytecode, constants and names, and the globals and cells that it reads."""
    nested = _nested(function.__code__)
    names = sorted({name for code in nested for name in code.co_names})
    known = {n: function.__globals__[n] for n in names if n in function.__globals__}
    body = [
        [c.co_code.hex(), list(c.co_names), list(c.co_freevars), _plain(_constants(c), seen)]
        for c in nested
    ]
    cells = [_cell(cell, seen) for cell in function.__closure__ or ()]
    defaults = _plain([function.__defaults__, function.__kwdefaults__], seen)
    return [body, [[n, _plain(v, seen)] for n, v in known.items()], cells, defaults]


def _nested(code: types.CodeType) -> list[types.CodeType]:
    inner = [c for k in code.co_consts if inspect.iscode(k) for c in _nested(k)]
    return [code, *inner]


def _constants(code: types.CodeType) -> list[Any]:
    return [k for k in code.co_consts if not inspect.iscode(k)]


def _cell(cell: types.CellType, seen: Seen) -> Any:
    try:
        return _plain(cell.cell_contents, seen)
    except ValueError:  # empty: nothing was put in yet
        return "empty"


def _class(kind: type, seen: Seen) -> Any:
    """Its bases, and what it says of itself; a class made by `dataclass` repeats that elsewhere."""
    own = {
        name: value
        for name, value in vars(kind).items()
        if callable(value) or isinstance(value, property | staticmethod | classmethod)
        or not name.startswith("_")
    }  # fmt: skip
    bases = [_plain(base, seen) for base in kind.__bases__]
    return [kind.__qualname__, bases, [[n, _plain(v, seen)] for n, v in sorted(own.items())]]


def _module(module: types.ModuleType) -> Any:
    file = getattr(module, "__file__", None)
    if file is None or _installed(module.__name__):
        return _version_of(module.__name__)
    return [module.__name__, _files(_folder(Path(file).resolve()))]


def _by_name(value: Any) -> bool:
    """Does its name say it all? For what is installed, and for ours, whose files are counted."""
    return _installed(value.__module__ or "")


def _installed(module: str) -> bool:
    file = getattr(sys.modules.get(module), "__file__", None)
    if module == "__main__" or module not in sys.modules:
        return False
    if file is None:  # built in, or a namespace
        return module.partition(".")[0] in sys.stdlib_module_names
    return any(Path(file).resolve().is_relative_to(place) for place in (PACKAGE, *_INSTALLED))


def _version(value: Any) -> Any:
    module = getattr(value, "__module__", None) or ""
    return [getattr(value, "__qualname__", str(type(value))), *_version_of(module)]


def _version_of(module: str) -> list[str]:
    top = sys.modules.get(module.partition(".")[0])
    return [module, str(getattr(top, "__version__", ""))]


def _state(value: Any, seen: Seen) -> Any:
    """What would be written to bring the object back."""
    try:
        known = copyreg.dispatch_table.get(type(value))
        told = known(value) if known else value.__reduce_ex__(4)
    except Exception as fault:
        raise _refused(value) from fault
    if isinstance(told, str):
        return told
    make, given, *state = told
    rest = [list(part) if hasattr(part, "__next__") else part for part in state]
    return [_plain(part, seen) for part in (make, given, rest)]


def _sorted(items: Any) -> list[Any]:
    return sorted(items, key=json.dumps)


def _refused(value: Any) -> UsageError:
    return UsageError(
        f"a {type(value).__name__} cannot be told from another one, so a result that depends on it"
        " cannot be kept; give plain values, tables or functions"
    )
