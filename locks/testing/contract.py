"""What every store must do, as tests to inherit from.

Give a class of yours a fixture `make_store` that returns a function from a namespace to a store, and inherit from both::

    class TestMyStore(StoreContract, LocksContract):
        @pytest.fixture
        def make_store(self): ...

`StoreContract` asks a store for single changes and compares with `locks.transition`; `LocksContract` (in `contract_locks`)
uses it through `Locks`.
"""

import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest

from locks import transition
from locks.answers import Answer, Applied, NotDone, Refused, Unknown
from locks.changes import (
    Acquire,
    AcquireExact,
    Bury,
    Change,
    Create,
    ForceRelease,
    RaiseFloor,
    Reap,
    Release,
    Renew,
    Retire,
)
from locks.events import Event
from locks.row import Row, State, Version
from locks.store import Store

T = TypeVar("T")
MakeStore = Callable[[str], Store]
SECONDS = 10.0
NONCES = [uuid.UUID(int=number) for number in (1, 2, 3)]


def settled(store: Store, change: Change) -> Answer:
    """Ask until the answer is definite, as the library does. A store that is well answers at once."""
    for number in range(20):
        answer = store.attempt(change, number=number, timeout_seconds=SECONDS)
        if not isinstance(answer, NotDone | Unknown):
            return answer
    raise AssertionError(f"no definite answer to {change}")


def winners(answers: list[Answer], nonces: list[uuid.UUID]) -> int:
    """Count those that were applied, by the answer or by a refusal that shows their own nonce: then an answer was lost."""
    return sum(
        answer == Applied() or (isinstance(answer, Refused) and answer.row is not None and answer.row.nonce == nonce)
        for answer, nonce in zip(answers, nonces, strict=True)
    )


def eventually(look: Callable[[], T], wanted: Callable[[T], bool]) -> T:
    """Look until what is seen is wanted."""
    end = time.monotonic() + SECONDS
    while not wanted(seen := look()) and time.monotonic() < end:
        time.sleep(0.01)
    return seen


def together(count: int, work: Callable[[int], T]) -> list[T]:
    """Run something on several threads at once, and return what each returned."""
    barrier, results = threading.Barrier(count), dict[int, T]()

    def one(number: int) -> None:
        barrier.wait()
        results[number] = work(number)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count == len(results)
    return [results[number] for number in range(count)]


def acquiring(name: str, fence: int, nonce: uuid.UUID = NONCES[0]) -> Acquire:
    return Acquire(name=name, fence=fence, nonce=nonce, owner="somebody", lease_ms=5_000, since_ms=1_700_000_000_000)


def taking(seen: Version, name: str, fence: int, nonce: uuid.UUID = NONCES[1]) -> AcquireExact:
    return AcquireExact(name=name, seen=seen, fence=fence, nonce=nonce, owner="other", lease_ms=6_000, since_ms=1)


def any_change(draw: random.Random, name: str, row: Row | None) -> Change:
    """Return a change whose condition is true of the row about every second time."""
    version = row.version if row is not None else Version(State.FREE, 1, 0, NONCES[0])
    if draw.random() < 0.3:
        version = draw.choice([
            version._replace(state=draw.choice(list(State))), version._replace(fence=version.fence + 1),
            version._replace(hb=version.hb + 1), version._replace(nonce=draw.choice(NONCES)),
        ])
    fence = version.fence if draw.random() < 0.7 else draw.randrange(1, 9)
    nonce, fresh = version.nonce, draw.choice(NONCES)
    return draw.choice([
        Create(name=name, nonce=fresh, owner="maker"),
        acquiring(name, version.fence + draw.choice([-1, 0, 1, 2]), fresh),
        taking(version, name, version.fence + 1, fresh),
        Renew(name=name, fence=fence, nonce=nonce, hb=version.hb),
        Release(name=name, fence=fence, nonce=nonce),
        Reap(name=name, seen=version),
        ForceRelease(name=name, fence=fence, nonce=fresh, owner="operator"),
        Retire(name=name, seen=version),
        Bury(name=name, seen=version),
    ])


