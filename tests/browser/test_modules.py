"""The modules that only calculate, each by itself in a page of the site."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from notifications.models import Notice


@pytest.fixture(scope="module")
def run(browser, server):
    """`run("counts", "…")`: the value of some JavaScript that has all that the module exports as `it`."""
    page = browser.new_page(base_url=server.url)
    page.goto("/accounts/login/")

    def run(module, script):
        address = f"/static/notifications/{module}.js"
        return page.evaluate(f"async () => {{ const it = await import('{address}'); {script} }}")

    yield run
    page.close()


# lasting_socket.js -------------------------------------------------------------------------------------------------


def test_the_longest_wait_doubles_up_to_three_seconds(run):
    waits = run("lasting_socket", "return [0, 1, 2, 3, 4, 5, 6, 1000].map((attempt) => it.backoff(attempt, () => 1))")

    assert waits == [500, 1000, 2000, 3000, 3000, 3000, 3000, 3000]


def test_a_wait_is_anything_up_to_the_longest(run):
    waits = run("lasting_socket", "return [0, 0.25, 0.5].map((random) => it.backoff(2, () => random))")

    assert waits == [0, 500, 1000]


# notice_row.js -----------------------------------------------------------------------------------------------------

LINKS = ["https://example.org/a?b=c#d", "HTTP://example.org", "/", "/reports/7/", "/a\\b", "/é", "http://[::1]:8000/"]
NO_LINKS = [
    *("", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "mailto:a@example.org"),
    *(
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n\\evil.example",
        "\t//evil.example",
    ),
    *(
        " javascript:alert(1)",
        "java\nscript:alert(1)",
        "http:evil.example",
        "http\u017f://evil.example",
        "reports/7",
        "#top",
    ),
    *("/a b", "/nul\0", "https://example.org/\x1f", "https:/example.org"),
]


def test_a_click_follows_the_same_links_on_a_page_of_the_server_and_in_a_row_that_came_live(run):
    given = LINKS + NO_LINKS

    followed = run("notice_row", f"return {json.dumps(given)}.filter(it.isLink)")

    assert followed == LINKS
    assert [url for url in given if Notice(url=url).is_link] == LINKS


# other_lines.js ----------------------------------------------------------------------------------------------------


def test_who_polls_has_come_as_far_as_the_answer_says_and_not_as_far_as_its_welcome(run):
    frames = run(
        "other_lines",
        """
        const fetched = window.fetch
        window.fetch = async () => new Response(
            'data: {"type":"welcome","position":10}\\n\\ndata: {"type":"heartbeat","position":8}\\n\\n')
        const heard = await new Promise((done) => {
            const frames = []
            const line = new it.PollingLine(() => location.href)
            line.onopen = () => setTimeout(() => { line.close(); done(frames) })
            line.onmessage = ({ data }) => frames.push(JSON.parse(data))
        })
        window.fetch = fetched
        return heard
        """,
    )

    assert frames == [{"type": "welcome", "position": 10}, {"type": "heartbeat", "position": 8}]


# notice_socket.js --------------------------------------------------------------------------------------------

PLACE = "const place = it.placeOf({ cursor: 'a:b:10', stamp: '3-x' });"


def judgement(run, frame, before="{}"):
    """What a tab at position 10, with 3 changes, makes of a frame that reached the leader where it stood just so."""
    return run("notice_socket", f"{PLACE} return it.judge(place, {frame}, {{ ...place, ...{before} }})")


def test_a_place_is_a_cursor_and_a_stamp(run):
    script = f"{PLACE} return [place, it.cursorOf(place), it.stampOf(place)]"

    place, cursor, stamp = run("notice_socket", script)
    assert place == {"epoch": "a:b", "position": 10, "changes": 3, "audiences": "x"}
    assert (cursor, stamp) == ("a:b:10", "3-x")


@pytest.mark.parametrize(
    ("frame", "before", "expected"),
    [
        ("{ type: 'notice', position: 11 }", "{}", "take"),
        ("{ type: 'notice', position: 15 }", "{}", "take"),
        ("{ type: 'notice', position: 11 }", "{ position: 8 }", "take"),
        ("{ type: 'notice', position: 10 }", "{ position: 9 }", "known"),
        ("{ type: 'notice', position: 12 }", "{ position: 11 }", "gap"),
        ("{ type: 'heartbeat', position: 12 }", "{ position: 12 }", "gap"),
        ("{ type: 'heartbeat', position: 12 }", "{ position: 10 }", "take"),
        ("{ type: 'inbox', changes: 4, position: 10 }", "{}", "take"),
        ("{ type: 'inbox', changes: 3, position: 10 }", "{}", "take"),
        ("{ type: 'inbox', changes: 2, position: 10 }", "{ changes: 1 }", "known"),
        ("{ type: 'inbox', changes: 5, position: 10 }", "{ changes: 4 }", "gap"),
        ("{ type: 'inbox', changes: 4, position: 10 }", "{ position: 11 }", "gap"),
        ("{ type: 'notice', position: 11 }", "{ epoch: 'c' }", "gap"),
        ("{ type: 'notice', position: 11 }", "{ audiences: 'y' }", "gap"),
        ("{ type: 'reset' }", "{ audiences: 'y' }", "take"),
    ],
)
def test_a_tab_takes_what_comes_next_passes_over_what_it_knows_and_sees_when_it_misses_something(
    run, frame, before, expected
):
    assert judgement(run, frame, before) == expected


RING = f"""{PLACE}
    const ring = new it.Ring(place, 4)
    const at = (position, changes, more = {{}}) => ({{ ...place, position, changes, ...more }})
    for (const frame of [
        {{ type: 'notice', position: 11 }}, {{ type: 'inbox', changes: 4 }}, {{ type: 'heartbeat', position: 12 }},
        {{ type: 'notice', position: 13 }},
    ]) ring.push(frame)
