"""A long backlog: the broker holds a few tickets for it, and forgetting them stops nothing."""

import time

import pytest

from tests.chaos.conftest import size
from tests.chaos.run import SLACK, tell

pytestmark = pytest.mark.chaos
WAITING = size("CHAOS_WAITING", 100_000)
MINUTES = 20
MOST_MESSAGES = 300
ON_SECONDS = 2


@pytest.fixture
def backlog(stack):
    """Rows that have waited for twenty minutes, and workers that have begun with them."""
    stack.ready()
    stack.fill(WAITING, seconds_ago=MINUTES * 60)
    stack.application.enqueue("chaos.work", [{}] * 200, one_by_one=True)
    stack.until(lambda: done(stack) > 50, otherwise="nothing began")
    yield stack
    stack.query("DELETE FROM job WHERE status = 'queued'")


def done(stack):
    return stack.count("finished_at IS NOT NULL AND type = 'chaos.work'")


def test_work_goes_on_at_once_after_the_broker_forgot_everything(backlog):
    with backlog.valkey.client() as client:
        client.flushall()
    before, since = done(backlog), time.monotonic()
    backlog.until(lambda: done(backlog) >= before + 50, otherwise="it never went on")
    took = time.monotonic() - since
    tell(f"FLUSHALL before {WAITING} rows: 50 more within {took:.2f} s")

    assert took < ON_SECONDS * SLACK
    assert 1 == backlog.query("SELECT max(attempt) FROM job")[0][0]


def test_the_broker_holds_a_few_hundred_messages_at_most(backlog):
    most, until_then = 0, done(backlog) + 300
    while done(backlog) < until_then:
        most = max(most, backlog.messages())
    tell(f"{WAITING} rows wait: at most {most} messages in the broker")

    assert most <= MOST_MESSAGES
