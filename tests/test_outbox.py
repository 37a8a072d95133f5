"""One socket's bounded queue."""

from __future__ import annotations

from notifications.live.outbox import MAX_BYTES, MAX_FRAMES, Outbox


def drained(outbox):
    return list(iter(outbox.take, None))


def test_frames_come_out_in_the_order_they_went_in():
    outbox = Outbox()
    frames = [("a", 1), ("b", None), ("c", 2)]

    for frame in frames:
        outbox.put(*frame)

    assert len(outbox) == 3
    assert drained(outbox) == frames
    assert outbox.take() is None


def test_256_frames_fit_and_one_more_collapses_it():
    outbox = Outbox()
    for position in range(1, MAX_FRAMES + 1):
        outbox.put("x", position)
    assert len(outbox) == MAX_FRAMES == 256
    assert not outbox.collapsed

    outbox.put("x", MAX_FRAMES + 1)

    assert outbox.collapsed
    assert drained(outbox) == []


def test_a_mebibyte_fits_and_one_byte_more_collapses_it():
    outbox = Outbox()
    outbox.put("x" * (MAX_BYTES - 1), 1)
    outbox.put("x", 2)
    assert not outbox.collapsed

    outbox.put("x", 3)

    assert outbox.collapsed
    assert len(outbox) == 0


def test_what_nobody_has_tried_to_write_yet_is_not_bounded():
    outbox = Outbox()
    for position in range(1, 1001):
        outbox.put("x", position, bounded=False)
    assert len(outbox) == 1000

    outbox.put("x", 1001)

    assert outbox.collapsed


def test_what_was_taken_out_makes_room_again():
    outbox = Outbox()
    for position in range(10 * MAX_FRAMES):
        outbox.put("x" * 10_000, position)
        assert outbox.take() == ("x" * 10_000, position)

    assert not outbox.collapsed


def test_a_collapsed_outbox_takes_no_more():
    outbox = Outbox()
    outbox.put("x" * (MAX_BYTES + 1), 1)
    assert outbox.collapsed

    outbox.put("late", 2)

    assert outbox.take() is None


def test_a_collapse_of_notices_alone_can_be_repaired_from_the_log():
    outbox = Outbox()

    for position in range(MAX_FRAMES + 1):
        outbox.put("notice", position)
    outbox.put("notice", MAX_FRAMES + 2)

    assert outbox.collapsed
    assert not outbox.lost_state


def test_a_read_state_that_was_queued_before_the_collapse_is_known_to_be_lost():
    outbox = Outbox()
    outbox.put("inbox", None)

    for position in range(MAX_FRAMES):
        outbox.put("notice", position)

    assert outbox.collapsed
    assert outbox.lost_state


def test_a_read_state_that_comes_after_the_collapse_is_known_to_be_lost():
    outbox = Outbox()
    outbox.put("x" * (MAX_BYTES + 1), 1)
    assert not outbox.lost_state

    outbox.put("inbox", None)

    assert outbox.lost_state


def test_a_reopened_outbox_is_like_a_new_one():
    outbox = Outbox()
    outbox.put("inbox", None)
    outbox.put("x" * (MAX_BYTES + 1), 1)
    assert outbox.collapsed

    outbox.reopen()

    assert not outbox.collapsed
    assert not outbox.lost_state
    outbox.put("x" * MAX_BYTES, 2)
    assert drained(outbox) == [("x" * MAX_BYTES, 2)]
