"""Exact orders of events that random mixes do not find, played against ours and against designs that lack one thing.

late request   what the first node is sent is held back until the caller has given up, and then delivered
lost reply     what the first node answers is lost, and then the connection
wrong clock    one node, or one client, is ahead of the others
"""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

import pytest

from bench.locks.seed import SCHEMA, SeedLocks
from locks.errors import NotGranted
from locks.locks import Locks
from locks.row import State
from locks.stores.cassandra import CassandraStore
from tests.locks.chaos.controls import DriverRetries, ReadAndForget, TimeToLive, Told
from tests.locks.chaos.user import SkewedClock
from tests.support.waiting import until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(420)]
LEASE = timedelta(seconds=30)


class Ours:
    """The locks of this house, told as the others are."""

    def __init__(self, address, *, namespace):
        self.locks = Locks(CassandraStore(address, namespace=namespace), background=False)

    def acquire(self, name):
        try:
            return Told(True, self.locks.acquire(name, lease=LEASE, timeout=timedelta(seconds=9)).nonce)
        except NotGranted as exc:
            return Told(False, exc.nonce)

    def connect(self, name):
        self.locks.inspect(name)

    def close(self):
        self.locks.close()


@dataclass(frozen=True, slots=True)
class Truth:
    """What a caller was told, and whether it is the holder."""

    told: bool
    holder: bool


@pytest.fixture
def ring(shared_ring):
    yield shared_ring
    shared_ring.heal()


def play(ring, design, hurt, *, then=lambda plain, name, fault: None):
    """Use a lock once, then acquire it while its first node is hurt; what the caller was told, and what is true in the end.

    `then` is done while the caller waits.
    """
    namespace, name = f"schedules-{uuid.uuid4().hex}", "x"
    plain = Locks(CassandraStore(ring.direct, namespace=namespace), background=False)
    plain.acquire(name, lease=LEASE).release()
    first = first_number(ring, plain.store, name)
    tried = design(ring.proxied, namespace=namespace)
    try:
        tried.connect(name)
        hurt(ring.faults[first])
        with ThreadPoolExecutor(1) as caller:
            asking = caller.submit(tried.acquire, name)
            then(plain, name, ring.faults[first])
            told = asking.result()
        ring.faults[first].heal()
        holder = settled(plain, name, told)
    finally:
        ring.faults[first].heal()
        tried.close()
        plain.close()
    return Truth(told.held, holder)


def settled(plain, name, told, *, seconds=4.0):
    """Return whether the caller turns out to be the holder, once what was held back has had time to arrive."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        row = plain.inspect(name)
        if (row.state, row.nonce) == (State.HELD, told.nonce):
            return True
        time.sleep(0.1)
    return False


def first_number(ring, store, name):
    return ring.nodes.index(ring.in_order(store, name)[0])


def hold_requests(fault):
    fault.hold_requests()


def lose_replies(fault):
    fault.lose_replies(1.0)


def break_off_once_it_holds(plain, name, fault):
    """The first copy has taken effect, its answer is lost: only now the driver hears that the connection is, and asks elsewhere."""
    until(lambda: plain.inspect(name).state == State.HELD, timeout=30)
    fault.break_off()


@pytest.mark.parametrize("hurt", [hold_requests, lose_replies], ids=["late request", "lost reply"])
def test_ours_is_granted_and_is_the_holder(ring, hurt):
    assert Truth(told=True, holder=True) == play(ring, Ours, hurt)


def test_who_reads_and_forgets_holds_what_it_was_told_it_has_not(ring):
    assert Truth(told=False, holder=True) == play(ring, ReadAndForget, hold_requests)


def test_the_drivers_own_retries_tell_the_holder_that_somebody_else_has_it(ring):
    assert Truth(told=False, holder=True) == play(ring, DriverRetries, lose_replies, then=break_off_once_it_holds)


def test_a_time_to_live_is_over_for_a_node_whose_clock_is_ahead(ring):
    ring.ring.create([TimeToLive.TABLE])
    takers = [TimeToLive(ring.direct, host=ring.nodes[number].host) for number in (0, 1)]
    try:
        name = str(uuid.uuid4())
        first, refused = takers[0].acquire(name), takers[1].acquire(name)
        ring.clocks[1].set(25)   # of a life of 20 s, at most some have passed
        second = until(lambda: (told := takers[1].acquire(name)).held and told, timeout=5, message="the second was never granted")
    finally:
        for taker in takers:
            taker.close()

    assert (True, False, True) == (first.held, refused.held, second.held)


def test_our_lease_is_not_over_for_a_node_whose_clock_is_ahead(ring):
    locks = Locks(CassandraStore(ring.direct, namespace=f"ahead-{uuid.uuid4().hex}"), background=False)
    other = Locks(CassandraStore(ring.direct, namespace=locks.store.namespace), background=False)
    try:
        lease = locks.acquire("x", lease=LEASE)
        for clock in ring.clocks[1:]:
            clock.set(3600)
        with pytest.raises(NotGranted):
            other.acquire("x", lease=LEASE, timeout=timedelta(seconds=2))

        lease.check()
    finally:
        locks.close()
        other.close()


def test_the_commonly_built_design_is_granted_twice_where_one_client_is_ahead(ring):
    ring.ring.create([statement.format(keyspace=ring.direct.keyspace) for statement in SCHEMA])
    right, ahead = SeedLocks(ring.direct), SeedLocks(ring.direct, wall=lambda: time.time() + 60)
    try:
        name = str(uuid.uuid4())
        first = right.acquire(name, lease_seconds=30)
        second = ahead.acquire(name, lease_seconds=30)

        assert (True, True) == (first.expire_at > time.time(), second.token > first.token)
    finally:
        right.close()
        ahead.close()


def test_ours_is_not_granted_twice_where_one_client_is_ahead(ring):
    locks = Locks(CassandraStore(ring.direct, namespace=f"client-{uuid.uuid4().hex}"), background=False)
    ahead = Locks(CassandraStore(ring.direct, namespace=locks.store.namespace), background=False, clock=SkewedClock(60))
    try:
        lease = locks.acquire("x", lease=LEASE)
        with pytest.raises(NotGranted):
            ahead.acquire("x", lease=LEASE, timeout=timedelta(seconds=2))

        lease.check()
    finally:
        locks.close()
        ahead.close()
