"""The nouns at their doors: what is refused says which field, frame or row is at fault."""

from __future__ import annotations

import copy
import math
import pickle
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import arrays as a
from workbench.domain import (
    Book,
    Costs,
    Limits,
    Panel,
    Proposal,
    Reason,
    UsageError,
    WorkbenchError,
    parse_timeframe,
)

always_the_same = settings(max_examples=400, derandomize=True, deadline=None, database=None)
NAN, INF = math.nan, math.inf

# --- limits and costs ----------------------------------------------------------------------------

ABOVE_0_TO_1 = ("max_position", "take_profit_share", "p_full")
INSIDE_0_1 = ("stop", "trail", "daily_drawdown")
FROM_0 = ("max_stopouts_per_day", "cooldown_bars", "max_entries_per_day", "min_notional",
          "approval_above")  # fmt: skip
YES_NO = ("one_per_cluster", "allow_short")

below_0 = st.floats(max_value=0.0, exclude_max=True)
above_1 = st.floats(min_value=1.0, exclude_min=True)
BAD_LIMITS: dict[str, st.SearchStrategy[float]] = {
    **dict.fromkeys(ABOVE_0_TO_1, st.one_of(st.just(0.0), below_0, above_1)),
    **dict.fromkeys(INSIDE_0_1, st.one_of(st.just(0.0), st.just(1.0), below_0, above_1)),
    **dict.fromkeys(FROM_0, below_0),
    **dict.fromkeys(YES_NO, st.floats().filter(lambda x: x not in (0.0, 1.0))),
    **dict.fromkeys(("max_deployed", "max_correlation"), st.one_of(below_0, above_1)),
    "take_profit": st.one_of(st.just(0.0), below_0),
}
GOOD_LIMITS: dict[str, st.SearchStrategy[float]] = {
    **dict.fromkeys(ABOVE_0_TO_1, st.floats(0.0, 1.0, exclude_min=True)),
    **dict.fromkeys(INSIDE_0_1, st.floats(0.0, 1.0, exclude_min=True, exclude_max=True)),
    **dict.fromkeys(FROM_0, st.floats(0.0)),
    **dict.fromkeys(YES_NO, st.sampled_from([0.0, 1.0])),
    **dict.fromkeys(("max_deployed", "max_correlation"), st.floats(0.0, 1.0)),
    "take_profit": st.floats(0.0, exclude_min=True),
}
RATES = ("half_spread", "taker_fee", "maker_fee")
FINITE = ("impact", "step")
BAD_COSTS: dict[str, st.SearchStrategy[float]] = {
    **dict.fromkeys(RATES, st.one_of(below_0, st.floats(0.5, exclude_min=True))),
    **dict.fromkeys(FINITE, st.one_of(below_0, st.just(INF))),
    "max_participation": below_0,
}
GOOD_COSTS: dict[str, st.SearchStrategy[float]] = {
    **dict.fromkeys(RATES, st.floats(0.0, 0.5)),
    **dict.fromkeys(FINITE, st.floats(0.0, allow_infinity=False)),
    "max_participation": st.floats(0.0),
}
RECORDS: list[tuple[str, Any, dict[str, Any], dict[str, Any]]] = [
    ("limits", Limits, BAD_LIMITS, GOOD_LIMITS),
    ("costs", Costs, BAD_COSTS, GOOD_COSTS),
]
sections = pytest.mark.parametrize(
    ("section", "record", "bad", "good"), RECORDS, ids=["limits", "costs"]
)


@sections
def test_every_field_is_under_attack(section: str, record: Any, bad: Any, good: Any) -> None:
    assert set(bad) == set(good) == set(record._fields)


@sections
@always_the_same
@given(data=st.data())
def test_a_bad_value_names_its_field(
    data: st.DataObject, section: str, record: Any, bad: Any, good: Any
) -> None:
    name = data.draw(st.sampled_from(record._fields))
    value = data.draw(st.one_of(bad[name], st.just(NAN)))
    with pytest.raises(UsageError, match=rf"^{section}\.{name} is "):
        record(**{name: value})
    with pytest.raises(UsageError, match=rf"^{section}\.{name} is "):
        record()._replace(**{name: value})
    at = record._fields.index(name)
    with pytest.raises(UsageError, match=rf"^{section}\.{name} is "):
        record(*record()[:at], value)


