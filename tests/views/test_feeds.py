"""Coverage, market and freshness show what was known by then, and run no text."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import polars as pl
import pytest

from workbench.data.lake import Lake
from workbench.data.sample import SYMBOLS
from workbench.data.snapshot import World, load_world
from workbench.domain import UsageError
from workbench.views import feeds

EVIL = "<script>alert('x')</script> & <b>bold</b>"
HOURS = {"start": "2022-11-01", "end": "2022-12-31"}


@pytest.fixture(scope="module")
def world(sample_lake: Lake) -> World:
    return load_world(sample_lake, "sample", SYMBOLS, **HOURS)


@pytest.fixture(scope="module")
def recorded(recorded_lake: Lake) -> World:
    return load_world(recorded_lake, "binance_spot", ["BTC/USDT"], start="2023-01-01",
                      end="2023-12-31")  # fmt: skip


def titles(figure: go.Figure) -> list[str]:
    return [note.text for note in figure.layout.annotations if note.text != "SYNTHETIC"]


def faces(figure: go.Figure) -> int:
    return sum(note.text == "SYNTHETIC" for note in figure.layout.annotations)


# --- coverage ------------------------------------------------------------------------------------


def row(figure: go.Figure, name: str) -> dict[str, tuple[float, str]]:
    [heat] = figure.data
    at = list(heat.y).index(name)
    months = [f"{month:%Y-%m}" for month in pd.DatetimeIndex(heat.x)]
    return dict(zip(months, zip(heat.z[at], heat.text[at], strict=True), strict=True))


def test_a_cell_is_the_share_that_is_there_and_says_what_is_not(recorded_lake: Lake) -> None:
    figure = feeds.coverage(recorded_lake)
    candles = row(figure, "ohlcv binance_spot AVAX/USDT 1h")
    # listed on 2020-09-22 at 06:00: 210 of 720 hours
    assert candles["2020-09"][0] == pytest.approx(210 / 720)
    assert candles["2020-09"][1] == "210 rows, 720 expected<br>510 hours missing"
    assert candles["2020-08"][0] == feeds.NONE
    assert candles["2024-02"] == (1.0, "696 rows, 696 expected<br>0 hours missing")
    news = row(figure, "news cryptotrade_news_2023 ALL event")
    assert news["2023-05"][0] == feeds.EVENTS
    assert re.fullmatch(r"[\d,]+ rows", news["2023-05"][1])
    assert news["2024-05"] == (feeds.NONE, "0 rows")


def test_the_rows_are_grouped_by_kind_and_the_height_grows_with_them(recorded_lake: Lake) -> None:
    figure = feeds.coverage(recorded_lake)
    names, labels = figure.layout.yaxis.tickvals, figure.layout.yaxis.ticktext
    heads = [name for name in names if " " not in name]
    there = {name.kind for name in recorded_lake.series()}
    assert heads == [kind for kind in feeds.KINDS if kind in there]
    assert heads[:4] == ["ohlcv", "funding", "onchain", "news"]
    kinds = [name.split()[0] for name in names]
    assert kinds == sorted(kinds, key=heads.index)
    assert "<b>on-chain</b>" in labels
    fewer = feeds.coverage(recorded_lake, ["funding", "news"])
    assert 0 < fewer.layout.height < figure.layout.height
    assert max(len(re.sub("<[^>]*>", "", label)) for label in labels) <= feeds.LABEL


def test_every_share_has_the_colour_that_the_key_says(sample_lake: Lake) -> None:
    """Steps, so that 99 % and all are told apart."""
    figure = feeds.coverage(sample_lake, ["news"])
    [heat] = figure.data

    def color(share: float) -> str:
        place = (share - heat.zmin) / (heat.zmax - heat.zmin)
        return next(c for p, c in reversed(heat.colorscale) if p <= place)

    told = {feeds.NONE: "nothing", 0.1: "less than half", 0.7: "half and more",
            0.99: "95 % and more", 1.0: "all"}  # fmt: skip
    for share, name in told.items():
        assert color(share) == feeds.BANDS[name][1]
        assert f'color:{color(share)}">■</span> {name}' in figure.layout.title.subtitle.text
    assert heat.colorscale[-1] == (1.0, feeds.BANDS["no fixed number"][1])


def test_made_up_rows_say_so_beside_recorded_ones_and_alone(
    sample_lake: Lake, tmp_path: Path
) -> None:
    alone = feeds.coverage(sample_lake, ["news"])
    assert "·  SYNTHETIC" in alone.layout.title.text
    assert faces(alone) == 1
    lake, rows = Lake(tmp_path), sample_lake.read("news", "sample", "ALL", "event")
    for venue in ("sample", "wire"):
        lake.upsert("news", venue, "ALL", "event", rows)
    both = feeds.coverage(lake)
    assert "partly SYNTHETIC" in both.layout.title.text
    assert both.layout.yaxis.ticktext == ("<b>news</b>", "SYNTHETIC", "wire")
    assert faces(both) == 0
    lake.remove("news", "sample", "ALL", "event")
    assert "SYNTHETIC" not in feeds.coverage(lake).to_json()


def test_a_short_span_is_drawn_by_the_day(sample_lake: Lake, tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    rows = sample_lake.read("ohlcv", "sample", "BTC/USDT", "1h").head(24 * 10)
    lake.upsert("ohlcv", "venue", "BTC/USDT", "1h", rows.filter(pl.col("close") > 0))
    figure = feeds.coverage(lake)
    [heat] = figure.data
    assert "by day" in figure.layout.title.text
    assert list(heat.z[1]) == [1.0] * 10


# --- market --------------------------------------------------------------------------------------


def lines(figure: go.Figure, axis: str) -> list[Any]:
    return [trace for trace in figure.data if trace.yaxis == axis]


def test_each_row_is_what_was_known_at_each_close(world: World) -> None:
    """The lines, read as steps, are the panel's own context at every bar."""
    figure = feeds.market(world, "ETH/USDT")
    assert titles(figure) == [
        "net flow to exchanges, USD a day", "funding rate, 8 hours",
        "Fed, expected move of the rate, bps", "open odds",
    ]  # fmt: skip
    closes, context = world.panel.close_times, world.panel.context
    told = {"y2": context["netflow"]["ETH/USDT"], "y3": context["funding"]["ETH/USDT"],
            "y4": context["fed_expected_bps"]}  # fmt: skip
    for axis, values in told.items():
        [line] = lines(figure, axis)
        assert line.line.shape == "hv"
        drawn = pd.Series(line.y, pd.to_datetime(line.x, utc=True))
        at = drawn.index.searchsorted(closes, side="right") - 1
        shown = np.where(at >= 0, drawn.to_numpy()[np.maximum(at, 0)], np.nan)
        np.testing.assert_array_equal(shown, values.to_numpy())


