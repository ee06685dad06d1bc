"""Keys stay where they are: a canary in every key's variable, and no file or output that has it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.command import workbench
from tests.data.feeds.loopback import Loopback, Reply, Request, reply
from workbench.desk import load_feeds
from workbench.redact import named_like_a_secret

START = (datetime.now(UTC) - timedelta(days=20)).strftime("%Y-%m-%d")
# a key that must be quoted in an address and in JSON as well
MARK = "canary7Key7Canary"


def canary(variable: str) -> str:
    return f'{MARK}{sum(map(ord, variable))}/+"end'


def keyed() -> dict[str, str]:
    """Feed -> the variable that its key is in, of every installed feed that needs one."""
    return {
        name: feed.about.key for name, feed in load_feeds("none.toml").items() if feed.about.key
    }


KEYED = keyed()
CANARIES = {variable: canary(variable) for variable in set(KEYED.values())}


def echo(request: Request) -> str:
    """All that a provider heard, as a careless one would print it."""
    return f"you sent {dict(request.headers)} and {dict(request.queries)} to {request.path}"


def refusal(request: Request) -> Reply:
    return reply({"error": echo(request), "message": echo(request)}, 401)


def bad_request(request: Request) -> Reply:
    return reply({"error_message": echo(request)}, 400)


def fault(request: Request) -> Reply:
    return Reply(500, echo(request).encode(), "text/plain")


def elsewhere(request: Request) -> Reply:
    """A redirect that carries the key on, in its address."""
    at = f"https://elsewhere.invalid/?key={quote(echo(request))}"
    return Reply(302, echo(request).encode(), "text/plain", {"Location": at})


def next_pages(request: Request) -> Reply:
    """An answer of some shape whose next page has the key in its address, here and elsewhere."""
    at = f"http://{request.headers['Host']}{request.path}?auth_token={quote(echo(request))}"
    links = dict.fromkeys(("next", "next_page_url", "next_uri", "cursor", "next_cursor"), at)
    return reply({"data": [], "results": [], "result": {"rows": []}, "meta": links} | links)


def wrong_shape(request: Request) -> Reply:
    """The key where a value should be: a sentence on the shape must not quote it."""
    said = echo(request)
    return reply({said: said, "data": said, "results": said, "observations": said, "rows": said})


CARELESS = [
    (refusal, []), (refusal, ["--json"]), (bad_request, []), (fault, []), (elsewhere, []),
    (next_pages, ["--json"]), (wrong_shape, []),
]  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder that holds everything a command writes: lake, journal, reports, caches."""
    for variable in [each for each in os.environ if each.startswith("WORKBENCH_")]:
        monkeypatch.delenv(variable)
    for variable in ("TMPDIR", "XDG_CACHE_HOME", "HOME"):
        (tmp_path / variable).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / variable))
    for variable, key in CANARIES.items():
        monkeypatch.setenv(variable, key)
    return tmp_path


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback(refusal) as started:
        yield started


def use(home: Path, server: Loopback) -> None:
    """Every keyed feed is the careless provider on this machine."""
    lines = [f'[feeds.{name}]\nbase_url = "{server.url}"\n{MORE.get(name, "")}\n' for name in KEYED]
    (home / "desk.toml").write_text("\n".join(lines))


# one series each, or patience with a fault takes minutes
MORE = {
    "dune": "queries = {fees = {query_id = 1}}",
    "alfred": 'ids = ["DFF"]',
    "glassnode": 'assets = ["BTC"]\nmetrics = ["transactions/transfers_volume_to_exchanges_sum"]',
    "whale_alert": 'assets = ["BTC"]',
}


def found_in(home: Path, *printed: str) -> list[str]:
    """Where the canary stands, whole or quoted: files by path, outputs by number."""
    said = [f"output {n}" for n, text in enumerate(printed) if MARK in text]
    files = [path for path in sorted(home.rglob("*")) if path.is_file()]
    return said + [str(path) for path in files if MARK.encode() in path.read_bytes()]


def test_every_key_is_named_so_that_the_journal_and_the_notebooks_know_it() -> None:
    assert len(KEYED) >= 7
    assert [name for name in KEYED.values() if not named_like_a_secret(name)] == []


@pytest.mark.parametrize(("answer", "words"), CARELESS)
def test_no_careless_provider_gets_a_key_into_a_file_or_an_output(
    home: Path, server: Loopback, answer: Callable[[Request], Reply], words: list[str]
) -> None:
    server.answer = answer
    use(home, server)
    done = workbench(home, "data", "pull", *KEYED, "--start", START, *words)
    assert "Traceback" not in done.stderr
    assert reached(server) == set(CANARIES)  # else the canary is missing for want of being used
    after = [workbench(home, *said) for said in (["data", "status"], ["doctor"])]
    said = [text for each in (done, *after) for text in (each.stdout, each.stderr)]
    assert found_in(home, *said) == []


def reached(server: Loopback) -> set[str]:
    """The variables whose keys the provider was sent."""
    heard = " ".join(f"{list(each.headers.values())} {each.queries}" for each in server.seen)
    return {variable for variable, key in CANARIES.items() if key in heard}


def test_the_search_finds_a_canary_in_a_file_and_in_an_output(home: Path) -> None:
    (home / "var").mkdir()
    (home / "var/log").write_text(f"GET /?key={quote(canary('FRED_API_KEY'))}")
    assert found_in(home, "fine", f"x{MARK}x") == ["output 1", str(home / "var/log")]
