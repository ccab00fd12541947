"""One meaning for each thing that the driver may say."""

import uuid

import pytest

from locks.answers import Applied, Refused, Unknown
from locks.row import Row, State
from locks.stores.cassandra import answers
from locks.stores.cassandra.answers import classify
from tests.locks.cassandra.signals import FAULTS, SIGNALS

CELLS = {
    "state": 1, "fence": 7, "hb": 2, "nonce": uuid.UUID(int=5), "owner": "somebody", "lease_ms": 6000, "since_ms": 1,
}


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.name)
def test_each_signal_has_its_one_meaning(signal):
    assert signal.meaning == type(classify(signal.raised)).__name__


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__ + str(getattr(fault, "code", "")))
def test_a_fault_of_ours_is_raised_as_it_came(fault):
    with pytest.raises(type(fault)) as raised:
        classify(fault)

    assert fault is raised.value


def test_rows_say_applied():
    assert Applied() == classify([{"[applied]": True}])


def test_a_refusal_shows_the_whole_row():
    verdict = classify([{"[applied]": False, **CELLS}])

    expected = Row(state=State.HELD, fence=7, hb=2, nonce=uuid.UUID(int=5), owner="somebody", lease_ms=6000, since_ms=1)
    assert Refused(expected) == answers.answer(verdict)


def test_a_refusal_without_cells_shows_that_there_is_no_row():
    assert Refused(None) == answers.answer(classify([{"[applied]": False}]))


def test_a_refused_insert_brings_the_key_along():
    verdict = classify([{"[applied]": False, "ns": "n", "name": "x", **CELLS}])

    assert 7 == answers.answer(verdict).row.fence


@pytest.mark.parametrize("rows", [[], [{"state": 1}], [{"[applied]": True}] * 2], ids=["none", "not conditional", "a batch"])
def test_rows_of_no_conditional_statement_are_a_bug(rows):
    with pytest.raises(TypeError):
        classify(rows)


def test_a_decided_write_is_told_from_an_undecided_one():
    told = {signal.name: classify(signal.raised).why for signal in SIGNALS if "timeout" in getattr(classify(signal.raised), "why", "")}

    assert told == {
        "v1: commit in time nowhere": "write timeout, decided", "v2: commit in time nowhere": "write timeout, decided",
        "undecided": "write timeout, undecided", "locally undecided": "write timeout, undecided",
    }


def test_what_the_server_does_not_know_is_named():
    unknown = next(signal for signal in SIGNALS if signal.name == "CAS_WRITE_UNKNOWN")

    assert Unknown("the server does not know") == classify(unknown.raised)