def test_the_odds_are_those_of_a_snapshot(world: World) -> None:
    figure = feeds.market(world, "BTC/USDT")
    snapshot = world.snapshot(len(world.panel) - 1, bars=1)
    last = {}
    for line in lines(figure, "y5"):
        name = re.search(r"<extra>(.*)</extra>", line.hovertemplate)[1]
        if pd.to_datetime(line.x[-1], utc=True) == snapshot.as_of:
            last[name] = line.y[-1]
    assert {n: p for n, p in last.items() if not np.isnan(p)} == dict(snapshot.odds)
    assert len(snapshot.odds) >= 4


def test_a_headline_stands_where_it_was_known_on_the_last_close_by_then(world: World) -> None:
    figure = feeds.market(world, "SOL/USDT")
    [marks] = [trace for trace in figure.data if trace.name == "headlines"]
    own = world.headlines[world.headlines["symbol"].isin(["SOL/USDT", ""])]
    closes = world.panel.close_times
    own = own[own["available_at"].between(closes[0], closes[-1])]
    assert len(marks.x) == len(own) > 20
    for x, y, text, item in zip(marks.x, marks.y, marks.hovertext, own.itertuples(), strict=True):
        assert pd.to_datetime(x, utc=True) == item.available_at
        last = closes[closes <= item.available_at][-1]
        assert y == world.panel.close["SOL/USDT"].loc[last - world.panel.timeframe]
        assert text.replace("<br>", " ").startswith(item.title)
        assert "sample wire, known 2022-1" in text.replace("<br>", " ")


def test_words_from_outside_are_text_in_the_picture(world: World) -> None:
    bad = replace(
        world, headlines=world.headlines.assign(title=EVIL, source=EVIL),
        odds=world.odds.assign(outcome=EVIL, venue=EVIL),
    )  # fmt: skip
    page = feeds.market(bad, "BTC/USDT").to_json()
    assert json.loads(page)["data"]
    for tag in ("<script", "<b>", "\\u003cscript", "\\u003cb\\u003e"):
        assert tag not in page
    [marks] = [t for t in feeds.market(bad, "BTC/USDT").data if t.name == "headlines"]
    assert marks.hovertext[0].startswith("&lt;script&gt;alert('x')&lt;/script&gt; &amp;")


def test_few_bars_are_candles_and_many_a_line(world: World) -> None:
    few = feeds.market(world, "BTC/USDT", "2022-12-01", "2022-12-07")
    assert few.data[0].type == "candlestick"
    assert len(few.data[0].x) == 7 * 24
    many = feeds.market(world, "BTC/USDT", start="2022-12")
    assert many.data[0].type == "scatter"
    assert len(many.data[0].x) == 31 * 24


