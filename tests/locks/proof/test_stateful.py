"""The real library against a network that loses, delays and doubles, with Hypothesis choosing what happens next."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from locks.answers import Applied
from locks.changes import Acquire, Grant
from locks.errors import LockError
from locks.forcing import Forced
from locks.locks import Locks
from locks.reaper import Reaper
from locks.row import State
from locks.stores.memory import MemoryStore
from locks.testing.clock import ManualClock
from locks.testing.network import BadNetwork, Fate
from locks.trust import Trust

NAMES = ["a", "b"]
LEASE = timedelta(seconds=6)
clients = st.integers(0, 2)
names = st.sampled_from(NAMES)


class WatchedStore(MemoryStore):
    """Refuse to hand out a token that is not above all before it, and remember what was granted."""

    def __init__(self, **options):
        self.highest = dict.fromkeys(NAMES, 0)
        super().__init__(**options)

    def deliver(self, change):
        answer = super().deliver(change)
        if isinstance(change, Grant) and isinstance(answer, Applied):
            assert change.fence > self.highest[change.name], "a token did not rise"
            self.highest[change.name] = change.fence
        return answer


class UnguardedStore(WatchedStore):
    """A store that forgets to compare tokens."""

    def deliver(self, change):
        row = self._rows.get(change.name)
        if isinstance(change, Acquire) and row is not None and row.state == State.FREE:
            self._rows[change.name] = replace(row, fence=0)
        return super().deliver(change)


class Machine(RuleBasedStateMachine):
    """Three clients with wrong wall clocks, two locks, one bad network."""

    make_store = WatchedStore
    trust = Trust()

    def __init__(self):
        super().__init__()
        self.clock = ManualClock()
        self.store = self.make_store(network=BadNetwork(self.fate, silent=lambda: False), attempt_seconds=1.0)
        self.leases, self.forced, self.losses = [], set(), []

    @initialize(random=st.randoms(use_true_random=False), well=st.sampled_from([0.3, 0.6, 0.9]))
    def begin(self, random, well):
        self.random, self.well = random, well
        self.clients = []
        for offset in (0.0, 40.0, -40.0):
            clock = ManualClock()
            clock.offset = offset
            clock.now, clock.advance = self.clock.now, self.advance
            self.clients.append(Locks(self.store, owner=f"{offset}", clock=clock, trust=self.trust, background=False))
        self.reaper = Reaper(self.clients[0])

    def fate(self, _):
        if self.store.network.late and self.random.random() < 0.2:
            self.store.network.deliver_late(self.random.randrange(len(self.store.network.late)))
        return Fate.WELL if self.random.random() < self.well else self.random.choice(list(Fate))

    def advance(self, seconds):
        """Let time pass for all, while those of the other clients who are awake do their work."""
        self.clock.advance(seconds)
        for client in self.clients:
            if self.random.random() < 0.3:
                client.keeper.run_once()

    @rule(client=clients, name=names, seconds=st.sampled_from([0.5, 3.0, 9.0]))
    def acquire(self, client, name, seconds):
        try:
            lease = self.clients[client].acquire(
                name, lease=LEASE, timeout=timedelta(seconds=seconds), on_lost=lambda lease, why: self.losses.append((lease, why)),
            )
        except LockError:
            return
        assert lease.token not in {other.token for other in self.leases if other.name == name}
        self.leases.append(lease)

    @rule(data=st.data())
    def release(self, data):
        if self.leases:
            data.draw(st.sampled_from(self.leases)).release(timeout=timedelta(seconds=1))

    @rule(client=clients)
    def keep(self, client):
        self.clients[client].keeper.run_once()
        self.clients[client].canceller.run_once()

    @rule(seconds=st.sampled_from([0.1, 1.0, 2.5, 7.0]))
    def wait(self, seconds):
        self.advance(seconds)

    @rule()
    def deliver(self):
        if self.store.network.late:
            self.store.network.deliver_late(self.random.randrange(len(self.store.network.late)))

    @rule()
    def reap(self):
        self.reaper.run_once()

    @rule(client=clients, name=names)
    def force(self, client, name):
        row = self.store._rows.get(name)
        if row is None:
            return
        self.forced.add((name, row.fence))
        try:
            done = self.clients[client].force_release(name, row.fence, reason="test", by="ann", timeout=timedelta(seconds=3))
        except LockError:
            return
        kinds = [event.kind for event in self.store.events(name, limit=2, timeout_seconds=1)]
        assert done is Forced.OVER or kinds == ["force.freed", "force.asked"]

    @rule(client=clients, name=names)
    def purge(self, client, name):
        self.clients[client].purge(name, by="ann", timeout=timedelta(seconds=3))

    @rule(client=clients)
    def purge_many(self, client):
        try:
            seen = self.clients[client].list(timeout=timedelta(seconds=3)).items
        except LockError:
            return
        self.advance(0.1)
        self.clients[client].purge_many(seen, by="ann", timeout=timedelta(seconds=3))

    @invariant()
    def one_holder_at_a_time(self):
        trusted = [
            lease.name for lease in self.leases
            if lease.remaining() > timedelta(0) and (lease.name, lease.token) not in self.forced
        ]
        assert len(trusted) == len(set(trusted)), "two holders at a time"

    def teardown(self):
        """Heal everything: then each lock can be had within a lease, whatever happened before."""
        if not hasattr(self, "clients"):
            return
        self.well = 1.0
        while self.store.network.late:
            self.store.network.deliver_late()
        for lease in self.leases:
            lease.release()
        self.clock.advance(0.0)
        for client, name in itertools.product(self.clients[:1], NAMES):
            client.acquire(name, lease=LEASE, timeout=LEASE * 1.2).release()
        self.one_holder_at_a_time()


def run(machine, examples, **options):
    run_state_machine_as_test(machine, settings=settings(
        max_examples=examples, stateful_step_count=30, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False, **options,
    ))


def test_no_fate_of_the_network_makes_two_holders_or_lets_a_token_fall():
    run(Machine, 150)


@pytest.mark.parametrize(("name", "changed", "fault"), [
    ("NoGuard", {"make_store": UnguardedStore}, "a token did not rise"),    # a store that does not compare tokens
    ("Hasty", {"trust": Trust(rate_error=-0.5)}, "two holders"),            # takes over after half a lease
])
def test_a_rule_that_is_left_out_is_found_out(name, changed, fault):
    with pytest.raises(AssertionError, match=fault):
        run(type(name, (Machine,), changed), 600, phases=[Phase.generate])
