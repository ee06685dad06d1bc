"""What a notebook may be asked: the cell tagged `parameters`, read and checked before a run.

papermill takes any name and any value, and reads the cell with one regular expression that loses a
default with a `=` or a `#` in it; so it is read as Python here, and nothing of it is executed.
"""

from __future__ import annotations

import ast
import difflib
import io
import tokenize
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any, Literal, NamedTuple, Optional, Union, get_args, get_origin

import nbformat
from pydantic import ConfigDict, TypeAdapter, ValidationError

from workbench.errors import DataError, UsageError
from workbench.redact import named_like_a_secret, secrets_in, shaped_like_a_secret

NOTEBOOKS = Path("notebooks")
_PLAIN: dict[str, Any] = {"str": str, "int": int, "float": float, "bool": bool, "None": None}
_NESTED: dict[str, Any] = {
    "list": list, "dict": dict, "Literal": Literal, "Optional": Optional, "Union": Union,
}  # fmt: skip
_FINITE = ConfigDict(allow_inf_nan=False)


class Parameter(NamedTuple):
    """One line of the cell: `name: kind = default  # help`, each as it is written there.

    `kind` is deduced from a plain default where the notebook gives none, else "". `default` None:
    it has to be given.
    """

    name: str
    kind: str
    default: str | None
    help: str


def find_notebook(name: str, notebooks: Path = NOTEBOOKS) -> Path:
    """A path, or the bare name of one in `notebooks`. Raises UsageError naming the nearest."""
    for path in (Path(name), notebooks / f"{name}.ipynb"):
        if path.is_file():
            return path
    there = sorted(path.stem for path in notebooks.glob("*.ipynb"))
    if not there:
        raise UsageError(f"there is no notebook {name} here; run this in the project's folder")
    close = difflib.get_close_matches(Path(name).stem, there, 1, 0.0)[0]
    raise UsageError(f"there is no notebook {name}; the nearest in {notebooks}/ is {close}")


def read_notebook(notebook: Path) -> nbformat.NotebookNode:
    """The notebook in format 4 with cell ids. Raises UsageError or DataError naming the file."""
    if not notebook.is_file():
        raise UsageError(f"{notebook} is not there; run this in the project's folder")
    try:
        node = nbformat.reads(notebook.read_text(encoding="utf-8"), as_version=4)
    except (ValueError, AttributeError, nbformat.ValidationError):
        raise DataError(f"{notebook} is not a notebook, or not a whole one") from None
    return nbformat.v4.upgrade(node) or node


def parameters_of(notebook: Path) -> list[Parameter]:
    """What the notebook declares, in its order; empty without a cell tagged `parameters`."""
    cells = [c for c in read_notebook(notebook).cells if "parameters" in c.metadata.get("tags", [])]
    return _declared(notebook, cells[0].source) if cells else []


