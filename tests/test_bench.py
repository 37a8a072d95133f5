"""What the benchmark says of what it measured. (That it measures, only `make bench` can show.)"""

from __future__ import annotations

import pytest

from bench.marks import FRAME_BYTES, frame
from bench.report import tables, verdicts
from bench.results import Result, number, percentile


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.354321, "0.354"), (12.04, "12"), (999.4, "999"), (1234.4, "1,230"), (1_234_567, "1,230,000")],
)
def test_a_number_has_as_many_digits_as_mean_something(value, shown):
    assert number(value) == shown


def test_a_percentile_is_one_of_the_values():
    assert [percentile([4, 1, 3, 2, 5], part) for part in (0, 0.5, 1)] == [1, 3, 5]


def test_a_frame_of_the_peers_is_as_long_as_ours():
    assert len(frame()) == FRAME_BYTES
    assert frame() != frame()


def measured(ours, *others):
    result = Result("one notice to all", "deliveries/s")
    for figure in ours:
        result.add("notices", figure)
    for figure in others:
        result.add("nchan", figure)
    return result


def test_a_target_is_met_by_the_median_round():
    result = measured([90, 100, 300], 120, 125)

    result.at_least(100)
    result.at_least(101)
    result.at_least(0.8, of="nchan")
    result.at_least(1, of="nchan")
    result.at_most(100)

    assert [target.met for target in result.targets] == [True, False, True, False, True]
    assert "| one notice to all | ≥ 1 × nchan | 0.82 × | **no** |" in verdicts([result])


def test_a_table_shows_median_spread_and_ratio():
    table = tables([measured([90, 100, 300], 125)])

    assert "| notices | 100 | 90 – 300 |  |" in table
    assert "| nchan | 125 |  | 0.80 × |" in table