"""


@pytest.mark.parametrize(
    ("place", "frames"),
    [
        ("at(10, 3)", [11, 4, 13]),
        ("at(11, 3)", [4, 13]),
        ("at(11, 4)", [13]),
        ("at(13, 4)", []),
        ("at(20, 9)", []),
        ("at(9, 3)", None),
        ("at(10, 2)", None),
        ("at(11, 4, { epoch: 'c' })", None),
        ("at(11, 4, { audiences: 'y' })", None),
    ],
)
def test_a_ring_leads_from_where_a_tab_stands_or_says_that_it_does_not(run, place, frames):
    script = f"{RING}; return ring.from({place})?.map((frame) => frame.position ?? frame.changes) ?? null"

    assert run("notice_socket", script) == frames


def test_a_ring_that_is_full_forgets_the_oldest_and_knows_that_it_has(run):
    script = f"{RING}; for (const position of [14, 15]) ring.push({{ type: 'notice', position }});"

    assert run("notice_socket", f"{script} return ring.from(at(10, 3))") is None
    assert len(run("notice_socket", f"{script} return ring.from(at(11, 3))")) == 4


# other_lines.js ----------------------------------------------------------------------------------------------


def test_the_events_of_a_response_are_read_as_a_browser_reads_them(run):
    text = "retry: 2000\\n\\nid: a:1\\ndata: {x: 1}\\n\\nevent: close\\ndata: {code: 1}\\n\\n"

    events = run("other_lines", f"return it.eventsIn('{text}')")

    assert events == [{"kind": "message", "data": "{x: 1}"}, {"kind": "close", "data": "{code: 1}"}]


# status.js ---------------------------------------------------------------------------------------------------


def test_a_time_has_its_day_when_that_is_not_today(run):
    noon = "const noon = new Date(2026, 10, 23, 12, 5).getTime();"

    assert run("status", f"{noon} return it.timeOf(noon, noon + 60_000)") == "12:05 PM"
    assert run("status", f"{noon} return it.timeOf(noon, noon + 100_000_000)") == "Nov 23, 2026, 12:05 PM"


# counts.js ---------------------------------------------------------------------------------------------------


def count(run, script):
    """How many are unread after `script`, where the server counted 3 as of position 10."""
    return run("counts", f"const tally = new it.Tally(3, 10); {script}; return tally.count")


def test_a_new_notice_is_counted_once_however_often_it_comes(run):
    assert count(run, "tally.arrived(11); tally.arrived(11); tally.arrived(12)") == 5


def test_what_the_servers_count_holds_already_is_not_counted_again(run):
    assert count(run, "tally.arrived(10); tally.arrived(4)") == 3


def test_what_came_after_the_servers_new_count_is_kept(run):
    assert count(run, "tally.arrived(11); tally.arrived(12); tally.rebase(7, 11)") == 8


def test_a_count_from_before_the_last_one_is_not_taken_over(run):
    assert count(run, "tally.rebase(5, 12); tally.rebase(9, 11)") == 5


def test_a_notice_that_was_read_leaves_the_count(run):
    assert count(run, "tally.left(9)") == 2
    assert count(run, "tally.arrived(11); tally.left(11)") == 3


def test_what_ended_before_the_server_counted_is_out_of_its_count_already(run):
    assert count(run, "tally.left(9, 10)") == 3
    assert count(run, "tally.left(9, 11)") == 2


def test_as_many_or_more_stays_so_until_the_server_counts_anew(run):
    at_the_bound = "tally.rebase(1000, 10); tally.arrived(11); tally.left(9)"

    assert count(run, at_the_bound) == 1000
    assert count(run, f"{at_the_bound}; tally.rebase(999, 11)") == 999
    assert count(run, f"{at_the_bound}; tally.readThrough(10)") == 1, "all that it counted, however many"
    assert count(run, "tally.rebase(999, 10); tally.arrived(11); tally.arrived(12); tally.left(9)") == 1000
    assert count(run, "tally.rebase(999, 10); tally.left(9)") == 998


def test_the_count_never_falls_below_nothing(run):
    assert count(run, "for (let n = 1; n < 9; n++) tally.left(n)") == 0


def test_a_notice_that_is_not_shown_here_leaves_only_if_it_was_counted_here(run):
    assert count(run, "tally.arrived(11); tally.withdrawn(11); tally.withdrawn(5)") == 3


def test_reading_up_to_a_place_spares_what_came_later(run):
    assert count(run, "tally.arrived(11); tally.arrived(12); tally.readThrough(11)") == 1
    assert count(run, "tally.arrived(12); tally.readThrough(9)") == 4


# words.js ---------------------------------------------------------------------------------------------------

NOON = "const noon = new Date(2026, 10, 23, 12).getTime(), minutes = 60_000, hours = 60 * minutes, days = 24 * hours;"


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        ("-5 * minutes", "now"),
        ("59_000", "now"),
        ("1 * minutes", "1 minute ago"),
        ("59 * minutes", "59 minutes ago"),
        ("23 * hours", "23 hours ago"),
        ("25 * hours", "yesterday"),
        ("6 * days", "6 days ago"),
        ("7 * days", "Nov 16, 2026"),
    ],
)
def test_times_are_told_in_words_that_stay_true(run, ago, words):
    assert run("words", f"{NOON} return it.howLongAgo(noon - ({ago}), noon)") == words


# steps.js ---------------------------------------------------------------------------------------------------

OPEN = "online: true, status: 426, draining: false, page: 'https://a', server: 'https://a'"


@pytest.mark.parametrize(
    ("circumstances", "finding"),
    [
        ("opened: true", "worked"),
        (f"{OPEN}, timedOut: false", "upgrade"),
        (f"{OPEN}, timedOut: true", "silent"),
        (f"{OPEN}, online: false", "offline"),
        (f"{OPEN}, status: null", "unreachable"),
        (f"{OPEN}, status: 503", "draining"),
        (f"{OPEN}, draining: true", "draining"),
        (f"{OPEN}, server: 'http://a'", "origin"),
        (f"{OPEN}, status: 404", "elsewhere"),
    ],
)
def test_why_no_socket_opens_is_told_by_what_else_answers(run, circumstances, finding):
    assert run("steps", f"return it.judgeSocket({{ {circumstances} }}).finding") == finding


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        ("answered: true, asExpected: true", "worked"),
        ("answered: true, asExpected: false", "changed"),
        ("answered: false, code: 1006", "lost"),
        ("answered: false, code: 0", "silent"),
    ],
)
def test_an_echo_is_right_wrong_lost_or_never_comes(run, answer, finding):
    assert run("steps", f"return it.judgeEcho({{ {answer} }}).finding") == finding


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        ("status: 200, known: true, socket: null", "worked"),
        ("status: 200, known: true, socket: { welcome: {}, code: 0 }", "worked"),
        ("status: 200, known: false", "ended"),
        ("status: null, known: null", "unreachable"),
        ("status: 503, known: false", "busy"),
        ("status: 200, known: true, socket: { welcome: null, code: 4501 }", "cookies"),
        ("status: 200, known: true, socket: { welcome: null, code: 4503 }", "withdrawn"),
        ("status: 200, known: true, socket: { welcome: null, code: 4504 }", "crowded"),
        ("status: 200, known: true, socket: { welcome: null, code: 1013 }", "busy"),
        ("status: 200, known: true, socket: { welcome: null, code: 1012 }", "draining"),
        ("status: 200, known: true, socket: { welcome: null, code: 1006 }", "lost"),
        ("status: 200, known: true, socket: { welcome: null, code: 0 }", "silent"),
    ],
)
def test_who_is_not_known_is_told_why(run, answer, finding):
    assert run("steps", f"return it.judgeSession({{ {answer} }}).finding") == finding


@pytest.mark.parametrize(
    ("moments", "finding"),
    [
        ("before: 100_000, after: 100_100, server: 100_000", "worked"),
        ("before: 110_900, after: 111_000, server: 100_000", "worked"),
        ("before: 111_100, after: 111_200, server: 100_000", "ahead"),
        ("before: 89_000, after: 90_000, server: 100_000", "worked"),
        ("before: 89_000, after: 89_900, server: 100_000", "behind"),
        ("before: 0, after: 60_000, server: 30_000", "worked"),  # a slow answer proves nothing
        ("before: 100_000, after: 100_100, server: NaN", "unknown"),
    ],
)
def test_a_clock_is_wrong_only_when_nothing_else_explains_it(run, moments, finding):
    assert run("steps", f"return it.judgeClock({{ {moments} }}).finding") == finding


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        ("status: 200, rung: true, ms: 20", "worked"),
        ("status: 200, rung: true, ms: 1001", "late"),
        ("status: 200, rung: false, ms: 20", "late"),
        ("status: 200, rung: true, ms: 20, delayed: true", "late"),
        ("status: 200, rung: true, ms: null", "lost"),
        ("status: 429", "limit"),
        ("status: 403", "refused"),
        ("status: 503", "notStored"),
        ("status: null", "unreachable"),
    ],
)
def test_a_test_notice_comes_comes_late_or_does_not(run, answer, finding):
    assert run("steps", f"return it.judgeNotice({{ {answer} }}).finding") == finding


def why_not(run, name, signed_in=True, **states):
    judged = {other: {"state": state} for other, state in states.items()}
    step = f"it.STEPS.find(({{ name }}) => name === '{name}')"
    script = f"return it.whyNot({step}, {json.dumps(judged)}, {{ signedIn: {json.dumps(signed_in)} }})?.finding ?? null"
    return run("steps", script)


def test_a_step_is_left_out_when_what_it_needs_has_failed(run):
    assert why_not(run, "socket") is None
    assert why_not(run, "text", socket="failed") == "before"
    assert why_not(run, "text", socket="worked") is None
    assert why_not(run, "session", signed_in=False) == "signIn"
    assert why_not(run, "notice", session="failed", socket="worked") == "before"
    assert why_not(run, "notice", session="worked", socket="failed", fallback="worked") is None
    assert why_not(run, "notice", session="worked", socket="failed", fallback="failed") == "before"


@pytest.mark.parametrize(
    ("states", "finding", "count"),
    [
        (["worked", "worked"], "worked", 2),
        (["worked", "skipped"], "tested", 1),
        (["worked", "late", "skipped"], "late", 1),
        (["failed", "late", "failed"], "failed", 2),
    ],
)
def test_the_worst_of_the_steps_is_what_is_said_of_all(run, states, finding, count):
    judgements = json.dumps([{"state": state} for state in states])

    assert run("steps", f"return it.summary({judgements})") == {"finding": finding, "n": count}


# complaints.py ----------------------------------------------------------------------------------------------


def test_a_breach_of_the_content_security_policy_would_not_go_unnoticed(visit, complaints):
    page = visit(None, "/accounts/login/")

    page.evaluate("""() => {
        const script = document.createElement("script")
        script.textContent = "window.done = true"
        document.body.append(script)
    }""")

    expect(page.locator("body")).to_be_visible()
    assert page.evaluate("window.done") is None
    assert any("CSP: script-src-elem inline" in each for each in complaints.unexpected)
    complaints.allow("CSP:", "Content Security Policy")
