"""However slow the dispatcher's own duties are, silent workers are looked for: a hold is for stalls of the database."""

from collections import Counter
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace

import pytest
from psycopg import errors as pg

from apps.jobs.lifecycle import Status
from apps.jobs.models import Worker
from apps.jobs.scheduling import chores
from apps.jobs.scheduling import dispatcher as dispatching
from apps.jobs.transitions import due, heads, presence, rescue
from tests.support.factories import claim, job, job_in, row, worker

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HALF_AN_HOUR = 1800.0
ENDLESS = "SELECT pg_sleep(60)::text, false"


class House:
    """A dispatcher at a database whose one clock moves only by the seconds that duties take."""

    def __init__(self, monkeypatch, *, lease_seconds, takes):
        self.now, self.looks, self.done, self._takes = 0.0, [], Counter(), takes
        for module, name, answer in (
            (due, "neglected", list), (heads, "sweep", lambda: heads.Swept(Counter(), "")), (due, "move", dict),
            (due, "outlook", lambda: due.Outlook(self.at(), None)), (due, "clock", self.at), (presence, "sign", lambda: None),
            (rescue, "end_silent_workers", self.look), (rescue, "rescue", list), (chores, "run", lambda: None),
        ):
            monkeypatch.setattr(module, name, self.duty(name, answer))
        config = dispatching.Config(by="beat:test:1", lease_seconds=lease_seconds, rescue_cap=3, tickets=20)
        self.dispatcher = dispatching.Dispatcher(config, clock=lambda: self.now)
        connection = SimpleNamespace(pipeline=nullcontext, execute=lambda *_: None, closed=False, close=lambda: None)
        self.dispatcher._connection = connection

    def duty(self, name, answer):
        bounded = {"neglected", "sweep", "sign"}

        def act(*_, **__):
            self.done[name] += 1
            seconds = self._takes.get(name, 0.0)
            limit = dispatching.BOUND_SECONDS if name in bounded else 5.0
            self.now += min(seconds, limit)
            if seconds > limit and name != "run":   # chores are many statements
                raise pg.QueryCanceled
            self.now += max(0.0, seconds - limit)
            found = answer()
            return SimpleNamespace(get=lambda: found)

        return act

    def at(self):
        return NOON + timedelta(seconds=self.now)

    def look(self):
        self.looks.append(self.now)
        return []

    def longest_pause(self):
        """Return the longest time without a look for silent workers, in half an hour of turns."""
        while self.now < HALF_AN_HOUR:
            self.dispatcher.survive(self.turn, rest=self.rest)
        return max(later - earlier for earlier, later in pairwise([0.0, *self.looks, self.now]))

    def turn(self):
        self.rest(self.dispatcher.run_once())

    def rest(self, seconds):
        self.now += max(0.001, seconds)


@pytest.mark.parametrize("lease_seconds", [3.0, 30.0, 60.0, 900.0])
@pytest.mark.parametrize("name", ["neglected", "sweep", "sign"])
@pytest.mark.parametrize("seconds", [0.05, 1.4, 1.9, 3.0, 60.0])
def test_a_slow_look_of_ours_holds_back_no_rescue(monkeypatch, lease_seconds, name, seconds):
    house = House(monkeypatch, lease_seconds=lease_seconds, takes={name: seconds})

    assert house.longest_pause() <= lease_seconds / 2 + 5.0   # the first hold, and a few turns
    assert house.done[name] > 10


@pytest.mark.parametrize("lease_seconds", [30.0, 60.0, 300.0])
@pytest.mark.parametrize("takes", [{"move": 2.5}, {"outlook": 4.0}, {"move": 60.0}, {"end_silent_workers": 3.0}, {"run": 4.0}])
def test_nor_does_what_cannot_be_left_out(monkeypatch, lease_seconds, takes):
    house = House(monkeypatch, lease_seconds=lease_seconds, takes=takes)

    assert house.longest_pause() <= lease_seconds / 2 + 25.0   # a rescue rests four times as long as it took


def test_after_chores_that_begin_a_hold_rescues_have_their_turn_first(monkeypatch):
    house = House(monkeypatch, lease_seconds=120.0, takes={"run": 50.0})

    assert house.longest_pause() <= 120.0
    assert house.done["run"] > 5


def test_all_are_slow_at_once(monkeypatch):
    house = House(monkeypatch, lease_seconds=30.0, takes={"neglected": 9.0, "sweep": 9.0, "sign": 9.0, "move": 3.0, "run": 9.0})

    assert house.longest_pause() <= 40.0


@pytest.mark.django_db(transaction=True)
class TestOnARealDatabase:
    """The same, where the looks really are given up; a lease so short that the database's own bound would be a gap."""

    @pytest.fixture
    def rescuing(self, make_dispatcher):
        """A dispatcher whose hold is over."""
        made = make_dispatcher(lease_seconds=6.0)
        made.look()
        made.dispatcher.hold._held_until = made.dispatcher.hold._seen
        return made

    @pytest.fixture
    def lost(self):
        """A job that runs at a worker whose lease has ended."""
        job_id, holder = job(), worker()
        claim(holder)
        Worker.objects.filter(id=holder).update(lease_until=NOON - timedelta(days=9000))
        return job_id

    @pytest.mark.parametrize(("module", "name"), [(due, "_NEGLECTED"), (heads, "_SWEEP"), (presence, "_SIGN")])
    def test_one_that_never_ends_is_given_up_before_it_is_a_gap(self, rescuing, lost, monkeypatch, module, name):
        monkeypatch.setattr(module, name, ENDLESS)
        rescuing.dispatcher._next["rescue"] = rescuing.clock.now + 1.5   # comes after the slow one
        rescuing.look()
        connection = rescuing.dispatcher._connection
        assert Status.RUNNING == row(lost).status
        rescuing.look()

        assert Status.QUEUED == row(lost).status
        assert connection is rescuing.dispatcher._connection

    def test_the_bound_is_the_duties_own(self, rescuing):
        rescuing.look()

        assert ("5s",) == rescuing.dispatcher._connection.execute("SHOW statement_timeout").fetchone()

    def test_when_due_rows_cannot_be_looked_at_rescues_go_on(self, make_dispatcher, lost, monkeypatch):
        made = make_dispatcher(lease_seconds=30.0)
        made.look()
        made.dispatcher.hold._held_until = made.dispatcher.hold._seen
        waits = job_in(Status.SCHEDULED)
        made.dispatcher._connection.execute("SET statement_timeout = 2500")   # more than a gap
        made.dispatcher._next["rescue"] = made.clock.now + 1.5
        monkeypatch.setattr(due, "_NEXT", ENDLESS)
        made.look()
        assert Status.RUNNING == row(lost).status
        made.look()

        assert [Status.QUEUED, Status.SCHEDULED] == [row(lost).status, row(waits).status]
