"""A dollar index computed from the ECB's reference rates, keyless.

The ICE dollar index has no free source. Its published formula is a product of six rates, all of
which the ECB fixes each working day and publishes at about 16:00 in Frankfurt. The result is a
synthetic index at the hour of the fixing, hours before New York closes: it stands beside the real
one and never under its name.
"""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

import polars as pl
from pydantic import BeforeValidator, Field, FiniteFloat
from typing_extensions import TypedDict

from workbench.data.feeds.answer import Again
from workbench.data.feeds.feed import About, Limit, Line, Page, SeriesName
from workbench.data.feeds.line import LARGEST_BODY
from workbench.data.lags import after
from workbench.data.lake import INSTANT

DXY = SeriesName("macro", "ecb", "DXY_SYNTHETIC", "1b")
CURRENCIES = ("USD", "JPY", "GBP", "CAD", "SEK", "CHF")
KNOWN = after(hours=18)  # 16:00 in Frankfurt is 14:00 or 15:00 UTC; the late side

_Rate = Annotated[
    Annotated[FiniteFloat, Field(gt=0)] | None,
    BeforeValidator(lambda cell: None if cell in ("", "N/A") else cell),
]
# units of each currency for one euro
_Fixing = TypedDict(  # noqa: UP013
    "_Fixing",
    {
        "Date": date,
        "USD": _Rate,
        "JPY": _Rate,
        "GBP": _Rate,
        "CAD": _Rate,
        "SEK": _Rate,
        "CHF": _Rate,
    },
)


def dollar_index(usd: float, jpy: float, gbp: float, cad: float, sek: float, chf: float) -> float:
    """The ICE formula, from units of each currency for one euro.

    50.14348112 EURUSD^-0.576 USDJPY^0.136 GBPUSD^-0.119 USDCAD^0.091 USDSEK^0.042 USDCHF^0.036
    (ice.com, "ICE U.S. Dollar Index contracts").
    """
    return (
        50.14348112 * usd**-0.576 * (jpy / usd) ** 0.136 * (usd / gbp) ** -0.119
        * (cad / usd) ** 0.091 * (sek / usd) ** 0.042 * (chf / usd) ** 0.036
    )  # fmt: skip


@dataclass(frozen=True)
class Dollar:
    """A day on which one of the six rates was not fixed has no row."""

    base_url: str = "https://www.ecb.europa.eu"
    about = About(
        name="dollar", kind="macro", provider="European Central Bank, reference rates",
        limit=Limit(1, 2.0), overlap=timedelta(days=14), turn=timedelta(hours=1),
    )  # fmt: skip

    def series(self) -> Sequence[SeriesName]:
        return [DXY]

    def requests(self, _name: SeriesName, _start: datetime, _end: datetime) -> int:
        return 1

    def fetch(
        self, _name: SeriesName, start: datetime, end: datetime, line: Line
    ) -> Iterator[Page]:
        url = f"{self.base_url}/stats/eurofxref/eurofxref-hist.zip"
        text = line.get(url, parse=lambda answer: _unzipped(answer.body))
        told = line.shaped(list[_Fixing], list(csv.DictReader(io.StringIO(text))), url)
        closes: dict[datetime, float] = {}
        for row in told:
            rates = [rate for each in CURRENCIES if (rate := row[each]) is not None]
            if len(rates) == len(CURRENCIES):
                closes[datetime.combine(row["Date"], time(), UTC)] = dollar_index(*rates)
        rows = pl.DataFrame(
            {"event_time": list(closes), "close": list(closes.values())},
            schema={"event_time": INSTANT, "close": pl.Float64},
        )
        rows = rows.filter(pl.col("event_time").is_between(start, end, "left")).sort("event_time")
        known_at = KNOWN(pl.col("event_time")).cast(INSTANT).alias("available_at")
        yield Page(rows.select("event_time", known_at, "close"), end)


def _unzipped(body: bytes) -> str:
    """The one table in the archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            (inside,) = archive.infolist()
            if inside.file_size > LARGEST_BODY:
                raise Again(f"answered an archive of {inside.file_size >> 20} MB")
            return archive.read(inside).decode("utf-8-sig")
    except (zipfile.BadZipFile, zlib.error, ValueError):
        raise Again("answered something that is no zip archive of one table") from None
