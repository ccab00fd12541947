"""Locks that nobody will ask for again go; no token comes back by that, and nobody who holds one loses it."""

from datetime import timedelta

import pytest

from core.locking import looking, pruning, releasing
from core.locking.errors import LocksAway
from core.locking.opening import database_address
from core.locking.pruning import Fate, PrunedLocks
from locks import LockLost, Locks, State
from locks.clock import Clock
from locks.stores.postgresql import PostgresqlStore

pytestmark = pytest.mark.django_db
WEEK = timedelta(days=7)
AWAY = "postgresql://nobody@127.0.0.1:9/none"   # nothing listens there
SHORT = timedelta(seconds=2)


class LongAgo(Clock):
    """A wall clock that is a year behind, and so is what it writes down."""

    def wall(self):
        return super().wall() - 365 * 86400


@pytest.fixture(autouse=True)
def _apart(monkeypatch):
    """Walk from the beginning, whatever other tests have left."""
    kept = {}
    monkeypatch.setattr(pruning.cache, "get", lambda key, default=None: kept.get(key, default))
    monkeypatch.setattr(pruning.cache, "set", lambda key, value, timeout: kept.update({key: value}))


def prune(kinds, **options):
    return pruning.prune(kinds=kinds, keep=WEEK, **options)


def all_are(fate):
    return lambda names: dict.fromkeys(names, fate)


@pytest.mark.parametrize(("fate", "gone"), [(Fate.ENDED, 1), (Fate.UNKNOWN, 1), (Fate.LIVES, 0)])
def test_a_free_lock_goes_with_its_thing(theirs, name, fate, gone):
    lease = theirs.acquire(name)
    lease.release()

    assert PrunedLocks(locks=gone, dead_holders=0) == prune({name: all_are(fate)})
    assert gone == (theirs.inspect(name) is None)
    assert theirs.acquire(name).token > lease.token


def test_a_lock_that_is_of_no_such_thing_is_left_alone(theirs, name):
    theirs.acquire(name).release()

    assert PrunedLocks(locks=0, dead_holders=0) == prune({name: lambda _: {}})


def test_a_holder_that_has_ended_is_ended_on_record_and_its_token_never_comes_back(lease, name, theirs):
    assert PrunedLocks(locks=1, dead_holders=1) == prune({name: all_are(Fate.ENDED)})

    assert theirs.inspect(name) is None
    assert [("force.freed", "system.prune"), ("force.asked", "system.prune")] == [
        (each.kind, each.actor) for each in looking.history(name)
    ]
    with pytest.raises(LockLost):
        lease.renew()
    assert theirs.acquire(name).token > lease.token + 1


def test_a_holder_that_nobody_knows_of_is_left_until_it_was_seen_not_to_renew(theirs, name):
    lease = theirs.acquire(name, lease=timedelta(seconds=1))
    first = prune({name: all_are(Fate.UNKNOWN)})
    still = theirs.inspect(name).state
    lease.check()
    theirs.close()   # nobody renews it any more
    shared = pruning.shared()
    while (row := shared.inspect(name)) is not None and shared.means.sights.see(name, row) > shared.means.clock.now():
        pass

    assert (PrunedLocks(locks=0, dead_holders=0), State.HELD) == (first, still)
    assert PrunedLocks(locks=1, dead_holders=1) == prune({name: all_are(Fate.UNKNOWN)})


def test_of_other_locks_those_go_that_nobody_asked_for_in_a_long_time(name):
    old, new, held = (f"{name}-{each}" for each in ("old", "new", "held"))
    past, present = (Locks(PostgresqlStore(database_address()), clock=clock) for clock in (LongAgo(), Clock()))
    past.acquire(old).release()
    past.acquire(held)
    present.acquire(new).release()
    pruned = prune({})

    assert [held, new] == [each.name for each in looking.everything(prefix=name)]
    assert pruned.locks >= 1
    for locks in (past, present):
        locks.close()


def test_the_walk_goes_on_where_the_last_one_stopped(name, monkeypatch):
    monkeypatch.setattr(pruning, "PAGE", 2)
    monkeypatch.setattr(pruning, "LOOKS", 2)
    past = Locks(PostgresqlStore(database_address()), clock=LongAgo())
    names = [f"{name}-{number}" for number in range(4)]
    for each in names:
        past.acquire(each).release()
    pruning.cache.set(pruning.CURSOR, name, timeout=None)
    left = []
    for _ in range(2):
        prune({})
        left.append([each.name for each in looking.everything(prefix=name)])
    past.close()

    assert [names[2:], []] == left


def test_a_store_that_is_away_is_said_to_be(settings, monkeypatch):
    settings.LOCKS_URL = AWAY
    monkeypatch.setattr(pruning, "SECONDS", SHORT)

    with pytest.raises(LocksAway):
        prune({})


def test_it_ends_between_two_pages_when_it_is_told_to(theirs, name, monkeypatch):
    monkeypatch.setattr(pruning, "PAGE", 1)
    for number in range(3):
        theirs.acquire(f"{name}{number}").release()

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune({name: all_are(Fate.ENDED)}, between=stop)
    assert 2 == len(looking.everything(prefix=name))


def test_the_floor_is_above_all_that_went(theirs, name):
    tokens = []
    for number in range(5):
        with theirs.acquire(f"{name}{number}") as lease:
            tokens.append(lease.token)
    prune({name: all_are(Fate.ENDED)})

    assert releasing.floor() >= max(tokens)