def test_years_of_bars_make_a_small_page_and_say_what_was_left_out(recorded_lake: Lake) -> None:
    whole = load_world(recorded_lake, "binance_spot", ["BTC/USDT"])
    figure = feeds.market(whole, "BTC/USDT")
    assert len(figure.to_json()) < 2_000_000
    [marks] = [trace for trace in figure.data if str(trace.name).startswith("headlines")]
    assert len(marks.x) <= feeds.MOST_HEADLINES
    every, all_of = re.fullmatch(r"headlines, 1 in (\d+) of ([\d,]+)", marks.name).groups()
    assert len(marks.x) == -(-int(all_of.replace(",", "")) // int(every))


def test_what_has_no_data_has_no_row(recorded: World, world: World) -> None:
    assert "open odds" in titles(feeds.market(recorded, "BTC/USDT"))
    before = feeds.market(recorded, "BTC/USDT", end="2023-01-02")
    assert "net flow to exchanges, USD a day" in titles(before)
    panel = replace(world.panel, context={})
    bare = replace(world, panel=panel, odds=world.odds.iloc[:0], headlines=world.headlines.iloc[:0])
    figure = feeds.market(bare, "BTC/USDT")
    assert titles(figure) == []
    assert len(figure.data) == 1
    assert figure.layout.height < before.layout.height


def test_what_is_there_of_whales_stablecoins_and_other_venues_has_its_row(world: World) -> None:
    context, index = dict(world.panel.context), world.panel.index
    context["whale_flow"] = context["netflow"] * 2
    context["stablecoins"] = pd.Series(1.3e11, index)
    context["fed_expected_bps_kalshi"] = context["fed_expected_bps"] + 1
    figure = feeds.market(replace(world, panel=replace(world.panel, context=context)), "BTC/USDT")
    assert len(titles(figure)) == 6
    assert [line.name for line in lines(figure, "y6")] == [
        "fed_expected_bps", "fed_expected_bps_kalshi",
    ]  # fmt: skip
    assert {line.showlegend for line in lines(figure, "y6")} == {True}


def test_the_title_names_the_source_and_says_if_it_is_made_up(
    recorded: World, world: World
) -> None:
    made = feeds.market(world, "BTC/USDT")
    assert made.layout.title.text == "BTC/USDT, sample world, seed 7  ·  SYNTHETIC"
    assert faces(made) == 1
    true = feeds.market(recorded, "BTC/USDT")
    assert true.layout.title.text == "BTC/USDT, binance_spot 1h, recorded"
    assert "SYNTHETIC" not in true.to_json()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("XYZ/USDT",), "the world has no XYZ/USDT; it has ADA/USDT"),
        (("BTC/USDT", "2031-01-01"), "no bar of BTC/USDT from 2031-01-01 to its end; it goes from"),
        (("BTC/USDT", "someday"), "from someday to None is no range of times"),
        (("BTC/USDT", pd.Timestamp("2022-12-01")), "is no range of times"),
    ],
)
def test_impossible_wishes_are_answered_in_a_sentence(
    world: World, asked: tuple[Any, ...], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        feeds.market(world, *asked)


# --- freshness -----------------------------------------------------------------------------------


def test_freshness_says_in_words_and_colour_what_is_silent(recorded: World) -> None:
    """In the order of `holdings.freshness`, with the close in the caption."""
    page = feeds.freshness(recorded).to_html()
    assert "Feeds at the close of 2024-01-01 00:00 UTC" in page
    cells = [re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<td.*?</td>", page)]
    by_feed = {cells[i]: cells[i + 1 : i + 4] for i in range(0, len(cells), 4)}
    assert by_feed["headlines"][1:] == ["72", "fresh"]
    assert by_feed["candles"] == ["0.0", "6", "fresh"]
    first = feeds.freshness(recorded, 0).to_html()
    assert "Feeds at the close of 2023-01-01 01:00 UTC" in first
    assert feeds.STATES["fresh"] in first
    assert "SYNTHETIC" not in page + first


def test_a_feed_never_heard_says_so(world: World, sample_lake: Lake) -> None:
    start = load_world(sample_lake, "sample", ["BTC/USDT"], start="2022-01-01", end="2022-01-02")
    page = feeds.freshness(start, 0).to_html()
    assert "never heard" in page
    assert feeds.STATES["never"] in page
    assert "(SYNTHETIC sample world, seed 7)" in page
    assert feeds.STATES["never"] not in feeds.freshness(world).to_html()


def test_the_same_data_is_the_same_page(world: World, sample_lake: Lake) -> None:
    def page() -> list[str]:
        return [
            feeds.coverage(sample_lake, ["macro"]).to_json(),
            feeds.market(world, "BTC/USDT").to_json(),
            feeds.freshness(world).to_html(),
        ]

    assert page() == page()
