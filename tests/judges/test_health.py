"""When a model may be asked: outages, probes and latches, from scenarios worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.judges.health import Health, may_ask, sent, told
from workbench.judges.provider import LATCHING, NOT_SENT, Code

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
FAILURES = sorted(set(Code) - LATCHING - NOT_SENT - {Code.SPEND_LIMIT})
FIXED = settings(derandomize=True, deadline=None, database=None)
WAITS_S = [60, 120, 240, 480, 960, 1800, 1800, 1800]  # after 0, 1, 2 ... failed probes


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def heard(*codes: str, health: Health | None = None, now: datetime = NOON) -> Health:
    """The state after these answers, all at once."""
    state = health or Health()
    for code in codes:
        state = told(state, code, now)
    return state


OUTAGE = heard("INVALID", "INVALID", "INVALID")


# --- safe mode ---------------------------------------------------------------------------------


def test_at_first_it_may_be_asked() -> None:
    assert may_ask(Health(), NOON) == "yes"


@pytest.mark.parametrize("code", FAILURES)
def test_three_failures_in_a_row_are_an_outage_whatever_they_are(code: Code) -> None:
    assert may_ask(heard(code, code), NOON) == "yes"
    assert may_ask(heard(code, code, code), NOON) == Code.SAFE_MODE


def test_a_good_answer_between_them_begins_the_count_anew() -> None:
    state = heard("INVALID", "TRUNCATED", "", "DEADLINE", "DEADLINE")
    assert may_ask(state, NOON) == "yes"
    assert may_ask(heard("REFUSED", health=state), NOON) == Code.SAFE_MODE


@pytest.mark.parametrize("code", sorted(NOT_SENT))
def test_what_was_not_sent_tells_nothing_about_the_model(code: Code) -> None:
    for state in (Health(), heard("INVALID", "INVALID"), OUTAGE, heard("WRONG_KEY")):
        assert told(state, code, after(1)) == state


def test_a_probe_is_due_after_60_seconds_to_the_microsecond() -> None:
    assert may_ask(OUTAGE, after(59.999999)) == Code.SAFE_MODE
    assert may_ask(OUTAGE, after(60)) == "probe"


def test_a_good_probe_ends_it_and_forgets_the_failures() -> None:
    assert told(sent(OUTAGE, after(60)), "", after(61)) == Health()


def test_after_each_failed_probe_the_wait_doubles_up_to_half_an_hour() -> None:
    state, at = OUTAGE, NOON
    for wait_s in WAITS_S:
        assert may_ask(state, at + timedelta(seconds=wait_s - 1)) == Code.SAFE_MODE
        at += timedelta(seconds=wait_s)
        assert may_ask(state, at) == "probe"
        state = told(sent(state, at), "DEADLINE", at)


def test_an_outage_of_a_month_is_waited_out() -> None:
    state, at = OUTAGE, after(60)
    for _ in range(1_500):  # half an hour each
        state = told(sent(state, at), "UNREACHABLE", at)
        at += timedelta(minutes=30)
    assert may_ask(state, at) == "probe"


def test_a_wait_is_counted_from_the_answer_and_not_from_the_question() -> None:
    state = told(sent(OUTAGE, after(60)), "DEADLINE", after(80))
    assert may_ask(state, after(199)) == Code.SAFE_MODE
    assert may_ask(state, after(200)) == "probe"


def test_while_a_probe_is_out_no_other_is_due() -> None:
    state = sent(OUTAGE, after(60))
    assert may_ask(state, after(60)) == may_ask(state, after(179)) == Code.SAFE_MODE


def test_a_probe_of_which_nothing_is_heard_is_given_up_after_its_wait() -> None:
    state = sent(OUTAGE, after(60))
    assert may_ask(state, after(180)) == "probe"


def test_a_probe_that_was_not_sent_after_all_is_due_again_later() -> None:
    state = told(sent(OUTAGE, after(60)), "BUDGET", after(60))
    assert may_ask(state, after(61)) == Code.SAFE_MODE
    assert may_ask(state, after(180)) == "probe"


def test_a_question_outside_an_outage_leaves_no_trace() -> None:
    for state in (Health(), heard("INVALID", "INVALID"), OUTAGE, heard("WRONG_KEY")):
        assert sent(state, after(1)) == state


def test_answers_to_what_was_asked_before_the_outage_are_no_failed_probes() -> None:
    """Sixteen asked together: the last thirteen failures neither double the wait nor put it off."""
    state = heard(*["OVERLOADED"] * 13, health=OUTAGE, now=after(30))
    assert may_ask(state, after(60)) == "probe"
    failed = told(sent(state, after(60)), "OVERLOADED", after(60))
    assert may_ask(failed, after(180)) == "probe"


# --- latches -----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(LATCHING))
def test_what_only_a_person_can_mend_latches_for_good(code: Code) -> None:
    state = heard(code)
    for later in (NOON, after(10**9), after(-(10**9))):
        assert may_ask(state, later) == Code.LATCHED


def test_a_spend_limit_latches_until_the_next_utc_day() -> None:
    state = heard("SPEND_LIMIT")
    assert may_ask(state, datetime(2026, 11, 23, 23, 59, 59, 999999, UTC)) == Code.LATCHED
    assert may_ask(state, datetime(2026, 11, 24, tzinfo=UTC)) == "yes"


def test_the_day_of_a_spend_limit_is_that_of_utc_wherever_the_clock_hangs() -> None:
    """In Tokyo it is the 24th already, and the day of UTC has seven hours to go."""
    tokyo = datetime(2026, 11, 24, 2, tzinfo=timezone(timedelta(hours=9)))
    state = told(Health(), "SPEND_LIMIT", tokyo)
    assert may_ask(state, datetime(2026, 11, 23, 23, 59, tzinfo=UTC)) == Code.LATCHED
    assert may_ask(state, datetime(2026, 11, 24, tzinfo=UTC)) == "yes"


def test_a_latch_outlasts_the_good_answers_to_what_was_asked_before_it() -> None:
    assert may_ask(heard("WRONG_KEY", ""), NOON) == Code.LATCHED
    assert may_ask(heard("SPEND_LIMIT", "", ""), NOON) == Code.LATCHED


def test_a_spend_limit_does_not_shorten_a_latch_for_good() -> None:
    assert may_ask(heard("PAYMENT", "SPEND_LIMIT"), after(2 * 86_400)) == Code.LATCHED
    assert may_ask(heard("SPEND_LIMIT", "PAYMENT"), after(2 * 86_400)) == Code.LATCHED


def test_a_spend_limit_told_by_a_clock_set_back_does_not_shorten_the_latch() -> None:
    state = told(heard("SPEND_LIMIT"), "SPEND_LIMIT", after(-3 * 86_400))
    assert may_ask(state, after(3600)) == Code.LATCHED


def test_an_outage_goes_on_after_a_spend_limit() -> None:
    state = heard("SPEND_LIMIT", health=OUTAGE)
    assert may_ask(state, after(60)) == Code.LATCHED
    assert may_ask(state, after(86_400)) == "probe"


# --- whatever happens --------------------------------------------------------------------------

steps = st.lists(
    st.tuples(st.sampled_from(["", *Code]), st.integers(0, 4_000), st.booleans()), max_size=60
)


@FIXED
@given(steps)
def test_who_is_latched_is_never_asked(happened: list[tuple[str, int, bool]]) -> None:
    state, now, for_good, until = Health(), NOON, False, NOON
    for code, wait_s, asks in happened:
        now += timedelta(seconds=wait_s)
        if asks:
            state = sent(state, now)
        state = told(state, code, now)
        for_good |= code in LATCHING
        if code == Code.SPEND_LIMIT:
            until = max(until, datetime(now.year, now.month, now.day, tzinfo=UTC)
                        + timedelta(days=1))  # fmt: skip
        assert (may_ask(state, now) == Code.LATCHED) == (for_good or now < until)


@FIXED
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 900)), max_size=80))
def test_in_an_outage_each_probe_is_alone_and_each_wait_is_right(
    happened: list[tuple[bool, int]],
) -> None:
    """Somebody asks every few seconds; a probe fails or, in the end, is answered."""
    state, now, failed, free_at = OUTAGE, NOON, 0, after(60)
    for good, wait_s in happened:
        now += timedelta(seconds=wait_s)
        free = may_ask(state, now)
        assert free == ("probe" if now >= free_at else Code.SAFE_MODE)
        if free != "probe":
            continue
        state = sent(state, now)
        assert may_ask(state, now) == Code.SAFE_MODE, "a second asker finds none due"
        state = told(state, "" if good else "SERVER_ERROR", now)
        if good:
            assert state == Health()
            return
        failed += 1
        free_at = now + timedelta(seconds=min(60 * 2**failed, 1800))


@FIXED
@given(st.lists(st.sampled_from(["", *FAILURES]), max_size=12))
def test_only_three_in_a_row_are_an_outage(codes: list[str]) -> None:
    """All within a minute, so that nothing ends an outage but a good answer."""
    row = 0
    for code in codes:
        row = row + 1 if code else 0
    assert may_ask(heard(*codes), NOON) == (Code.SAFE_MODE if row >= 3 else "yes")