def checked(
    notebook: Path, given: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The given values as the notebook's types want them; texts are read as a command line's.

    In a text, a list is JSON or separated by commas, and "none" means None where None is allowed.
    Raises UsageError: an unknown name (with the nearest), a value of another type, a parameter
    without default that is not given, or what looks like a secret, which is never repeated.
    """
    declared = {parameter.name: parameter for parameter in parameters_of(notebook)}
    secrets = secrets_in(environment or {})
    for name, value in given.items():
        _refuse_secret(name, value, secrets)
    for name in given:
        if not declared:
            raise UsageError(f"{notebook} takes no parameters, and {name} was given")
        if name not in declared:
            close = difflib.get_close_matches(name, list(declared), 1, 0.0)[0]
            raise UsageError(f"{notebook} has no parameter {name!r}; the nearest is {close}")
    for parameter in declared.values():
        if parameter.default is None and parameter.name not in given:
            raise UsageError(
                f"{notebook}: {parameter.name} has no default; give it with -p {parameter.name}=..."
            )
    return {name: _value(notebook, declared[name], value) for name, value in given.items()}


def _refuse_secret(name: str, value: Any, secrets: tuple[str, ...]) -> None:
    instead = (
        "a run keeps its parameters in clear; put it in an environment variable and let the"
        " notebook read it there"
    )
    if named_like_a_secret(name):
        raise UsageError(f"the parameter {name!r} is named like a secret, and {instead}")
    if shaped_like_a_secret(value) or any(secret in str(value) for secret in secrets):
        raise UsageError(f"the value given for {name!r} looks like a secret, and {instead}")


# --- the cell ----------------------------------------------------------------------------------


def _declared(notebook: Path, source: str) -> list[Parameter]:
    try:
        body, notes = ast.parse(source).body, _comments(source)
    except (SyntaxError, tokenize.TokenError) as broken:
        where = getattr(broken, "lineno", None)
        line = f", line {where}" if where else ""
        raise DataError(f"{notebook}: the parameters cell is not plain Python{line}") from None
    found: list[Parameter] = []
    for node in body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=kind, value=value):
                default = ast.unparse(value) if value else None
                found.append(Parameter(name, ast.unparse(kind), default, _note(notes, node)))
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found.append(
                    Parameter(name, _kind_of(value), ast.unparse(value), _note(notes, node))
                )
    return found


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}


def _note(comments: Mapping[int, str], node: ast.stmt) -> str:
    return comments.get(node.end_lineno or node.lineno, "")


def _kind_of(value: ast.expr) -> str:
    """The type of a plain default, as it would be written; "" for what only Python can tell."""
    try:
        default = ast.literal_eval(value)
    except ValueError:
        return ""
    if default is None:
        return "str | None"
    if isinstance(default, list):
        kinds = {type(item).__name__ for item in default}
        return f"list[{kinds.pop()}]" if len(kinds) == 1 and kinds <= _PLAIN.keys() else "list"
    name = type(default).__name__
    return name if name in (*_PLAIN, "dict") else ""


# --- the values --------------------------------------------------------------------------------


def _value(notebook: Path, parameter: Parameter, given: Any) -> Any:
    if not parameter.kind:
        raise UsageError(
            f"{notebook}: {parameter.name} has no type; write {parameter.name}: TYPE = ..."
        )
    try:
        kind = _type(ast.parse(parameter.kind, mode="eval").body)
    except (KeyError, TypeError, SyntaxError):
        raise UsageError(
            f"{notebook}: {parameter.name} is a {parameter.kind}, which cannot be given; use str,"
            " int, float, bool, list[...], dict[...], Literal[...] or X | None"
        ) from None
    try:
        return _coerced(kind, given)
    except ValidationError:
        raise UsageError(
            f"{notebook}: {parameter.name} must be {parameter.kind}, and {given!r} is not"
        ) from None


def _type(node: ast.expr) -> Any:
    """The annotation as a type; only known names, so nothing of the notebook is executed."""
    match node:
        case ast.Name(id=name):
            return _PLAIN[name] if name in _PLAIN else _NESTED[name]
        case ast.Constant(value=None):
            return None
        case ast.Constant(value=str(text)):
            return _type(ast.parse(text, mode="eval").body)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return Union[_type(left), _type(right)]  # noqa: UP007 - from values, not a spelling
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            options = ast.literal_eval(choices)
            return Literal[options]
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Tuple(elts=parts)):
            return _NESTED[name][tuple(_type(part) for part in parts)]
        case ast.Subscript(value=ast.Name(id=name), slice=part):
            return _NESTED[name][_type(part)]
    raise TypeError(ast.unparse(node))


def _coerced(kind: Any, given: Any) -> Any:
    adapter = TypeAdapter(kind, config=_FINITE)
    if not isinstance(given, str):
        return adapter.validate_python(given, strict=True)
    arms = get_args(kind) if get_origin(kind) is Union else (kind,)
    if NoneType in arms and given.strip().lower() in ("none", "null"):
        return None
    if list in {get_origin(arm) or arm for arm in arms} and not given.lstrip().startswith("["):
        return adapter.validate_python([part.strip() for part in given.split(",") if part.strip()])
    try:
        return adapter.validate_python(given)
    except ValidationError:
        return adapter.validate_json(given, strict=True)
