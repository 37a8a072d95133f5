"""What of an inbox somebody wants to see, as it stands in an address."""

from __future__ import annotations

import pytest
from django.http import QueryDict

from notifications.filters import EVERYTHING, BadFilter, Filter

MINE = {"everyone", "user:7", "topic:deploys"}


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({}, EVERYTHING),
        ({"tab": "", "level": "", "audience": "", "q": ""}, EVERYTHING),
        ({"tab": "all", "before": "7", "page": "x"}, EVERYTHING),
        ({"tab": "unread"}, Filter("unread")),
        ({"level": "error", "audience": "topic:deploys"}, Filter(level="error", audience="topic:deploys")),
        ({"q": "  disk \t full\n"}, Filter(q="disk full")),
        ({"q": "a\0b"}, Filter(q="a b")),
    ],
)
def test_an_address_says_what_is_wanted(query, wanted):
    assert Filter.parse(query, MINE) == wanted


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"tab": "done"}, "“done” is no tab; there is all, unread, archived."),
        ({"level": "ERROR"}, "“ERROR” is no level; there is info, success, warning, error."),
        (
            {"audience": "topic:secret"},
            "“topic:secret” is no audience of yours; there is everyone, topic:deploys, user:7.",
        ),
        ({"q": "w " * 11}, "A search has at most 10 words and 200 characters."),
        ({"q": "w" * 201}, "A search has at most 10 words and 200 characters."),
    ],
)
def test_what_there_is_not_is_named_together_with_what_there_is(query, sentence):
    with pytest.raises(BadFilter) as refused:
        Filter.parse(query, MINE)

    assert str(refused.value) == sentence


def test_a_wrong_value_is_not_repeated_at_any_length():
    with pytest.raises(BadFilter) as refused:
        Filter.parse({"tab": "x" * 100_000}, MINE)

    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("wanted", "query", "is_on"),
    [
        (EVERYTHING, "", False),
        (Filter("archived"), "tab=archived", False),
        (
            Filter("unread", "error", "topic:deploys", "100% über"),
            "tab=unread&level=error&audience=topic%3Adeploys&q=100%25+%C3%BCber",
            True,
        ),
        (Filter(q="disk"), "q=disk", True),
    ],
)
def test_a_filter_is_written_into_an_address_and_read_from_it(wanted, query, is_on):
    assert (wanted.query, wanted.is_on) == (query, is_on)
    assert Filter.parse(QueryDict(query).dict(), MINE) == wanted


def test_another_tab_keeps_the_filter():
    assert Filter("unread", level="error").in_tab("archived") == Filter("archived", level="error")


def test_a_word_may_have_fifty_characters_and_not_more():
    longest = "ä" * 50

    assert Filter.parse({"q": f"a {longest}"}, MINE).words == ["a", longest]
    with pytest.raises(BadFilter) as refused:
        Filter.parse({"q": f"a {longest}b"}, MINE)

    assert str(refused.value) == f"A word has at most 50 characters; “{'ä' * 20}…” has 51."
