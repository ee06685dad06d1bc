"""News as rows: what an item is about, whether it was told before, whether its letters pretend.

RSS, CryptoPanic, Messari and X each yield items; all become rows of one shape here. A title is
untrusted text and is cleaned; summaries and bodies are not kept. An item about several assets is
one row an asset, one about none of them is about the market (""). Pure: `now` comes in.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import polars as pl

from workbench.data.headlines import clean, headline_id
from workbench.data.lake import INSTANT

MIXED = "mixed script"
REPEATED_WITHIN = timedelta(days=7)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)  # an older stamp is how a missing one looks (1970)
SOURCE_LIMIT = 60
URL_LIMIT = 1000
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "event_time": INSTANT, "available_at": INSTANT, "asset": pl.String, "source": pl.String,
    "url": pl.String, "title": pl.String, "id": pl.String, "title_key": pl.String,
    "suspect": pl.String,
}  # fmt: skip

# Names by which a title tells its asset. Names that are ordinary words as well count only with a
# capital, and not in the phrases they are known for.
_NAMES = {
    "BTC": r"(?i:\bbitcoins?\b(?! (?:cash|gold|sv)\b))",
    "ETH": r"(?i:\bether\b(?!\.fi\b)|\bethereum\b(?! classic\b))",
    "SOL": r"(?i:\bsolana\b)",
    "BNB": r"(?i:\bbinance coins?\b)",
    "XRP": r"(?<!Broad )\b(?:Ripple\b(?! [Ee]ffect)|RIPPLE\b)",
    "ADA": r"(?i:\bcardano\b)",
    "DOGE": r"(?i:\bdogecoins?\b)",
    "LINK": r"(?i:\bchainlink\b)",
    "AVAX": r"\b(?:Avalanche\b(?! of\b)|AVALANCHE\b(?! OF\b))",
}
# Tickers stand in capitals or behind a dollar sign; ETH Zurich is a university.
_TICKERS = {asset: rf"\b{asset}\b(?! Z(?i:[u\u00fc]rich))" for asset in _NAMES}
_WORDS_TOO = frozenset({"SOL", "ADA", "LINK"})  # in a shouted title these may be plain words
_SHOUTED = 4  # words
_SUBJECTS = {
    asset: re.compile(rf"{name}|{_TICKERS[asset]}|\$(?i:{asset})\b")
    for asset, name in _NAMES.items()
}
_SHOUTED_SUBJECTS = {
    asset: re.compile(rf"{name}|\$(?i:{asset})\b") if asset in _WORDS_TOO else _SUBJECTS[asset]
    for asset, name in _NAMES.items()
}

_CODE = re.compile(r"[A-Z0-9]{1,12}")
_HOST = re.compile(r"[a-z0-9.-]+(?::\d+)?")
_NAMING = frozenset({"id", "p", "v", "newsid", "articleid"})  # some sites name an article so
_WORD = re.compile(r"[^\W\d_]+")
_ALPHABETS = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU"})
# Cyrillic and Greek letters that look like Latin ones: a whole word of them (\u0412\u0422\u0421
# for BTC) mixes nothing and pretends all the same.
_ALIKE = frozenset(
    "\u0430\u0435\u0456\u0458\u043e\u0440\u0441\u0443\u0445\u0455\u04bb\u0501\u051b\u051d"
    "\u0410\u0412\u0415\u0405\u0406\u0408\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"
    "\u03bf\u03bd"
)


class Item(NamedTuple):
    """One piece of news as a provider tells it, both clocks in UTC.

    `published` is the publisher's claim, `seen` when the provider says that it had it (None where
    it does not say). `link` is its address or whatever else names it for good. `assets` are
    tickers; none means that the title has to tell.
    """

    published: datetime | None
    seen: datetime | None
    title: str
    link: str
    source: str
    assets: tuple[str, ...] = ()


def news_rows(items: Iterable[Item], now: datetime) -> pl.DataFrame:
    """The items as rows (`SCHEMA`), event_time ascending; of one id the earliest stays.

    `event_time` is when it was published, never after `now`; `available_at` is `now`, or later
    where the provider says so. Items without a title are left out.
    """
    told = [
        row for item in items if (title := clean(item.title)) for row in _rows(item, title, now)
    ]
    rows = pl.DataFrame(told, schema=SCHEMA, orient="row")
    rows = rows.sort("event_time", "id", maintain_order=True)
    return rows.unique("id", keep="first", maintain_order=True)


def _rows(item: Item, title: str, now: datetime) -> list[tuple[datetime | str, ...]]:
    published = item.published if item.published and item.published >= EARLIEST else now
    link = item.link.encode(errors="replace").decode()  # half a surrogate pair has no bytes
    url = canonical(link)
    named = [code for asset in item.assets if _CODE.fullmatch(code := asset.strip().upper())]
    assets = tuple(dict.fromkeys(named)) or subjects(title) or ("",)
    suspect = MIXED if mixed_script(title) else ""
    return [
        (
            min(published, now).astimezone(UTC), max(now, item.seen or now).astimezone(UTC), asset,
            clean(item.source)[:SOURCE_LIMIT].rstrip(), url, title,
            headline_id(asset, url or link or title), title_key(title), suspect,
        )
        for asset in assets
    ]  # fmt: skip


def canonical(link: str) -> str:
    """The address without what differs from reader to reader: query, fragment, user, case of the
    host. Of the query only what names an article stays (?p=123). "" for what is no web address."""
    try:
        parts = urlsplit(link.strip())
    except ValueError:
        return ""
    host = parts.netloc.rpartition("@")[2].lower()
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host):
        return ""
    path = quote(parts.path, safe="/%:@!$&*+,;=~-._")
    naming = urlencode([pair for pair in parse_qsl(parts.query) if pair[0].lower() in _NAMING])
    url = f"{parts.scheme}://{host}{path}" + (f"?{naming}" if naming else "")
    return url if len(url) <= URL_LIMIT else ""


def subjects(title: str) -> tuple[str, ...]:
    """Which assets a title names, by their names and tickers."""
    shouted = title.isupper() and len(title.split()) >= _SHOUTED
    patterns = _SHOUTED_SUBJECTS if shouted else _SUBJECTS
    return tuple(asset for asset, pattern in patterns.items() if pattern.search(title))


def title_key(title: str) -> str:
    """A short name for what a title says, whatever its case and punctuation."""
    words = " ".join(re.findall(r"[^\W_]+", title.casefold()))
    return hashlib.sha256((words or title).encode()).hexdigest()[:16]


def mixed_script(title: str) -> bool:
    """True if a word mixes alphabets, or a foreign word is made of letters that look Latin in a
    title that is otherwise Latin."""
    words = _WORD.findall(title)
    scripts = [{_script(char) for char in word} & _ALPHABETS for word in words]
    if any(len(each) > 1 for each in scripts):
        return True
    letters = [_script(char) for word in words for char in word]
    if 2 * letters.count("LATIN") <= len(letters):
        return False
    return any(len(word) > 1 and _ALIKE.issuperset(word) for word in words)


def _script(char: str) -> str:
    return unicodedata.name(char, "").split(" ")[0]


def fresh(rows: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """The rows that tell something new, in their order.

    A row repeats another if its id is known, or if the same title about the same asset was
    published within a week of it; a row about the market repeats one about any asset. `known` are
    stored rows of all news (id, asset, title and both clocks); of those first seen more than a
    week before these rows, titles do not count: statements come out under the same title again.
    """
    if rows.is_empty():
        return rows
    seen_since = rows.select(pl.col("available_at").min() - REPEATED_WITHIN).item()
    recent = known.filter(pl.col("available_at") >= seen_since)
    ids = set(known["id"])
    told: defaultdict[str, list[tuple[str, datetime]]] = defaultdict(list)
    for title, asset, published in recent.select("title", "asset", "event_time").iter_rows():
        told[title_key(title)].append((asset, published))
    kept: list[bool] = []
    for name, key, asset, published in rows.select(
        "id", "title_key", "asset", "event_time"
    ).iter_rows():
        repeated = name in ids or any(
            asset in ("", about) and abs(published - at) <= REPEATED_WITHIN
            for about, at in told[key]
        )
        kept.append(not repeated)
        if not repeated:
            ids.add(name)
            told[key].append((asset, published))
    return rows.filter(pl.Series(kept, dtype=pl.Boolean))