@sections
@always_the_same
@given(data=st.data())
def test_a_good_value_is_kept_as_a_float(
    data: st.DataObject, section: str, record: Any, bad: Any, good: Any
) -> None:
    given_ = {name: data.draw(good[name]) for name in record._fields}
    made = record(**given_)
    assert made._asdict() == given_
    assert {type(value) for value in made} == {float}
    assert record(*given_.values()) == made
    assert record()._replace(**given_) == made


@sections
@pytest.mark.parametrize("value", ["ten", None, [], {}, 1j, object(), b"x", "", pd.NA])
def test_no_number_names_its_field(
    section: str, record: Any, bad: Any, good: Any, value: object
) -> None:
    for name in set(record._fields) - {"step"}:
        with pytest.raises(UsageError, match=rf"^{section}\.{name} is .*must be a number"):
            record(**{name: value})


def test_a_number_too_large_for_a_float_names_its_field() -> None:
    with pytest.raises(UsageError, match=r"^limits\.min_notional"):
        Limits(min_notional=10**400)


@sections
def test_an_unknown_field_is_named(section: str, record: Any, bad: Any, good: Any) -> None:
    with pytest.raises(UsageError, match=f"{section} has no field max_postion"):
        record(max_postion=0.1)
    with pytest.raises(UsageError, match=f"{section} has no field leverage"):
        record()._replace(leverage=3)
    with pytest.raises(
        UsageError, match=f"{section} has no field number {len(record._fields) + 1}"
    ):
        record(*record(), 1.0)


def test_every_kind_of_number_is_one_signature() -> None:
    """The compiled loop sees floats whatever was given."""
    plain = Limits(
        max_position=1.0, cooldown_bars=3.0, allow_short=1.0, max_deployed=0.5, stop=0.25
    )
    for given_ in (
        Limits(max_position=1, cooldown_bars=3, allow_short=True, max_deployed=0.5, stop=0.25),
        Limits(
            max_position=np.float64(1), cooldown_bars=np.int64(3), allow_short=np.True_,
            max_deployed=np.float32(0.5), stop=Decimal("0.25"),
        ),
    ):  # fmt: skip
        assert given_ == plain
        assert [type(x) for x in given_] == [float] * len(plain)
    costs = [Costs(), Costs(step=None), Costs(step=0), Costs(step=False), Costs(step=0.0)]
    assert len(set(costs)) == 1
    assert all([type(x) for x in c] == [float] * len(c) for c in costs)
    assert Costs()._replace(step=None).step == 0.0


@pytest.mark.parametrize("record", [Limits(stop=0.01, allow_short=True), Costs(step=0.5)])
def test_records_survive_a_copy(record: Any) -> None:
    copies = [pickle.loads(pickle.dumps(record, n)) for n in range(2, 6)]  # noqa: S301
    for twin in (*copies, copy.deepcopy(record), record._replace()):
        assert twin == record
        assert type(twin) is type(record)


def test_replacing_leaves_the_original() -> None:
    limits = Limits()
    assert limits._replace(stop=0.5).stop == 0.5
    assert limits.stop == 0.02


@pytest.mark.parametrize(
    ("market_cap", "half_spread", "participation"),
    [
        (2e12, 0.0002, INF), (10e9 + 1, 0.0002, INF), (10e9, 0.0008, INF), (500e6, 0.0008, INF),
        (500e6 - 1, 0.0025, 0.01), (0.0, 0.0025, 0.01), (-1.0, 0.0025, 0.01), (NAN, 0.0025, 0.01),
        (-INF, 0.0025, 0.01),
    ],
)  # fmt: skip
def test_the_tiers_of_market_cap(
    market_cap: float, half_spread: float, participation: float
) -> None:
    costs = Costs.for_market_cap(market_cap)
    assert (costs.half_spread, costs.max_participation) == (half_spread, participation)
    assert costs.taker_fee == Costs().taker_fee


def test_an_infinite_market_cap_is_unknown() -> None:
    assert Costs.for_market_cap(INF) == Costs.for_market_cap(NAN)


def test_a_tier_is_a_floor() -> None:
    """Dearer and smaller than the tier stays so; cheaper and larger does not."""
    asked = Costs.for_market_cap(1e6, half_spread=0.01, max_participation=0.001, step=2, impact=3)
    assert asked == Costs(half_spread=0.01, max_participation=0.001, step=2.0, impact=3.0)
    assert Costs.for_market_cap(1e6, half_spread=0.0, max_participation=0.5) == Costs(
        half_spread=0.0025, max_participation=0.01
    )
    assert Costs.for_market_cap(1e12, max_participation=0.5).max_participation == 0.5
    with pytest.raises(UsageError, match=r"costs\.half_spread"):
        Costs.for_market_cap(1e6, half_spread=-1.0)


