"""What `Locks` does on every store, as tests to inherit from; the second half of `contract`."""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from locks.errors import LockHeld, LockLost
from locks.forcing import Forced
from locks.lease import Ending, Lease
from locks.locks import Listed, Locks
from locks.observer import Granted, Happening
from locks.purging import Purged
from locks.reaper import Reaper
from locks.row import State
from locks.semaphore import Semaphore
from locks.testing.contract import MakeStore, eventually, together

LONG = timedelta(seconds=60)
MakeLocks = Callable[..., Locks]


class Heard:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.happenings: list[Happening] = []

    def tell(self, happening: Happening) -> None:
        self.happenings.append(happening)

    @property
    def grants(self) -> list[Granted]:
        return [happening for happening in self.happenings if isinstance(happening, Granted)]


def _absent(item: Listed) -> Listed:
    """Return a lock as if it had been seen, of which there is no row."""
    return replace(item, name="never used")


class LocksContract:
    """Whole uses of a lock. A client of its own is what another process would be."""

    @pytest.fixture
    def client(self, make_store: MakeStore) -> Iterator[MakeLocks]:
        namespace, made = f"contract-{uuid.uuid4().hex[:12]}", list[Locks]()

        def make(owner: str = "", observer: Heard | None = None) -> Locks:
            made.append(Locks(make_store(namespace), owner=owner, observer=observer))
            made[-1].inspect("connected")    # what is timed below is not the making of a connection
            return made[-1]

        yield make
        for locks in made:
            locks.close()

    @pytest.fixture
    def short(self, client: MakeLocks) -> timedelta:
        return timedelta(seconds=max(1.0, client().store.shortest_lease_seconds))

    def test_the_first_use_of_a_name_is_a_use_like_any_other(self, client: MakeLocks) -> None:
        with client().acquire("a") as lease:
            lease.check()

        assert lease.token > 0

    def test_acquiring_a_free_lock_is_one_question(self, client: MakeLocks) -> None:
        heard = Heard()
        locks = client(observer=heard)
        for _ in range(3):
            locks.acquire("a").release()

        assert [1, 1] == [grant.questions for grant in heard.grants[1:]]

    def test_a_held_lock_says_who_has_it_since_when_and_until_when(self, client: MakeLocks) -> None:
        lease = client(owner="ann").acquire("a", lease=LONG)

        with pytest.raises(LockHeld) as caught:
            client().try_acquire("a")

        held = caught.value
        assert ("ann", lease.token, lease.nonce) == (held.owner, held.token, held.holder)
        assert 59 < held.free_in_seconds < 61
        assert abs(held.since.timestamp() - time.time()) < 30

    def test_release_lets_the_next_one_in_with_a_higher_token(self, client: MakeLocks) -> None:
        first = client().acquire("a")
        assert Ending.RELEASED == first.release()
        second = client().acquire("a")

        assert first.token < second.token
        assert Ending.RELEASED == first.release()    # said again, not done again
        second.check()

    def test_a_holder_that_is_gone_is_taken_over_after_its_lease(self, client: MakeLocks, short: timedelta) -> None:
        gone, heard = client(), Heard()
        first = gone.acquire("a", lease=short)
        gone.keeper.forget()    # as if its process were stopped: nobody renews, and nobody tells
        begun = time.monotonic()

        second = client(observer=heard).acquire("a", lease=short, timeout=LONG)

        assert time.monotonic() - begun >= short.total_seconds() * 0.9
        assert first.token < second.token
        assert [first.nonce] == [grant.victim for grant in heard.grants]
        assert Ending.OVER == first.release()
        with pytest.raises(LockLost):
            first.check()

    def test_a_lease_renews_itself_past_its_length(self, client: MakeLocks, short: timedelta) -> None:
        with client().acquire("a", lease=short) as lease:
            first = lease.deadline
            eventually(lambda: lease.deadline, lambda deadline: deadline > first + 1.5 * short.total_seconds())

            lease.check()
            with pytest.raises(LockHeld):
                client().try_acquire("a")

    def test_many_who_want_one_lock_have_it_one_after_the_other(self, client: MakeLocks) -> None:
        inside, tokens = list[int](), list[int]()
        everybody = [client() for _ in range(4)]

        def work(number: int) -> int:
            most = 0
            for _ in range(5):
                with everybody[number].acquire("a", timeout=LONG) as lease:
                    inside.append(number)
                    most = max(most, len(inside))
                    tokens.append(lease.token)
                    inside.remove(number)
            return most

        assert [1] * 4 == together(4, work)
        assert sorted(set(tokens)) == tokens

    def test_force_release_ends_the_grant_that_was_seen_and_no_later_one(self, client: MakeLocks, short: timedelta) -> None:
        lost = list[str]()
        locks, operator = client(), client(owner="console")
        first = locks.acquire("a", lease=short, on_lost=lambda _, why: lost.append(why))

        assert Forced.FREED == operator.force_release("a", first.token, reason="stuck", by="ann")
        row = operator.inspect("a")
        assert (State.FREE, first.token + 1) == (row and row.state, row and row.fence)
        second = client().acquire("a", lease=LONG)
        assert Forced.OVER == operator.force_release("a", first.token, reason="pressed again", by="bob")

        second.check()
        assert second.token > first.token + 1
        assert ["taken"] == eventually(lambda: lost, bool)
        told = [(event.kind, event.actor, event.reason, event.token) for event in operator.history("a")]
        assert [
            ("force.over", "bob", "pressed again", first.token), ("force.asked", "bob", "pressed again", first.token),
            ("force.freed", "ann", "stuck", first.token), ("force.asked", "ann", "stuck", first.token),
        ] == told

    def test_of_operators_who_press_at_the_same_time_one_frees_it_and_the_next_holder_is_safe(self, client: MakeLocks) -> None:
        first, operators = client().acquire("a", lease=LONG), [client(owner=f"console-{number}") for number in range(4)]
        following = list[Lease]()

        def press(number: int) -> Forced:
            how = operators[number].force_release("a", first.token, reason="stuck", by=f"operator {number}")
            if how is Forced.FREED:
                following.append(operators[number].acquire("a", lease=LONG))    # while the others may still be pressing
            return how

        pressed = together(4, press)

        assert [Forced.FREED, *[Forced.OVER] * 3] == sorted(pressed, key=list(Forced).index)
        following[0].renew()
        row = client().inspect("a")
        assert (State.HELD, following[0].nonce, True) == (row and row.state, row and row.nonce, following[0].token > first.token + 1)
        told = eventually(lambda: client().history("a"), lambda events: len(events) == 8)
        assert {"force.asked": 4, "force.freed": 1, "force.over": 3} == Counter(event.kind for event in told)
        assert {f"operator {number}" for number in range(4)} == {event.actor for event in told}

    def test_a_forced_release_needs_a_reason(self, client: MakeLocks) -> None:
        with pytest.raises(ValueError, match="reason"):
            client().force_release("a", 1, reason=" ", by="ann")

    def test_a_purged_lock_comes_back_with_a_higher_token(self, client: MakeLocks) -> None:
        locks = client()
        first = locks.acquire("a")
        assert Purged.IN_USE == locks.purge("a", by="ann")
        first.release()

        assert (Purged.PURGED, Purged.ABSENT) == (locks.purge("a", by="ann"), locks.purge("a", by="ann"))
        assert locks.inspect("a") is None
        assert locks.acquire("a").token > first.token

    def test_many_are_purged_with_one_floor_and_come_back_with_higher_tokens(self, client: MakeLocks) -> None:
        locks = client()
        tokens = {}
        for name in ("a", "b", "c"):
            with locks.acquire(name) as lease:
                tokens[name] = lease.token
        held, seen = locks.acquire("d"), locks.list().items
        again = client().acquire("b")    # after it was seen

        outcomes = locks.purge_many(seen, by="ann")

        assert {"a": Purged.PURGED, "b": Purged.IN_USE, "c": Purged.PURGED, "d": Purged.IN_USE} == outcomes
        assert ["b", "d"] == [item.name for item in locks.list().items]
        assert locks.floor() >= max(tokens["a"], tokens["c"])
        assert [True, True] == [locks.acquire(name).token > tokens[name] for name in ("a", "c")]
        for lease in (held, again):
            lease.renew()
        assert {Purged.IN_USE, Purged.ABSENT} == set(locks.purge_many([*seen[:1], _absent(seen[0])], by="ann").values())

    def test_a_raised_floor_lifts_whatever_is_made_anew(self, client: MakeLocks) -> None:
        locks = client()
        first = locks.acquire("a")
        first.release()
        floor = first.token + 3_600_000_000
        locks.raise_floor(floor, reason="restored from a backup", by="ann")
        locks.purge("a", by="ann")

        assert [True, True] == [locks.acquire(name).token > floor for name in ("a", "b")]

    def test_locks_are_listed_with_their_holders(self, client: MakeLocks) -> None:
        locks = client(owner="ann")
        for name in ("p:1", "p:2", "q:1"):
            locks.acquire(name).release()
        locks.acquire("p:2")

        page = locks.list(prefix="p:")
        assert [("p:1", State.FREE), ("p:2", State.HELD)] == [(item.name, item.row.state) for item in page.items]
        assert ("ann", "") == (page.items[1].row.owner, page.next)
        assert ["p:1"] == [item.name for item in locks.list(limit=1).items]

    def test_a_reaper_frees_what_nobody_renews(self, client: MakeLocks, short: timedelta) -> None:
        gone, watching = client(), client()
        gone.acquire("a", lease=short)
        kept = client().acquire("b", lease=short)
        gone.keeper.forget()
        reaper = Reaper(watching)

        assert 1 == eventually(reaper.run_once, lambda freed: freed > 0)
        row = watching.inspect("a")
        assert State.FREE == (row and row.state)
        kept.check()

    def test_a_semaphore_lets_in_as_many_as_it_has_permits(self, client: MakeLocks) -> None:
        def permit(timeout: float) -> Lease:
            return Semaphore(client(), "s", permits=2).acquire(timeout=timedelta(seconds=timeout))

        first, second = permit(30), permit(30)
        with pytest.raises(LockHeld):
            permit(0.2)
        second.release()

        assert second.name == permit(30).name != first.name
