"""What travels between a worker's main process and its pool arrives whole."""

import pickle
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from apps.jobs.engine import poolside
from apps.jobs.engine.board import Board, Word
from apps.jobs.engine.context import Assignment
from apps.jobs.engine.runner import Report
from apps.jobs.engine.tray import Trays
from apps.jobs.lifecycle import AttemptOutcome
from apps.jobs.transitions.settle import Ending


@pytest.mark.parametrize("outcome", AttemptOutcome)
def test_an_ending_arrives_as_it_was_sent(outcome):
    sent = Ending(
        id="0198c0de-0000-7000-8000-000000000000", fence=7, outcome=outcome, result='{"a":1}', error='{"class":"E"}',
        delay_seconds=1.5, until=datetime(2030, 1, 31, tzinfo=UTC), seconds=0.25, confirmed=True,
    )

    arrived = poolside.unpacked(pickle.loads(pickle.dumps(poolside._packed(sent))))  # noqa: S301  our own

    assert sent == arrived
    assert AttemptOutcome is type(arrived.outcome)


def test_every_member_of_an_ending_is_sent():
    ending = Ending(id="0198c0de-0000-7000-8000-000000000000", fence=7, outcome=AttemptOutcome.COMPLETED)

    assert len(Ending._fields) == len(poolside._packed(ending))


class Looking(Board):
    """Notes how many jobs were begun at each look."""

    def __init__(self, tray):
        super().__init__()
        self.tray, self.looks = tray, []

    def read(self, place):
        self.looks.append(self.tray.begun())
        return super().read(place)


@pytest.fixture
def together(monkeypatch):
    """Give three jobs to a child that stands in this process; what it has run."""
    trays, ran = Trays(count=1), []
    number = trays.get()
    board = Looking(trays[number])
    trays[number].lay(3)
    ids = [f"0198c0de-0000-7000-8000-00000000000{index}" for index in range(3)]
    work = [tuple(Assignment(
        id=job_id, fence=7, attempt=1, failures=0, type="t.t", payload="{}", timeout_seconds=60, request_id="", place=board.take(),
    )) for job_id in ids]

    def run(assignment, _board):
        ran.append(assignment.id)
        return Report(Ending(id=assignment.id, fence=assignment.fence, outcome=AttemptOutcome.COMPLETED))

    monkeypatch.setattr(poolside, "BOARD", board)
    monkeypatch.setattr(poolside, "TRAYS", trays)
    monkeypatch.setattr(poolside, "runner", SimpleNamespace(run=run))
    monkeypatch.setattr(poolside, "_tidy_connections", lambda: None)   # another test's may be open, and none is touched here

    def go():
        poolside.execute_together("", "", {"jobs": (number, work)})
        return [ids.index(each) for each in ran]

    return SimpleNamespace(board=board, tray=trays[number], places=[Assignment(*each).place for each in work], run=go)


@pytest.mark.parametrize("word", [Word.CANCEL, Word.LOST, Word.TIMED_OUT])
def test_a_child_begins_nothing_of_which_it_was_told_not_to_go_on(together, word):
    together.board.say(together.places[1], word)

    assert [0] == together.run()
    assert (1, 1) == (together.tray.begun(), together.tray.ended())


def test_a_child_looks_at_what_it_was_told_after_it_has_said_that_it_begins(together):
    """The other way round both sides could look too early: the child would begin what nobody ends."""
    assert [0, 1, 2] == together.run()
    assert [1, 2, 3] == together.board.looks