def test_errors_are_of_one_family() -> None:
    assert issubclass(UsageError, WorkbenchError)
    assert issubclass(UsageError, ValueError)
    assert UsageError.exit_code == 2


# --- timeframes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "length"),
    [("1m", "1min"), ("15m", "15min"), ("1h", "1h"), ("4h", "4h"), ("1d", "1D"), ("2w", "14D"),
     ("060m", "1h")],
)  # fmt: skip
def test_a_timeframe_is_read(text: str, length: str) -> None:
    assert parse_timeframe(text) == pd.Timedelta(length)
    assert parse_timeframe(text).unit == "us"


@pytest.mark.parametrize(
    "text",
    ["", "h", "1", "0h", "00d", "-1h", "1.5h", "1 h", " 1h", "1h ", "1h\n", "1H", "1M", "1y", "1hh",
     "1h1h", "hour", "1e3m"],
)  # fmt: skip
def test_no_timeframe_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(UsageError, match="timeframe") as refused:
        parse_timeframe(text)
    assert repr(text) in str(refused.value)


@pytest.mark.parametrize("text", ["1٠h", "99999999999w"])
def test_numbers_that_are_none_of_ours_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_timeframe(text)


# --- the panel's door ----------------------------------------------------------------------------

NAMES = ("open", "high", "low", "close", "volume")


def hours(n: int = 6, start: str = "2024-03-01", freq: str = "1h") -> pd.DatetimeIndex:
    return pd.date_range(start, periods=n, freq=freq, tz="UTC")


def frame(index: Any, symbols: str = "AB") -> pd.DataFrame:
    n = len(index)
    cells = 100.0 + np.arange(n * len(symbols), dtype=float).reshape(n, len(symbols))
    return pd.DataFrame(cells, index, list(symbols))


def built(index: Any = None, timeframe: Any = "1h", **changed: Any) -> Panel:
    """A panel of one frame five times, with some of the five replaced."""
    same = frame(hours() if index is None else index)
    return Panel.from_frames(**{**dict.fromkeys(NAMES, same), **changed}, timeframe=timeframe)


def refused(*words: str, **named: Any) -> str:
    """The message with which a panel is refused; it says all these words."""
    with pytest.raises(UsageError) as caught:
        built(**named)
    for word in words:
        assert word in str(caught.value), str(caught.value)
    return str(caught.value)


def test_rows_without_a_zone_are_refused() -> None:
    refused("close", "zone", index=hours().tz_localize(None))


@pytest.mark.parametrize(
    "index", [range(6), list("abcdef"), [1.5, 2, 3, 4, 5, 6], pd.period_range("2024", periods=6)]
)
def test_rows_that_are_no_times_are_refused(index: Any) -> None:
    refused("close", "open times", index=index)


def test_a_row_twice_is_refused_by_its_name() -> None:
    twice = hours().insert(3, hours()[3])
    refused("close", "2024-03-01 03:00", "twice", index=twice)


def test_rows_out_of_order_are_refused_by_name() -> None:
    swapped = hours()[[0, 1, 3, 2, 4, 5]]
    refused("close", "2024-03-01 02:00", "order", index=swapped)


def test_a_gap_is_refused_by_the_row_before_it() -> None:
    refused("close", "2024-03-01 01:00", "reindex", index=hours().delete(2))
    refused("close", "2024-03-01 00:00", timeframe="2h")
    refused("close", "2024-03-01 00:00", timeframe="30m")


@pytest.mark.parametrize("start", ["2024-03-01 00:30", "2024-03-01 00:00:01"])
def test_rows_off_the_utc_grid_are_refused_by_name(start: str) -> None:
    refused("close", start, "grid", index=hours(start=start))


def test_a_bar_that_does_not_divide_the_day_is_refused() -> None:
    refused("close", "grid", index=hours(freq="7h"), timeframe="7h")
    refused("close", "grid", index=hours(start="2024-03-01 12:00", freq="24h"), timeframe="1d")


def test_a_time_that_is_missing_is_refused() -> None:
    index = pd.DatetimeIndex([*hours()[:5], pd.NaT])
    refused("close", "NaT", index=index)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "close"])
