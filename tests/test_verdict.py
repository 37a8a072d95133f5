"""The checker itself: it finds what it is there to find, and nothing else."""

from __future__ import annotations

import pytest

from tests.faults.broken import PROTECTIONS
from tests.faults.history import Seen, Sent
from tests.faults.verdict import Entry, Ledger, judge
from tests.machine import ROOT

PEOPLE = {"ada": frozenset({"everyone", "user:1"})}


def entry(position, title="", *audiences, published=None, recalled=False, ends=False, key=""):
    """A notice that stands at `position`; its id is where it was published first."""
    published = published or position
    to = frozenset(audiences or ("everyone",))
    return Entry(published, title or f"notice {published}", to, published, position, recalled, ends, key)


def seen(kind, position=0, **values):
    return Seen(kind, values.pop("at", 1.0), 0, position, **values)


def notice(position, number=None, **values):
    return seen("notice", position, notice=number or position, sent=0.5, **values)


def begin(position=0):
    return [seen("open"), seen("welcome", position)]


LEDGER = Ledger(3, [entry(1), entry(2), entry(3)])
ALL_THREE = [*begin(), notice(1), notice(2), notice(3)]


def verdict_on(events, ledger=LEDGER, sent=()):
    return judge(ledger, PEOPLE, {0: "ada"}, events, sent)


def faults_in(events, ledger=LEDGER, sent=()):
    return {name for name, found in verdict_on(events, ledger, sent).faults.items() if found}


def test_whoever_has_seen_everything_once_in_order_has_nothing_to_complain_about():
    verdict = verdict_on(ALL_THREE)

    assert verdict.passed
    assert verdict.frames == 3


CASES = {
    "one is missing": ([*begin(), notice(1), notice(3)], {"missing"}),
    "the last is missing, and the reader knows": ([*begin(), notice(1), notice(2)], {"behind"}),
    "the last is missing, and a heartbeat claims it": ([*begin(), notice(1), notice(2), seen("beat", 3)], {"missing"}),
    "one comes twice": ([*ALL_THREE[:3], notice(1), *ALL_THREE[3:]], {"doubled"}),
    "two change places": ([*begin(), notice(2), notice(1), notice(3)], {"disordered"}),
    "one is nobody's": ([*ALL_THREE, notice(4, 99)], {"rolled_back"}),
    "it goes on somewhere else": (
        [*begin(), notice(1), seen("closed", 1006), seen("open", 1), seen("welcome", 2, flag=True), notice(3)],
        {"disordered", "missing"},
    ),
    "a reset that did not come": ([*begin(), notice(1), seen("open", 1), seen("welcome", 3), notice(3)], {"behind"}),
}


@pytest.mark.parametrize(("events", "faults"), CASES.values(), ids=CASES.keys())
def test_what_goes_wrong_is_found(events, faults):
    assert faults <= faults_in(events)


def test_coming_back_and_being_replayed_is_right():
    away = [seen("closed", 1006), seen("open", 1), seen("welcome", 1, flag=True)]

    assert faults_in([*begin(), notice(1), *away, notice(2), notice(3)]) == set()


def test_a_reset_and_a_fresh_page_are_right():
    fresh = [seen("reset"), seen("page", 2, rows=[(1, 1), (2, 2)]), seen("open", 2), seen("welcome", 2, flag=True)]

    assert faults_in([*begin(), *fresh, notice(3)]) == set()


def test_what_was_for_somebody_else_must_not_be_seen_and_is_not_missed():
    ledger = Ledger(3, [entry(1), entry(2, "", "user:7"), entry(3)])

    assert faults_in([*begin(), notice(1), notice(3)], ledger) == set()
    assert faults_in(ALL_THREE, ledger) == {"leaked"}


def test_a_recall_must_reach_whoever_was_shown_the_notice():
    ledger = Ledger(4, [entry(4, published=1, recalled=True), entry(2), entry(3)])

    assert faults_in([*ALL_THREE, notice(4, 1, flag=True)], ledger) == set()
    assert faults_in([*begin(), notice(2), notice(3), seen("beat", 4)], ledger) == set(), "it never saw the notice"
    assert faults_in([*ALL_THREE, seen("beat", 4)], ledger) == {"missing"}


def test_a_recall_that_gets_no_place_in_the_log_is_lost():
    ledger = Ledger(3, [entry(1, recalled=True), entry(2), entry(3)])

    assert faults_in([*begin(), notice(2), notice(3)], ledger) == {"lost"}
    waiting = Entry(1, "notice 1", frozenset({"everyone"}), 1, None, True, False)
    assert "lost" in faults_in([*begin(), notice(2), notice(3)], Ledger(3, [waiting, entry(2), entry(3)]))


def test_two_live_notices_of_one_key_for_the_same_audiences_are_found():
    one, other = entry(2, key="disk"), entry(3, key="disk")

    assert faults_in(ALL_THREE, Ledger(3, [entry(1), one, other])) == {"doubled"}
    for fine in (entry(3, key="load"), entry(3, "", "everyone", "staff", key="disk"), entry(3, key="disk", ends=True)):
        assert "doubled" not in faults_in(ALL_THREE, Ledger(3, [entry(1), one, fine]))
    superseded = Ledger(4, [entry(1), entry(4, published=2, recalled=True, key="disk"), other])
    assert faults_in([*ALL_THREE, notice(4, 2, flag=True)], superseded) == set()


def test_a_position_that_nobody_took_is_found():
    assert "skipped" in faults_in(ALL_THREE, Ledger(3, [entry(1), entry(3)]))


def told(outcome, title="notice 1"):
    return [Sent(0, "python", title, outcome, 0.01)]


def test_what_a_sender_was_told_is_compared_with_what_is_stored():
    assert faults_in(ALL_THREE, sent=told("accepted")) == set()
    assert faults_in(ALL_THREE, sent=told("unknown")) == set()
    assert faults_in(ALL_THREE, sent=told("unknown", "lost on its way")) == set()
    assert faults_in(ALL_THREE, sent=told("accepted", "nowhere")) == {"lost"}
    assert faults_in(ALL_THREE, sent=told("rolled back")) == {"rolled_back"}
    assert faults_in(ALL_THREE, sent=told("refused")) == {"rolled_back"}


def test_what_is_stored_and_never_published_is_lost():
    stored = Entry(9, "stored", frozenset({"everyone"}), None, None, False, False)

    assert faults_in(ALL_THREE, Ledger(3, [*LEDGER.entries, stored]), told("accepted", "stored")) == {"lost"}
    assert faults_in(ALL_THREE, Ledger(3, [*LEDGER.entries, stored])) == {"lost"}, "its sender died before it said so"


# What is broken on purpose --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROTECTIONS)
def test_what_is_to_be_taken_out_is_there(name):
    """`bin/faults --break` runs for minutes, and so seldom; this runs always."""
    for file, text, _ in PROTECTIONS[name].changes:
        assert text in (ROOT / file).read_text(), file
