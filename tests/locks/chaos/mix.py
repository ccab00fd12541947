"""The users, the faults, and their schedule; at the end, the verdict."""

import collections
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from locks.locks import Locks
from locks.stores.cassandra import CassandraStore
from locks.testing.checker import Verdict, Wait, check, waits
from locks.testing.history import Event, History, load
from tests.locks.chaos import user
from tests.locks.chaos.account import Account
from tests.support.cassandra.hurt import HurtRing
from tests.support.cassandra.proxy import spawn

NAMES, USERS = ("red", "green", "blue"), 4      # a name
SKEW_SECONDS = 30.0
DECK = {
    "stop_holder": 3, "kill_holder": 2, "pause_node": 2, "lose_replies": 3, "hold_requests": 3, "hold_replies": 1,
    "pause_majority": 1, "shift_clock": 2, "kill_node": 1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is like; the same seed throws the same faults."""

    seconds: float
    lease_seconds: float = 6.0
    design: str = "ours"
    only: tuple[str, ...] = ()
    seed: int = field(default_factory=lambda: int(time.time()))


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of a run."""

    plan: Plan
    paxos: str
    folder: Path
    faults: collections.Counter[str]
    events: list[Event]
    verdict: Verdict
    account: list[str]
    lost_without_fence: int
    waits: list[Wait]

    @property
    def violations(self) -> list[str]:
        """Return everything that must not be, in words."""
        found = [f"{each.rule}: {each.name} {each.detail}" for each in self.verdict.violations]
        return found + self.account


class Mix:
    """A run on a ring that is healthy when it begins, and when it has ended."""

    def __init__(self, ring: HurtRing, folder: Path, plan: Plan) -> None:
        self.ring, self.folder, self.plan = ring, folder, plan
        self._random = random.Random(plan.seed)
        self._stop = spawn.RawArray("i", 1)
        self._holding = spawn.RawArray("i", len(NAMES) * USERS)
        self._history = History(folder, "faults")
        self._users: list[BaseProcess] = []

    def run(self) -> Outcome:
        """Throw faults at the users for as long as planned, let all get well, and judge."""
        names = [name for name in DECK if not self.plan.only or name in self.plan.only]
        deck: list[str] = []
        done: collections.Counter[str] = collections.Counter()
        try:
            self._users = [self._launch(index) for index in range(len(NAMES) * USERS)]
            end = time.monotonic() + self.plan.seconds
            while time.monotonic() < end:
                if not deck:   # every fault once before any comes again
                    deck = [name for name in names for _ in range(DECK[name])]
                    self._random.shuffle(deck)
                fault = deck.pop()
                done[fault] += 1
                getattr(self, fault)()
                time.sleep(self._random.uniform(0.5, 3))
            time.sleep(self.plan.lease_seconds + 2)   # well again: everybody gets a last turn
        finally:
            self._end()
        return self._outcome(done)

    def stop_holder(self) -> None:
        process = self._users[self._holder()]
        with self._fault("stop holder"):
            self._history.add("stopped", victim=process.pid)
            self._signal(process, signal.SIGSTOP)
            time.sleep(self._random.choice((1, 4, 8, 12)))
            self._signal(process, signal.SIGCONT)
            self._history.add("continued", victim=process.pid)

    def kill_holder(self) -> None:
        index = self._holder()
        with self._fault("kill holder"):
            process = self._users[index]
            process.kill()
            process.join()
            self._history.add("killed", victim=process.pid)
            self._holding[index] = 0
            self._users[index] = self._launch(index)

    def pause_node(self) -> None:
        node = self._random.choice(self.ring.nodes)
        self._during("pause node", self._random.uniform(2, 8), node.stall, node.resume)

    def pause_majority(self) -> None:
        nodes = self._random.sample(self.ring.nodes, 2)
        with self._fault("pause majority"):
            for node in nodes:
                node.stall()
            time.sleep(self._random.uniform(2, 9))
            for node in nodes:
                node.resume()

    def kill_node(self) -> None:
        node = self._random.choice(self.ring.nodes)
        self._during("kill node", 1, node.kill, node.start)

    def lose_replies(self) -> None:
        hit = self._random.sample(self.ring.faults, self._random.choice((1, 3)))
        share = self._random.choice((0.2, 0.5, 1.0))
        with self._fault("lose replies"):
            for each in hit:
                each.lose_replies(share)
            time.sleep(self._random.uniform(1, 5))
            for each in hit:
                each.heal()

    def hold_replies(self) -> None:
        hit = self._random.choice(self.ring.faults)
        self._during("hold replies", self._random.uniform(1, 4), hit.hold_replies, hit.heal)

    def hold_requests(self) -> None:
        hit = self._random.sample(self.ring.faults, self._random.choice((1, 2)))
        with self._fault("hold requests"):
            for each in hit:
                each.hold_requests()
            time.sleep(self._random.uniform(1, 4))
            for each in hit:
                each.heal()

    def shift_clock(self) -> None:
        number = self._random.randrange(len(self.ring.clocks))
        seconds = self._random.choice((0.0, self._random.uniform(-SKEW_SECONDS, SKEW_SECONDS)))
        self._history.add("clock", node=number, seconds=seconds)
        self.ring.clocks[number].set(seconds)

    @contextmanager
    def _fault(self, name: str) -> Iterator[None]:
        self._history.add("fault", fault=name)
        yield
        self._history.add("heal", fault=name)

    def _during(self, name: str, seconds: float, begin: Callable[[], Any], end: Callable[[], Any]) -> None:
        with self._fault(name):
            begin()
            time.sleep(seconds)
            end()

    def _holder(self) -> int:
        holders = [index for index, holds in enumerate(self._holding) if holds]
        return self._random.choice(holders or range(len(self._users)))

    def _signal(self, process: BaseProcess, number: int) -> None:
        if process.pid is not None and process.is_alive():
            os.kill(process.pid, number)

    def _launch(self, index: int) -> BaseProcess:
        task = user.Task(
            folder=self.folder, address=self.ring.proxied, design=self.plan.design, index=index, name=NAMES[index % len(NAMES)],
            lease_seconds=self.plan.lease_seconds,
        )
        process = spawn.Process(target=user.run, args=(task, self._stop, self._holding), name=f"user{index}", daemon=True)
        process.start()
        return process

    def _end(self) -> None:
        self._stop[0] = 1
        for process in self._users:
            self._signal(process, signal.SIGCONT)
        for process in self._users:
            process.join(20)
            if process.is_alive():
                process.kill()
                process.join()
        self.ring.heal()

    def _outcome(self, done: collections.Counter[str]) -> Outcome:
        events, account = load(self.folder), Account(self.folder)
        store = CassandraStore(self.ring.direct, namespace=user.NAMESPACE)
        locks = Locks(store, background=False)
        try:
            floor = locks.floor()
            found = {name: locks.inspect(name) for name in NAMES}
            recorded = [
                (event.name, event.token) for name in NAMES for event in locks.history(name, limit=10_000)
                if event.kind.startswith("force.")
            ]
        finally:
            locks.close()
        rows = {name: floor if row is None else max(row.fence, floor if not row.fence else 0) for name, row in found.items()}
        try:
            return Outcome(
                plan=self.plan, paxos=self.ring.paxos, folder=self.folder, faults=done, events=events,
                verdict=check(events, lease_seconds=self.plan.lease_seconds, rows=rows, recorded=recorded),
                account=account.violations(), lost_without_fence=account.lost_without_fence(), waits=waits(events),
            )
        finally:
            account.close()
