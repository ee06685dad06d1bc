"""Publishers as their feeds are: RSS 2.0, Atom and RDF, each with its own way to write a time."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

from tests.data.feeds.cases import Case
from tests.data.feeds.loopback import Reply, Request
from workbench.data.feeds.feed import SeriesName
from workbench.data.feeds.rss import Rss

START, END = datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)
PATHS = {"wire": "/wire/rss", "bank": "/bank.xml", "desk": "/desk/feed"}


def item(title: str, link: str = "", date: str = "", guid: str = "") -> str:
    """An RSS item; what is not given is not there."""
    parts = {"title": title, "link": link, "pubDate": date}
    told = "".join(f"<{name}>{text}</{name}>" for name, text in parts.items() if text)
    named = f'<guid isPermaLink="false">{guid}</guid>' if guid else ""
    return f"<item>{told}{named}<description><![CDATA[<p>Body</p>]]></description></item>"


def rss(*items: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel><title>Wire</title>'
        f"<link>https://example.com</link>{''.join(items)}</channel></rss>"
    )


WIRE = rss(
    item(
        "Bitcoin rallies as funds see record inflows", "https://Example.com/btc-rally?utm_source=rss#top",
        "Fri, 20 Nov 2026 04:00:00 EST", "8f1c",
    ),
    item(
        "Solana &amp;amp; Ether slip", "https://example.com/slip", "Fri, 20 Nov 2026 10:30:00 GMT",
        "9a2d",
    ),
)  # fmt: skip
BANK = """<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom">
<title>Bank</title><id>urn:bank</id><updated>2026-11-20T09:00:00Z</updated>
<entry><title>Statement on rates</title><link href="https://bank.example.org/a"/><id>urn:a</id>
<published>2026-11-20T03:00:00-05:00</published><updated>2026-11-20T09:00:00Z</updated></entry>
<entry><title>Minutes of the meeting</title><link href="https://bank.example.org/b"/><id>urn:b</id>
<updated>2026-11-20T07:00:00Z</updated></entry></feed>"""
DESK = """<?xml version="1.0"?><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
xmlns="http://purl.org/rss/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/">
<channel rdf:about="https://desk.example.net"><title>Desk</title></channel>
<item rdf:about="https://desk.example.net/1"><title>Dogecoin trades flat</title>
<link>https://desk.example.net/1</link><dc:date>2026-11-20T11:00:00+02:00</dc:date></item></rdf:RDF>"""
BODIES = dict(zip(PATHS.values(), (WIRE, BANK, DESK), strict=True))


def xml(body: str | bytes, **headers: str) -> Reply:
    """A feed as an answer; header names are written with underscores."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    content = body.encode() if isinstance(body, str) else body
    return Reply(200, content, "application/rss+xml; charset=utf-8", named)


def answer(request: Request) -> Reply:
    return xml(BODIES[request.path]) if request.path in BODIES else Reply(404)


def drifted(right: Reply) -> Reply:
    return replace(right, body=re.sub(rb"(</?)title>", rb"\1headline>", right.body))


def feeds(url: str) -> Rss:
    return Rss(feeds={name: f"{url}{path}" for name, path in PATHS.items()})


CASES = [
    Case(
        "rss", feeds, SeriesName("news", "rss", "ALL", "event"), START, END, answer, drifted,
        rows=6,
    )
]  # fmt: skip
