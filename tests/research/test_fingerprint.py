"""Equal contents have equal fingerprints in every process, other ones others."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.rough import Rough, rough_panel
from workbench.domain import Limits, UsageError
from workbench.judges.rubric import rubric
from workbench.research.fingerprint import code_of, digest
from workbench.strategies.ema_adx import ema_adx
from workbench.strategies.rsi_bounce import rsi_bounce

HEAD = """
import functools
import numba
import numpy as np
import pandas as pd
from dataclasses import dataclass
"""


def cell(code: str, **names: Any) -> Callable[..., Any]:
    """The `rule` that a notebook's cell defines: it has no file."""
    known: dict[str, Any] = {"__name__": "__main__", **names}
    exec(HEAD + code, known)  # noqa: S102
    return known["rule"]


CHANGES = {
    "an attribute": ("def rule(panel): return panel.close", "panel.close", "panel.open"),
    "a method": ("def rule(p): return p.mean().max()", "mean().max", "max().mean"),
    "a constant": ("def rule(p): return p + 1", "1", "2"),
    "a default": ("def rule(p, n=3): return n", "3", "4"),
    "a keyword": ("def rule(p, *, n=3): return n", "3", "4"),
    "an operator": ("def rule(p): return p > 1", ">", ">="),
    "an inner function": ("def rule(p):\n def f(x): return x + 1\n return f(p)", "+", "-"),
    "a set of names": ("def rule(p): return p in {'a', 'b'}", "'b'", "'c'"),
    "a number": ("n = 3\ndef rule(p): return n", "3", "4"),
    "a helper": ("def h(p): return p + 1\ndef rule(p): return h(p)", "+", "-"),
    "a helper's helper": (
        "def g(p): return p + 1\ndef h(p): return g(p)\ndef rule(p): return h(p)", "+", "-"),
    "a cached helper": (
        "@functools.cache\ndef h(p): return p + 1\ndef rule(p): return h(p)", "+", "-"),
    "a compiled helper": (
        "@numba.njit\ndef h(p): return p + 1\ndef rule(p): return h(p)", "+", "-"),
    "a decorated helper": (
        "def twice(f):\n @functools.wraps(f)\n def g(p): return f(f(p))\n return g\n"
        "@twice\ndef h(p): return p\ndef rule(p): return h(p)", "f(f(p))", "f(p)"),
    "a partial helper": (
        "def h(p, n): return p + n\nk = functools.partial(h, n=3)\ndef rule(p): return k(p)",
        "3", "4"),
    "a partial's function": (
        "def h(p, n): return p + n\nk = functools.partial(h, n=3)\ndef rule(p): return k(p)",
        "+", "-"),
    "a class": ("class K:\n def f(self): return 1\ndef rule(p): return K().f()", "1", "2"),
    "a base class": (
        "class B:\n def f(self): return 1\nclass K(B): pass\ndef rule(p): return K().f()",
        "1", "2"),
    "a class's value": ("class K: n = 1\ndef rule(p): return K.n", "1", "2"),
    "a property": (
        "class K:\n @property\n def f(self): return 1\nk = K()\ndef rule(p): return k.f", "1", "2"),
    "a static method": (
        "class K:\n @staticmethod\n def f(): return 1\ndef rule(p): return K.f()", "1", "2"),
    "an object's state": (
        "class K:\n def __init__(self, n): self.n = n\nk = K(1)\ndef rule(p): return k.n",
        "K(1)", "K(2)"),
    "a record": (
        "@dataclass\nclass K:\n n: int\nk = K(1)\ndef rule(p): return k.n", "K(1)", "K(2)"),
    "a bound method": (
        "class K:\n def __init__(self, n): self.n = n\n def f(self, p): return self.n\n"
        "f = K(1).f\ndef rule(p): return f(p)", "K(1)", "K(2)"),
    "a cell of a long array": (
        "t = np.zeros(5000); t[2500] = 1\ndef rule(p): return t", "= 1", "= 2"),
    "a cell of a long table": (
        "t = pd.DataFrame({'a': range(5000)}); t.iloc[2500, 0] = 1\ndef rule(p): return t",
        "= 1", "= 2"),
    "a table's index": (
        "t = pd.Series([1, 2], index=['a', 'b'])\ndef rule(p): return t", "'b'", "'c'"),
    "a table's words": ("t = pd.Series(['x', 'y'])\ndef rule(p): return t", "'y'", "'z'"),
    "an array in a mapping": (
        "t = {'a': np.zeros(5000)}; t['a'][2500] = 1\ndef rule(p): return t", "= 1", "= 2"),
    "a time": ("t = pd.Timestamp('2024-01-01')\ndef rule(p): return t", "-01'", "-02'"),
    "a seeded generator": (
        "g = np.random.default_rng(1)\ndef rule(p): return g", "rng(1)", "rng(2)"),
    "which of two": ("a, b = 1, 2\ndef rule(p): return a", "return a", "return b"),
    "a function of numpy": ("f = np.log\ndef rule(p): return f(p)", "np.log", "np.exp"),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_a_notebooks_function_is_another_once_anything_it_depends_on_is(what: str) -> None:
    code, old, new = CHANGES[what]
    assert old in code
    one, same = code_of(cell(code)), code_of(cell(code))
    assert one == same
    assert code_of(cell(code.replace(old, new))) != one


def test_what_changes_no_result_changes_no_fingerprint() -> None:
    """Lines, comments, and globals that it does not name."""
    bare = cell("def rule(p, n=3): return p + n")
    assert code_of(bare) == code_of(cell("x = 9\n\n\n# a comment\ndef rule(p, n=3): return p + n"))


def test_functions_that_name_each_other_and_values_that_hold_themselves_end() -> None:
    code = "def a(p): return rule(p)\ndef rule(p): return a(p) + 1\n"
    assert code_of(cell(code)) == code_of(cell(code)) != code_of(cell(code.replace("+", "-")))
    code = "t = [1]\nt.append(t)\ndef rule(p): return t\n"
    assert code_of(cell(code)) == code_of(cell(code)) != code_of(cell(code.replace("[1]", "[2]")))


def test_a_cell_that_is_still_empty_is_told() -> None:
    def outer() -> Callable[[], Any]:
        def rule() -> Any:
            return later

        early = code_of(rule)
        later = 3
        assert code_of(rule) != early
        return rule

    assert code_of(outer()) == code_of(outer())


def test_wrapped_rules_are_told_by_what_they_wrap() -> None:
    code = "def f(p, n): return p + n\nrule = functools.partial(f, n={n})"
    one = code_of(cell(code.replace("{n}", "1")))
    assert one == code_of(cell(code.replace("{n}", "1")))
    assert one != code_of(cell(code.replace("{n}", "2")))
    assert one != code_of(cell(code.replace("{n}", "1").replace("+", "-")))
    code = (
        "class K:\n def __init__(self, n): self.n = n\n def __call__(self, p): return p\n"
        "rule = K(1)"
    )
    assert code_of(cell(code)) == code_of(cell(code)) != code_of(cell(code.replace("(1)", "(2)")))
    assert code_of(cell(code)) != code_of(cell(code.replace("return p", "return -p")))


OWN = """
from helpers import best
import tables
def rule(p): return best(p) + tables.extra(p)
"""


@pytest.mark.parametrize("file", ["helpers.py", "tables.py"])
def test_a_module_of_ones_own_counts_with_its_file(tmp_path: Path, file: str) -> None:
    """A notebook names a function of one file beside it and, by its module, one of another."""
    (tmp_path / "helpers.py").write_text("def best(p): return p + 1\n")
    (tmp_path / "tables.py").write_text("def extra(p): return p + 1\n")
    script = f"from workbench.research.fingerprint import code_of\n{OWN}\nprint(code_of(rule))"

    def told() -> str:
        return subprocess.run(
            [sys.executable, "-B", "-c", script], cwd=tmp_path, check=True, text=True,
            capture_output=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])},
        ).stdout  # fmt: skip

    before = told()
    assert told() == before
    other = (tmp_path / file).read_text().replace("+", "-")
    (tmp_path / file).write_text(other)
    assert told() != before


