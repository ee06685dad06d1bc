"""Canonical JSON: what goes into the journal comes back, to the last bit."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import arrays as a
from workbench.domain import (
    Book,
    Cycle,
    DataError,
    Decision,
    Fill,
    Order,
    Reason,
    Ruling,
    Signal,
    UsageError,
    Verdict,
)  # fmt: skip
from workbench.journal import Journal, book_from, cycle_row, to_json

AT = datetime(2023, 6, 5, 12, tzinfo=UTC)

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
bodies = st.recursive(
    leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and not math.isfinite(one):
        return float(other) == one
    if isinstance(one, float):
        return isinstance(other, float) and struct.pack("d", one) == struct.pack("d", other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@settings(deadline=None)
@given(bodies)
def test_json_comes_back_to_the_same_bits(value: Any) -> None:
    text = to_json(value)
    assert text.isascii()
    back = json.loads(text, parse_constant=pytest.fail)
    assert same(value, back)
    assert to_json(back) == text


@settings(deadline=None)
@given(st.dictionaries(st.text(), leaves), st.randoms())
def test_json_does_not_depend_on_the_order_of_keys(value: dict[str, Any], random: Any) -> None:
    keys = list(value)
    random.shuffle(keys)
    assert to_json({key: value[key] for key in keys}) == to_json(value)


class Colour(Enum):
    RED = 1


@dataclass(frozen=True)
class Noun:
    when: datetime
    codes: tuple[Reason, ...]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([math.nan, math.inf, -math.inf, -0.0, 0.1], '["NaN","Infinity","-Infinity",-0.0,0.1]'),
        (Noun(AT, (Reason.STALE,)), '{"codes":["STALE"],"when":"2023-06-05T12:00:00+00:00"}'),
        (Order("BTC", "buy", None, "entry"),
         '{"kind":"entry","quantity":null,"side":"buy","symbol":"BTC"}'),
        ([Decision.SKIP, Colour.RED, Reason.HALTED], '["SKIP","RED","HALTED"]'),
        (pd.Timestamp("2024-01-01T01:00:00.000000001+01:00"),
         '"2024-01-01T00:00:00.000000001+00:00"'),
        ([np.float64(0.1), np.float32(0.5), np.int64(3), np.bool_(True), np.str_("x")],
         '[0.1,0.5,3,true,"x"]'),
        (np.array([[1.0, np.nan], [2.0, 3.0]]), '[[1.0,"NaN"],[2.0,3.0]]'),
        (np.array(["a", 1], dtype=object), '["a",1]'),
        (MappingProxyType({"b": Decimal("0.10"), "a": True}), '{"a":true,"b":"0.10"}'),
    ],
)  # fmt: skip
def test_every_noun_has_one_form_in_json(value: object, text: str) -> None:
    assert to_json(value) == text


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"a": [0, {1, 2}]}, "a[1] is a set"),
        ({"raw": b"x"}, "raw is a bytes"),
        ({"t": datetime(2024, 1, 1)}, "t is datetime"),
        ({"t": pd.NaT}, "t is NaT"),
        ({1: 2}, "the key 1"),
        ({"RED": 1, Colour.RED: 2}, "distinct"),
        ({"f": pd.DataFrame()}, "f is a DataFrame"),
        ({"t": np.datetime64("2024-01-01")}, "t is a datetime64"),
        ({"c": Noun}, "c is a type"),
    ],
)
def test_what_has_no_one_form_is_refused_by_name(value: object, named: str) -> None:
    with pytest.raises(UsageError) as caught:
        to_json(value)
    assert named in str(caught.value)


def test_a_body_that_contains_itself_is_refused() -> None:
    body: dict[str, Any] = {}
    body["self"] = body
    with pytest.raises(UsageError, match="contains itself"):
        to_json(body)


# --- one bar -----------------------------------------------------------------------------------


def a_cycle(random: np.random.Generator) -> Cycle:
    """A bar's record with awkward cells: any finite bits, NaN, infinities, -0.0."""
    as_of = pd.Timestamp("2024-03-01 05:00", tz="UTC")
    symbols = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
    bits = random.integers(0, 2**63, (len(symbols), a.BOOK_COLUMNS)).view(np.float64)
    positions = np.where(np.isnan(bits), np.nan, bits)
    account = random.standard_normal(a.ACCOUNT_CELLS) * 1e5 / 3
    account[:4] = [math.nan, math.inf, -math.inf, -0.0]
    fills = (Fill(as_of, symbols[0], "buy", 0.1 + 0.2, 1 / 3, 1e-17, "entry"),)
    signals = (Signal("ema_adx", "trend", symbols[0], np.int64(1), np.float64(71.5)),)  # type: ignore[arg-type]
    verdicts = (Verdict(Decision.REDUCE, 55.0, "thin", "rubric", "ab" * 32, ("n1", "n2")),)
    orders = (Order(symbols[1], "sell", None, "exit"),)
    reasons = {symbols[0]: Reason.ACCEPTED, symbols[1]: Reason.ALREADY_OPEN}
    book = Book(symbols, positions, account)
    return Cycle(as_of, fills, signals, verdicts, Ruling(book, orders, reasons), "SYNTHETIC")


@pytest.mark.parametrize("seed", range(5))
def test_a_book_comes_back_from_the_journal_to_the_same_bits(tmp_path: Path, seed: int) -> None:
    cycle = a_cycle(np.random.default_rng(seed))
    with Journal.open(tmp_path / "journal.db") as journal:
        journal.append("cycle", cycle_row(cycle), cycle.as_of)
        (entry,) = journal.rows("cycle")
    book = book_from(entry.body)
    assert entry.body == cycle_row(cycle)
    assert book.symbols == cycle.ruling.book.symbols
    assert book.positions.tobytes() == cycle.ruling.book.positions.tobytes()
    assert book.account.tobytes() == cycle.ruling.book.account.tobytes()
    assert book.positions.shape == cycle.ruling.book.positions.shape


def test_a_bars_record_reads_without_this_package() -> None:
    body = cycle_row(a_cycle(np.random.default_rng(1)))
    assert body["as_of"] == "2024-03-01T05:00:00+00:00"
    assert body["reasons"] == {"BTC/USDT": "ACCEPTED", "ETH/USDT": "ALREADY_OPEN"}
    assert body["verdicts"][0]["decision"] == "REDUCE"
    assert body["fills"][0]["quantity"] == 0.1 + 0.2
    assert body["orders"] == [
        {"symbol": "ETH/USDT", "side": "sell", "quantity": None, "kind": "exit"}
    ]


def test_a_book_without_symbols_comes_back() -> None:
    book = Book.start((), 100.0, pd.Timestamp("2024-01-01", tz="UTC"))
    cycle = Cycle(pd.Timestamp("2024-01-01", tz="UTC"), (), (), (), Ruling(book, (), {}))
    assert book_from(cycle_row(cycle)).positions.shape == (0, a.BOOK_COLUMNS)


@pytest.mark.parametrize(
    "book", [None, {}, {"symbols": ["A"], "positions": [[1.0]], "account": [1.0]}]
)
def test_a_record_without_a_readable_book_is_named(book: object) -> None:
    with pytest.raises(DataError, match="record of 2024-01-01T00 holds no book"):
        book_from({"as_of": "2024-01-01T00", "book": book})