def test_a_frame_of_other_rows_is_refused_by_its_name(name: str) -> None:
    for other in (hours(5), hours(7), hours(start="2024-03-02"), hours().tz_localize(None)):
        refused(f"{name}:", "rows", **{name: frame(other)})


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_of_other_symbols_is_refused_by_its_name(name: str) -> None:
    if name != "close":
        refused(f"{name}:", "C", **{name: frame(hours(), "AC")})
        refused(f"{name}:", "B", **{name: frame(hours(), "A")})
        refused(f"{name}:", "C", **{name: frame(hours(), "ABC")})
        refused(f"{name}:", "symbol A", "twice", **{name: frame(hours(), "AA")})
    refused("symbol A", "twice", **dict.fromkeys(NAMES, frame(hours(), "AA")))


def test_a_panel_of_no_symbols_is_refused() -> None:
    empty = frame(hours(), "")
    refused("symbols", **dict.fromkeys(NAMES, empty))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("cell", ["x", [1.0], object(), {}])
def test_a_cell_that_is_no_number_is_refused_by_its_frame(name: str, cell: object) -> None:
    broken = frame(hours()).astype(object)
    broken.iat[2, 1] = cell
    refused(f"{name}:", "not a number", **{name: broken})


def test_a_cell_that_is_no_number_is_refused_by_its_row() -> None:
    broken = frame(hours()).astype(object)
    broken.iat[2, 1] = "x"
    refused("high", "2024-03-01 02:00", high=broken)


@pytest.mark.filterwarnings("ignore:Casting complex")
@pytest.mark.parametrize("cell", [pd.Timestamp("2024-01-01"), pd.Timedelta("1h"), 1 + 2j])
def test_times_and_complex_numbers_are_no_prices(cell: Any) -> None:
    broken = pd.DataFrame({"A": [cell] * 6, "B": [cell] * 6}, hours())
    refused("low:", low=broken)


def test_symbols_that_have_no_order_are_refused() -> None:
    mixed = frame(hours()).set_axis(["A", 1], axis=1)
    refused("symbols", **dict.fromkeys(NAMES, mixed))


@pytest.mark.parametrize(("cell", "dtype"), [(None, object), (NAN, object), (pd.NA, "Float64")])
def test_a_hole_is_a_hole(cell: Any, dtype: Any) -> None:
    holed = frame(hours()).astype(dtype)
    holed.iat[2, 1] = cell
    panel = built(high=holed)
    assert np.isnan(panel.high.iat[2, 1])
    assert panel.high.dtypes.tolist() == [np.float64] * 2


def test_integers_are_floats() -> None:
    whole = frame(hours()).astype(np.int32)
    assert built(volume=whole).volume.dtypes.tolist() == [np.float64] * 2


def test_symbols_are_put_in_order_everywhere() -> None:
    reverse = frame(hours()).iloc[:, ::-1]
    panel = built(high=reverse, close=reverse)
    assert panel.symbols == ("A", "B")
    assert panel.high.equals(panel.low)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_another_zone_is_the_same_time(zone: str) -> None:
    """Over the night in which the clocks change: 02:00 is there twice, or not at all."""
    for start in ("2024-03-30", "2024-10-26", "2024-03-09", "2024-11-02"):
        utc = hours(72, start)
        local = built(index=utc.tz_convert(zone))
        assert local.index.equals(utc)
        assert str(local.index.tz) == "UTC"


@pytest.mark.parametrize(
    ("zone", "freq", "timeframe"), [("Asia/Kolkata", "1h", "1h"), ("Asia/Tokyo", "1D", "1d")]
)
def test_the_grid_is_that_of_utc(zone: str, freq: str, timeframe: str) -> None:
    """18:30 and 15:00 UTC; a day that begins there is no UTC day."""
    local = pd.date_range("2024-03-01", periods=6, freq=freq, tz=zone)
    refused("grid", index=local, timeframe=timeframe)


def test_utc_midnight_is_on_the_grid_in_any_zone() -> None:
    days = hours(6, freq="24h").tz_convert("Europe/Berlin")
    assert len(built(index=days, timeframe="1d")) == 6


@pytest.mark.parametrize("days", [2, 7])
def test_bars_longer_than_a_day_are_refused(days: int) -> None:
    """The rule book decides on completed UTC days; the replay would read past its arrays."""
    refused("timeframe", index=hours(freq=f"{24 * days}h"), timeframe=f"{days}d")


def test_any_resolution_of_time_is_microseconds() -> None:
    for unit in ("s", "ms", "us", "ns"):
        panel = built(index=hours().as_unit(unit))
        assert panel.index.unit == "us"
        assert panel.index.equals(hours())


