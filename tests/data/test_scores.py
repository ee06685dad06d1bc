"""Tapes of headline scores: nothing half read, and nothing known before it was given."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from workbench.data.headlines import headline_id
from workbench.data.lake import Lake, SeriesName
from workbench.data.recorded import ImportReport, import_recorded
from workbench.data.scores import read_tape, venue_of
from workbench.data.snapshot import load_world
from workbench.domain import DataError

START = datetime(2024, 3, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 20, tzinfo=UTC)
HOURS = 72
TAPE = "scores/tape.jsonl"
NEWS = "published_at,available_at,asset,title,source,url"
HEARD = START + timedelta(hours=10)  # when the first headline could be read


def line(link: str = "a", asset: str = "BTC", **changed: Any) -> str:
    told = {"id": headline_id(asset, link), "score": 0.5, "scored_at": "2024-03-01T10:05:00Z",
            "model": "some-model-3", "prompt_id": "mood-2"}  # fmt: skip
    return json.dumps({k: v for k, v in (told | changed).items() if v is not None})


class Recordings:
    """A folder of recordings with candles and three headlines, and a lake beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lake = folder / "recordings", Lake(folder / "lake")
        self.write(
            "ohlcv/binance_spot/1h/BTC_USDT.csv",
            "timestamp,open,high,low,close,volume",
            *(f"{(START + timedelta(hours=h)).isoformat()},10,11,9,10,5" for h in range(HOURS)),
        )
        times = [(START + timedelta(hours=h - 1), START + timedelta(hours=h)) for h in (10, 20, 30)]
        self.write("news/desk.csv", NEWS, *(
            f"{said.isoformat()},{heard.isoformat()},BTC,Something happened,desk,{link}"
            for (said, heard), link in zip(times, "abc", strict=True)
        ))  # fmt: skip

    def write(self, name: str, *lines: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def load(self) -> ImportReport:
        return import_recorded(self.folder, self.lake, NOW)

    def scores(self) -> list[SeriesName]:
        return [name for name in self.lake.series() if name.kind == "scores"]

    def mood(self) -> np.ndarray:
        context = load_world(self.lake, "binance_spot", ["BTC/USDT"]).panel.context
        return context["sentiment_judged"]["BTC/USDT"].to_numpy()


@pytest.fixture
def desk(tmp_path: Path) -> Recordings:
    return Recordings(tmp_path)


def test_a_tape_goes_in_beside_the_news_it_is_about(desk: Recordings) -> None:
    desk.write(TAPE, line("a"), line("a"), line("b", score=-1), line("unheard of"))
    report = desk.load()
    assert not report.refused
    (tape,) = [each for each in report.imported if each.file == TAPE]
    assert tape.series == SeriesName("scores", "some-model-3", "ALL", "event")
    assert (tape.read, tape.rows, tape.written) == (4, 2, 2)
    assert tape.dropped == {"repeats": 1, "unknown headlines": 1}
    rows = desk.lake.read(*tape.series).sort("available_at")
    assert rows["id"].to_list() == [headline_id("BTC", link) for link in "ab"]
    assert rows["asset"].to_list() == ["BTC", "BTC"]
    # the second was scored before it could be read, which is not believed
    known = [datetime(2024, 3, 1, 10, 5, tzinfo=UTC), START + timedelta(hours=20)]
    assert rows["available_at"].to_list() == known
    assert desk.load().written == 0


BAD = {
    "no json": ("{", "line 2: .*JSON"),
    "an empty line": ("", "line 2: .*JSON"),
    "a list": ("[1, 2]", "line 2: "),
    "unknown key": (line("b", price=3), "line 2: price: Extra inputs"),
    "no id": (line("b", id=None), "line 2: id: Field required"),
    "no score": (line("b", score=None), "line 2: score: Field required"),
    "no model": (line("b", model=None), "line 2: model: Field required"),
    "no prompt": (line("b", prompt_id=None), "line 2: prompt_id: Field required"),
    "too good": (line("b", score=1.01), "line 2: score: .*less than or equal to 1"),
    "too bad": (line("b", score=-1.01), "line 2: score: .*greater than or equal to -1"),
    "no number": (line("b", score=math.nan), "line 2: score: .*finite number"),
    "endless": (line("b", score=math.inf), "line 2: score: "),
    "a word for a number": (line("b", score="0.5"), "line 2: score: .*valid number"),
    "true for a number": (line("b", score=True), "line 2: score: .*valid number"),
    "no zone": (line("b", scored_at="2024-03-01T10:05:00"), "line 2: scored_at: .*timezone"),
    "no time": (line("b", scored_at="today"), "line 2: scored_at: "),
    "a path for a model": (line("b", model="../../etc"), "line 2: model: .*pattern"),
    "the sample for a model": (line("b", model="Sample"), "line 2: no model is called sample"),
    "scored twice": (line("a", score=0.4), "line 2: headline .* has score 0.4, and 0.5 further up"),
}


@pytest.mark.parametrize(("bad", "says"), BAD.values(), ids=BAD)
def test_a_bad_line_refuses_its_whole_tape_by_number(desk: Recordings, bad: str, says: str) -> None:
    desk.write(TAPE, line("a"), bad, line("c"))
    (refused,) = desk.load().refused
    assert refused[0] == TAPE
    assert refused[1].startswith(f"{TAPE}: line 2: ")
    assert "\n" not in refused[1]
    with pytest.raises(DataError, match=says):
        read_tape((desk.folder / TAPE).read_bytes())
    assert desk.scores() == []


def test_bytes_that_are_no_text_are_refused(desk: Recordings) -> None:
    (desk.folder / "scores").mkdir()
    (desk.folder / TAPE).write_bytes(line("a").encode() + b"\n\xff\xfe{}\n")
    assert "line 2" in desk.load().refused[0][1]


def test_an_empty_tape_and_one_about_other_news_are_refused(desk: Recordings) -> None:
    desk.write(TAPE, "")
    desk.write("scores/other.jsonl", line("x"), line("y"))
    refused = dict(desk.load().refused)
    assert refused[TAPE] == f"{TAPE}: has no lines"
    assert (
        "none of its 2 headlines is in the lake; import the news first"
        in refused["scores/other.jsonl"]
    )
    assert desk.scores() == []


def test_other_files_beside_the_tapes_are_skipped_with_a_reason(desk: Recordings) -> None:
    desk.write("scores/readme.txt", "hello")
    desk.write("scores/old/tape.jsonl", line("a"))
    assert dict(desk.load().skipped) == dict.fromkeys(
        ["scores/readme.txt", "scores/old/tape.jsonl"],
        "scores/ has no file of this name in its layout",
    )


def test_each_model_and_prompt_has_its_own_score(desk: Recordings) -> None:
    desk.write(TAPE, line("a"), line("a", model="house/model:2", score=0.1),
               line("a", prompt_id="mood-3", score=0.2))  # fmt: skip
    desk.load()
    assert [name.venue for name in desk.scores()] == ["house_model_2", "some-model-3"]
    assert venue_of("house/model:2") == "house_model_2"
    assert desk.lake.read(*desk.scores()[1])["score"].sort().to_list() == [0.2, 0.5]


def test_a_score_fades_from_when_it_is_known(desk: Recordings) -> None:
    desk.write(TAPE, line("a"), line("b", score=-1.0))
    desk.load()
    mood = desk.mood()
    assert np.isnan(mood[:10]).all()  # the close of 10:00 comes before 10:05
    minutes = 55.0  # from 10:05 to the close of bar 10 at 11:00
    assert mood[10] == pytest.approx(0.5 * math.exp(-minutes / 360))
    at_20 = 0.5 * math.exp(-(9 * 60 + 55) / 360) - 1.0  # bar 19 closes when the second is known
    assert mood[19] == pytest.approx(at_20)


def test_what_was_scored_years_later_is_known_years_later(desk: Recordings) -> None:
    """A model that knows how 2024 went has nothing to say in a replay of 2024."""
    desk.write(TAPE, *(line(link, scored_at="2026-11-01T00:00:00Z") for link in "abc"))
    desk.load()
    rows = desk.lake.read(*desk.scores()[0])
    assert set(rows["available_at"]) == {datetime(2026, 11, 1, tzinfo=UTC)}
    assert np.isnan(desk.mood()).all()


def test_a_later_score_of_a_headline_does_not_replace_the_first(desk: Recordings) -> None:
    desk.write(TAPE, line("a"))
    desk.load()
    before = desk.mood()
    desk.write("scores/later.jsonl", line("a", score=-1.0, scored_at="2024-03-02T00:00:00Z"))
    desk.write("scores/other.jsonl", line("a", model="an-other", score=-1.0,
                                          scored_at="2024-03-02T00:00:00Z"))  # fmt: skip
    report = desk.load()
    assert not report.refused
    np.testing.assert_array_equal(desk.mood(), before)


def test_a_poisoned_future_changes_no_mood_before_it(desk: Recordings) -> None:
    desk.write(TAPE, line("a"))
    desk.load()
    before = desk.mood()
    late = [line(k, score=-1.0, scored_at="2024-03-02T06:30:00Z") for k in "bc"]
    desk.write(TAPE, line("a"), *late)
    desk.load()
    after = desk.mood()
    np.testing.assert_array_equal(before[:30], after[:30])
    assert (after[30:] < before[30:]).all()


def test_a_made_up_desk_hears_no_scores_of_real_headlines(desk: Recordings) -> None:
    desk.write(TAPE, line("a"))
    desk.load()
    candles = desk.lake.read("ohlcv", "binance_spot", "BTC/USDT", "1h")
    desk.lake.upsert("ohlcv", "sample", "BTC/USDT", "1h", candles.with_columns(seed=pl.lit(7)))
    assert "sentiment_judged" not in load_world(desk.lake, "sample", []).panel.context
    assert "sentiment_judged" in load_world(desk.lake, "binance_spot", []).panel.context
