import pytest

from core.api import memory
from core.api.memory import Memory


@pytest.fixture
def three():
    """Three requests in ten seconds."""
    return Memory(amount=3, seconds=10)


def noted(own, *moments, bucket="b"):
    return [own.note(bucket, at=at) for at in moments]


def test_while_others_count_nobody_is_refused_here(three):
    assert [True] * 5 == noted(three, 1, 2, 3, 4, 5)


def test_one_that_passed_in_doubt_has_the_client_judged_here_for_a_window(three):
    noted(three, 1, 2)
    passes = three.decide("b", at=2)

    assert (True, [True, False, False, True]) == (passes, noted(three, 3, 4, 10.9, 11.1))   # that of 1 has left by then


def test_of_those_that_are_being_counted_at_once_no_more_pass_than_fit_in(three):
    noted(three, 1, 2, 3, 4, 5)   # five at once, none of which was answered

    assert [False, False, True, True, True] == [three.decide("b", at=at) for at in (1, 2, 3, 4, 5)]


def test_who_sent_no_more_than_the_rate_is_never_refused(three):
    noted(three, 1, 2, 3)

    assert [True] * 3 == [three.decide("b", at=at) for at in (1, 2, 3)]


def test_one_that_did_not_pass_takes_no_room(three):
    noted(three, 1, 2, 3)
    three.take_back("b", at=2)

    assert (True, True) == (three.decide("b", at=3), three.note("b", at=4))


def test_what_was_told_to_be_full_is_so_until_then(three):
    noted(three, 1)
    three.was_full("b", until=8)

    assert (7, 0, 0) == (three.left("b", at=1), three.left("b", at=9), three.left("other", at=1))
    assert not three.decide("b", at=1)


def test_a_client_that_is_forgotten_begins_anew(three):
    noted(three, 1, 2, 3)
    three.forget("b")

    assert 0 == three.left("b", at=4)


def test_of_a_large_rate_nothing_is_noted_and_of_many_clients_the_latest_are_kept(monkeypatch):
    monkeypatch.setattr(memory, "MOST_CLIENTS", 2)
    large, small = Memory(amount=memory.MOST_AMOUNT + 1, seconds=10), Memory(amount=1, seconds=10)
    noted(large, *range(5000))
    for bucket in "abc":
        noted(small, 1, bucket=bucket)

    assert (0, 0) == (len(large._clients["b"].noted), large.left("b", at=5000))
    assert ["b", "c"] == list(small._clients)