def test_a_panel_may_have_no_bars_yet() -> None:
    panel = built(index=hours(0))
    assert len(panel) == 0
    assert repr(panel) == "Panel(no bars of 2 symbols)"
    assert panel.marks.shape == (0, 2)
    assert len(panel.days) == len(panel.bar_numbers) == 0
    assert len(panel.until(hours()[0])) == len(panel.tail(3)) == 0


def test_the_frames_given_are_not_the_panels() -> None:
    mine = frame(hours())
    panel = built(close=mine)
    mine.iat[0, 0] = -1.0
    assert panel.close.iat[0, 0] == 100.0


# --- context -------------------------------------------------------------------------------------


def test_context_lies_on_the_rows() -> None:
    panel = built().with_context(odds=pd.Series(0.5, hours()), flow=frame(hours()))
    assert set(panel.context) == {"odds", "flow"}
    assert "odds, flow" in repr(panel)
    for tail in (panel.tail(2), panel.rows(4, 6), panel.since(hours()[4])):
        assert {len(series) for series in tail.context.values()} == {2}
    more = panel.with_context(odds=pd.Series(0.7, hours()))
    assert (more.context["odds"] == 0.7).all()
    assert (panel.context["odds"] == 0.5).all()
    with pytest.raises(TypeError):
        panel.context["odds"] = None  # type: ignore[index]


@pytest.mark.parametrize("index", [hours(5), hours(7), hours(start="2024-03-02")])
def test_context_off_the_rows_is_refused_by_its_name(index: pd.DatetimeIndex) -> None:
    with pytest.raises(UsageError, match="'odds'"):
        built().with_context(odds=pd.Series(0.5, index))


def test_context_of_symbols_is_of_the_panels_symbols() -> None:
    reverse = frame(hours()).iloc[:, ::-1]
    assert list(built().with_context(flow=reverse).context["flow"].columns) == ["A", "B"]
    for symbols in ("A", "AC", "ABC"):
        with pytest.raises(UsageError, match="'flow'"):
            built().with_context(flow=frame(hours(), symbols))


def test_a_made_up_world_says_so_and_goes_on_saying_so() -> None:
    frames = dict.fromkeys(NAMES, frame(hours()))
    panel = Panel.from_frames(**frames, source="SYNTHETIC seed 1")
    assert panel.synthetic
    assert "SYNTHETIC" in repr(panel.tail(1).with_context())
    assert not built().synthetic


# --- reading a panel -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("as_of", "bars"),
    [
        ("2024-02-29 23:00", 0), ("2024-03-01 00:59:59.999999", 0), ("2024-03-01 01:00", 1),
        ("2024-03-01 01:00:00.000001", 1), ("2024-03-01 05:59", 5), ("2024-03-01 06:00", 6),
        ("2030-01-01", 6),
    ],
)  # fmt: skip
def test_until_has_the_bars_that_were_closed(as_of: str, bars: int) -> None:
    assert len(built().until(pd.Timestamp(as_of, tz="UTC"))) == bars


@pytest.mark.parametrize(
    ("start", "bars"),
    [("2020-01-01", 6), ("2024-03-01 00:00", 6), ("2024-03-01 00:00:01", 5),
     ("2024-03-01 05:00", 1), ("2024-03-01 05:01", 0)],
)  # fmt: skip
def test_since_has_the_bars_that_open_then_or_later(start: str, bars: int) -> None:
    assert len(built().since(pd.Timestamp(start, tz="UTC"))) == bars


@pytest.mark.parametrize(("n", "bars"), [(0, 0), (-3, 0), (1, 1), (6, 6), (99, 6)])
def test_tail_has_the_last_bars(n: int, bars: int) -> None:
    tail = built().tail(n)
    assert len(tail) == bars
    assert bars == 0 or tail.index[-1] == hours()[-1]


def test_rows_are_by_position() -> None:
    part = built().rows(2, 5)
    assert part.index.equals(hours()[2:5])
    assert part.timeframe == pd.Timedelta("1h")
    for name in NAMES:
        assert getattr(part, name).index.equals(part.index)


def test_a_mark_is_the_last_usable_close() -> None:
    close = pd.DataFrame(
        {"A": [NAN, 5.0, NAN, -1.0, 6.0, INF], "B": [0.0, -INF, NAN, INF, -0.0, -2.0]}, hours()
    )
    marks = built(close=close).marks
    np.testing.assert_array_equal(marks[:, 0], [NAN, 5.0, 5.0, 5.0, 6.0, 6.0])
    assert np.isnan(marks[:, 1]).all()
    np.testing.assert_array_equal(built(close=close).tail(3).marks[:, 0], [NAN, 6.0, 6.0])