class StoreContract:
    """Single changes."""

    @pytest.fixture
    def store(self, make_store: MakeStore) -> Iterator[Store]:
        store = make_store(f"contract-{uuid.uuid4().hex[:12]}")
        yield store
        store.close()

    @pytest.mark.parametrize("seed", range(6))
    def test_every_change_does_what_the_pure_function_says(self, store: Store, seed: int) -> None:
        draw, name = random.Random(seed), f"walk-{seed}"   # noqa: S311  a test that can be repeated
        row: Row | None = None
        for _ in range(120):
            change = any_change(draw, name, row)
            expected: Answer = Applied() if transition.holds(change, row) else Refused(row)
            assert expected == settled(store, change), change
            if expected == Applied():
                row = transition.effect(change, row)
            if draw.random() < 0.2:
                assert row == self.seen(store, name)

    def test_a_name_that_was_never_used_has_no_row(self, store: Store) -> None:
        assert self.seen(store, "never") is None
        assert Refused(None) == settled(store, acquiring("never", 5))
        assert self.seen(store, "never") is None

    def test_a_refusal_shows_the_whole_row(self, store: Store) -> None:
        self.held(store, "a", 7)

        answer = settled(store, acquiring("a", 9, NONCES[2]))

        assert Refused(Row(
            state=State.HELD, fence=7, hb=0, nonce=NONCES[0], owner="somebody", lease_ms=5_000, since_ms=1_700_000_000_000,
        )) == answer

    def test_a_second_copy_of_each_change_does_nothing(self, store: Store) -> None:
        free = self.free(store, "a", 7)
        copies: list[Change] = [taking(free.version, "a", 8)]
        assert Applied() == settled(store, copies[0])
        held = self.seen(store, "a")
        assert held is not None
        copies += [
            Renew(name="a", fence=8, nonce=held.nonce, hb=0), Release(name="a", fence=8, nonce=held.nonce),
            Retire(name="a", seen=replace(held, hb=1, state=State.FREE).version),
            Bury(name="a", seen=replace(held, hb=1, state=State.RETIRED).version),
        ]
        for change in copies[1:]:
            assert Applied() == settled(store, change)

        assert [Refused(None)] * 5 == [settled(store, change) for change in copies]

    def test_the_token_of_an_acquire_has_to_be_higher(self, store: Store) -> None:
        free = self.free(store, "a", 7)

        assert [Refused(free), Refused(free), Applied()] == [settled(store, acquiring("a", fence)) for fence in (6, 7, 8)]

    def test_of_many_acquires_at_once_one_wins(self, store: Store) -> None:
        self.free(store, "a", 7)
        nonces = [uuid.uuid4() for _ in range(8)]

        answers = together(8, lambda n: settled(store, acquiring("a", 8 + n, nonces[n])))

        assert 1 == winners(answers, nonces)
        row = self.seen(store, "a")
        # what the others were shown is what the winner wrote
        assert {Refused(row)} == {answer for answer in answers if answer != Applied()}

    def test_of_many_takeovers_of_one_version_one_wins(self, store: Store) -> None:
        version, nonces = self.held(store, "a", 7).version, [uuid.uuid4() for _ in range(8)]

        answers = together(8, lambda n: settled(store, taking(version, "a", 8 + n, nonces[n])))

        assert 1 == winners(answers, nonces)

    def test_of_many_creations_at_once_one_wins(self, store: Store) -> None:
        nonces = [uuid.uuid4() for _ in range(8)]

        answers = together(8, lambda n: settled(store, Create(name="a", nonce=nonces[n], owner="maker")))

        assert (1, State.NEW) == (winners(answers, nonces), self.held_state(store, "a"))

    def test_the_floor_begins_at_nothing_and_only_rises(self, store: Store) -> None:
        before = store.floor(number=0, timeout_seconds=SECONDS)
        answers = [settled(store, RaiseFloor(name="a", fence=fence)) for fence in (5, 3, 5, 9)]

        assert (0, [Applied(), Refused(None), Refused(None), Applied()]) == (before, answers)
        assert 9 == store.floor(number=0, timeout_seconds=SECONDS)

    def test_the_floor_is_the_highest_of_many_at_once(self, store: Store) -> None:
        together(8, lambda n: settled(store, RaiseFloor(name="a", fence=100 + n)))

        assert 107 == store.floor(number=0, timeout_seconds=SECONDS)

    def test_two_namespaces_know_nothing_of_each_other(self, store: Store, make_store: MakeStore) -> None:
        other = make_store(f"other-{uuid.uuid4().hex[:12]}")
        self.held(store, "a", 7)
        settled(store, RaiseFloor(name="a", fence=5))

        assert (None, 0) == (self.seen(other, "a"), other.floor(number=0, timeout_seconds=SECONDS))
        assert [] == other.names(prefix="", after="", limit=10, timeout_seconds=SECONDS)
        other.close()

    def test_two_stores_of_one_namespace_see_the_same(self, store: Store, make_store: MakeStore) -> None:
        other = make_store(store.namespace)
        row = self.held(store, "a", 7)

        assert row == self.seen(other, "a")
        assert row == eventually(lambda: other.look("a", number=0, timeout_seconds=SECONDS), lambda seen: seen == row)
        other.close()

    def test_names_are_listed_in_order_and_in_pages(self, store: Store) -> None:
        names = ["a", "b:1", "b:2", "b:é", "b:日", "b:🔒", "c"]
        for name in reversed(names):
            self.held(store, name, 7)

        def page(prefix: str, after: str, limit: int) -> list[str]:
            return store.names(prefix=prefix, after=after, limit=limit, timeout_seconds=SECONDS)

        assert names == page("", "", 10)
        assert ["b:1", "b:2", "b:é"] == page("b:", "", 3)
        assert ["b:日", "b:🔒"] == page("b:", "b:é", 3)
        assert [] == page("z", "", 3)

    def test_names_and_owners_are_any_text(self, store: Store) -> None:
        name, owner = "it's \"a\" %s {x} $1 \\ 日本🔒", "O'Hara; DROP"
        settled(store, Create(name=name, nonce=NONCES[0], owner=owner))
        row = self.seen(store, name)
        assert row is not None
        settled(store, AcquireExact(
            name=name, seen=row.version, fence=7, nonce=NONCES[1], owner=owner, lease_ms=5_000, since_ms=1_700_000_000_000,
        ))

        row = self.seen(store, name)

        assert (owner, [name]) == (row and row.owner, store.names(prefix="it", after="", limit=9, timeout_seconds=SECONDS))

    def test_large_tokens_are_kept_exactly(self, store: Store) -> None:
        self.held(store, "a", 2**63 - 2)

        assert 2**63 - 2 == self.held_fence(store, "a")

    def test_events_are_kept_once_and_shown_newest_first(self, store: Store) -> None:
        begun = datetime(2030, 1, 1, tzinfo=UTC)
        events = [
            Event(
                id=uuid.uuid1(), at=begun + timedelta(seconds=number), name=name, kind="force.asked", token=number,
                actor="ann", reason="it's stuck",
            )
            for number, name in enumerate(["a", "b", "a"])
        ]
        for event in [*events, events[0]]:
            store.record(event, timeout_seconds=SECONDS)

        def shown(name: str, limit: int) -> list[Event]:
            return store.events(name, limit=limit, timeout_seconds=SECONDS)

        assert [events[2], events[0]] == eventually(lambda: shown("a", 9), lambda seen: len(seen) == 2)
        assert [events[2], events[1]] == eventually(lambda: shown("", 2), lambda seen: len(seen) == 2)

    @pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
    def test_a_forked_child_asks_for_itself(self, store: Store) -> None:
        self.free(store, "a", 7)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:    # the child must not run what pytest has registered for the end
            try:
                os.write(writer, type(settled(store, acquiring("a", 8))).__name__.encode())
            finally:
                os._exit(0)
        os.close(writer)
        said = os.read(reader, 100).decode()
        os.waitpid(child, 0)
        os.close(reader)

        assert "Applied" == said
        assert isinstance(settled(store, acquiring("b", 1)), Refused)    # and the parent goes on as before

    def seen(self, store: Store, name: str) -> Row | None:
        return store.read(name, number=0, timeout_seconds=SECONDS)

    def held_state(self, store: Store, name: str) -> State | None:
        row = self.seen(store, name)
        return None if row is None else row.state

    def held_fence(self, store: Store, name: str) -> int | None:
        row = self.seen(store, name)
        return None if row is None else row.fence

    def held(self, store: Store, name: str, fence: int) -> Row:
        """Bring a lock into state HELD, as the library does."""
        new = Create(name=name, nonce=NONCES[2], owner="maker")
        assert Applied() == settled(store, new)
        made = transition.effect(new, None)
        assert made is not None
        grant = AcquireExact(
            name=name, seen=made.version, fence=fence, nonce=NONCES[0], owner="somebody", lease_ms=5_000,
            since_ms=1_700_000_000_000,
        )
        assert Applied() == settled(store, grant)
        row = self.seen(store, name)
        assert row is not None
        return row

    def free(self, store: Store, name: str, fence: int) -> Row:
        """Bring a lock into state FREE, after a grant."""
        held = self.held(store, name, fence)
        assert Applied() == settled(store, Release(name=name, fence=fence, nonce=held.nonce))
        return replace(held, state=State.FREE)
