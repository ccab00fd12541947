"""What travels between a worker's main process and its pool arrives whole."""

import pickle
from dataclasses import fields
from datetime import UTC, datetime

import pytest

from apps.jobs.engine import poolside
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

    assert len(fields(Ending)) == len(poolside._packed(ending))