def test_a_bars_number_means_the_same_in_any_panel() -> None:
    panel = built()
    assert panel.bar_numbers.tolist() == list(range(panel.bar_numbers[0], panel.bar_numbers[0] + 6))
    assert panel.bar_numbers[0] == 24 * (pd.Timestamp("2024-03-01") - pd.Timestamp(0)).days
    assert panel.tail(2).bar_numbers.tolist() == panel.bar_numbers[-2:].tolist()
    quarters = built(index=hours(freq="15min"), timeframe="15m")
    assert quarters.bar_numbers[0] == 4 * panel.bar_numbers[0]


def test_the_bar_that_closes_at_midnight_decides_in_the_new_day() -> None:
    panel = built(index=hours(6, "2024-02-29 21:00"))
    today = (pd.Timestamp("2024-02-29") - pd.Timestamp(0)).days
    assert (panel.days - today).tolist() == [0, 0, 1, 1, 1, 1]
    assert (panel.open_days - today).tolist() == [0, 0, 0, 1, 1, 1]
    daily = built(index=hours(freq="24h"), timeframe="1d")
    assert (daily.days - daily.open_days).tolist() == [1] * 6


def test_days_before_1970_are_days() -> None:
    panel = built(index=hours(6, "1969-12-31 21:00"))
    assert panel.open_days.tolist() == [-1, -1, -1, 0, 0, 0]


# --- the book and the proposal -------------------------------------------------------------------


@pytest.mark.parametrize("capital", [0.0, -0.0, -1.0, NAN, INF, -INF])
def test_a_book_needs_a_capital(capital: float) -> None:
    with pytest.raises(UsageError, match="capital is "):
        Book.start(["A"], capital, hours()[0])


def test_a_book_starts_flat() -> None:
    book = Book.start(["A", "B"], 500, pd.Timestamp("2024-03-01 23:59", tz="UTC"))
    assert (book.cash, book.equity, book.halted) == (500.0, 500.0, False)
    assert book.symbols == ("A", "B")
    assert book.account[a.BASELINE] == 500.0
    assert book.account[a.DAY] == (pd.Timestamp("2024-03-01") - pd.Timestamp(0)).days
    assert book.account.sum() == 1_500.0 + book.account[a.DAY]
    assert not book.positions.any()
    assert book.frame().empty


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_book_starts_on_its_utc_day_in_any_unit_and_zone(unit: str) -> None:
    first = pd.Timestamp("2024-03-01 23:00", tz="UTC").as_unit(unit)
    day = (pd.Timestamp("2024-03-01") - pd.Timestamp(0)).days
    assert Book.start(["A"], 1.0, first).account[a.DAY] == day
    assert Book.start(["A"], 1.0, first.tz_convert("Asia/Tokyo")).account[a.DAY] == day


def test_a_book_shows_what_is_held() -> None:
    book = Book.start(["A", "B"], 500.0, hours()[0])
    book.positions[1, :5] = -1.0, 2.0, 100.0, 99.0, 1.0
    book.account[a.HALTED] = 1.0
    assert book.halted
    assert book.frame().loc["B"].tolist() == [-1.0, 2.0, 100.0, 99.0, 1.0]
    assert list(book.frame().index) == ["B"]


def test_a_proposal_reads_as_numbers() -> None:
    row = Proposal([1, -1], (None, 60), np.array([True, 0.5], object), pd.Series([True, False]))
    claims = row.claims()
    assert claims.shape == (2, a.CLAIM_COLUMNS)
    np.testing.assert_array_equal(claims, [[1.0, NAN, 1.0, 1.0], [-1.0, 60.0, 0.5, 0.0]])
    history = frame(hours())
    assert Proposal(history, history, history, history > 0).claims().shape == (6, 2, 4)


def test_reasons_are_numbered_in_the_order_of_the_rules() -> None:
    assert [reason.name for reason in Reason] == [
        "ACCEPTED", "HALTED", "DAILY_DRAWDOWN", "MAX_STOPOUTS", "MAX_ENTRIES", "STALE", "NO_SHORT",
        "ALREADY_OPEN", "COOLDOWN", "CORRELATED", "NO_EDGE", "MAX_DEPLOYED", "MIN_NOTIONAL",
        "CLAMPED",
    ]  # fmt: skip
    assert [int(reason) for reason in Reason] == list(range(a.N_REASONS))