ACROSS = """
import numpy as np, pandas as pd
from workbench.research.fingerprint import code_of, digest
from workbench.strategies.ema_adx import ema_adx
from workbench.desk import Desk
known = {"__name__": "__main__", "np": np, "words": {"a", "bc", "d"}}
known["rng"] = np.random.default_rng(1)
exec("def rule(p): return p in {'x', 'yz', 'w'} or words or rng or np.log(p)", known)
print(code_of(known["rule"]), code_of(ema_adx.function), digest(Desk((ema_adx,)), {1, "a", (2,)}))
"""


def test_every_process_tells_the_same() -> None:
    """Whatever the seed of the hashes, which orders sets, and wherever things lie in memory."""
    told = {
        subprocess.run(
            [sys.executable, "-c", ACROSS], check=True, text=True, capture_output=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(told) == 1


def test_strategies_and_judges_of_ours_have_their_own() -> None:
    names = {code_of(each) for each in (ema_adx.function, rsi_bounce.function, rubric)}
    assert len(names) == 3


def test_a_rule_that_names_a_strategy_depends_on_its_parameters() -> None:
    code = "def rule(panel): return voter(panel)"
    told = {
        code_of(cell(code, voter=voter))
        for voter in (ema_adx, ema_adx.having(fast=5), replace(ema_adx, lookback=30), rsi_bounce)
    }
    assert len(told) == 4
    assert code_of(cell(code, voter=ema_adx.having(fast=5))) in told


def test_a_rule_that_names_a_panel_depends_on_its_prices_and_not_on_what_was_looked_up() -> None:
    code = "def rule(p): return panel.close"
    panel, other = rough_panel(Rough(1)), rough_panel(Rough(2))
    before = code_of(cell(code, panel=panel))
    assert code_of(cell(code, panel=other)) != before
    _ = panel.marks, panel.days
    assert code_of(cell(code, panel=panel)) == before
    panel.close.iloc[3, 1] *= 2.0
    assert code_of(cell(code, panel=panel)) != before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0), (1, True), (0, False), (None, "None"), ("1", 1), (1.0, 1.0 + 2**-52),
        ([1, 2], [2, 1]), ([[1], 2], [[1, 2]]), ({"a": 1}, {"a": 2}), ({"a": 1}, {"b": 1}),
        ({1: "a"}, {"1": "a"}), ({1}, {2}), ({1}, [1]), (b"a", "a"),
        (np.zeros(3), np.zeros(4)), (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.zeros(2), np.zeros(2, np.float32)), (np.array(["a", "b"]), np.array(["a", "c"])),
        (np.array([1, "a"], object), np.array([1, "b"], object)),
        (pd.Series([1], name="a"), pd.Series([1], name="b")),
        (pd.Series([1]), pd.DataFrame([1])),
        (pd.DatetimeIndex(["2024"], tz="UTC"), pd.DatetimeIndex(["2025"], tz="UTC")),
        (Limits(), Limits(stop=0.03)), (float("nan"), "NaN"), (1j, 2j),
        (pd.Timedelta("1h"), pd.Timedelta("2h")), (Path("a"), Path("b")),
    ],
)  # fmt: skip
def test_other_values_are_told_apart(one: object, other: object) -> None:
    assert digest(one) != digest(other)
    assert digest({"a": [one]}) != digest({"a": [other]})
    assert digest(one) == digest(one)


def test_parts_do_not_run_into_each_other_and_mappings_have_no_order() -> None:
    assert digest("a", "b") != digest("ab") != digest("b", "a")
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def test_an_array_counts_by_its_cells_wherever_they_lie() -> None:
    whole = np.arange(12.0).reshape(3, 4)
    assert digest(whole[:, ::2]) == digest(whole[:, ::2].copy()) == digest(whole.copy()[:, ::2])
    assert digest(np.asfortranarray(whole)) == digest(whole)


def test_words_in_a_table_count_by_what_they_say_not_by_where_they_lie() -> None:
    one, other = (pd.DataFrame({"t": ["".join(["ti", "tle"]), None]}) for _ in range(2))
    assert digest(one) == digest(other)


@pytest.mark.parametrize("value", [threading.Lock(), open(os.devnull), (x for x in "a")])  # noqa: PTH123, SIM115
def test_what_cannot_be_told_from_another_of_its_kind_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match="cannot be told from another one"):
        digest({"a": value})
    with pytest.raises(UsageError, match="cannot be told from another one"):
        code_of(cell("def rule(p): return thing", thing=value))
    getattr(value, "close", lambda: None)()


def test_a_value_that_is_too_deep_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(UsageError, match="cannot be told"):
        digest(deep)
