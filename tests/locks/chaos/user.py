"""One process that uses one lock until it is told to stop, and writes down what it was told."""

import logging
import random
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from locks.clock import Clock
from locks.errors import LockError, LockHeld, LockLost, LockStoreUnavailable, LockUnknown, NotGranted
from locks.locks import Locks
from locks.observer import Granted, Happening, Renewed
from locks.row import State
from locks.stores.cassandra import Address
from locks.testing.history import History, Recorder
from tests.locks.chaos import designs
from tests.locks.chaos.account import Account, Balance

NAMESPACE = "chaos"
SKEW_SECONDS = 30.0
OUTCOMES: dict[type, str] = {LockHeld: "busy", LockStoreUnavailable: "unavailable", LockUnknown: "unknown"}
STEPS = (2, 5, 20, 60)          # writes under one grant
FORCES, PURGES = 0.01, 0.03     # how often after a use


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What one process is to do."""

    folder: Path
    address: Address
    design: str
    index: int
    name: str
    lease_seconds: float


class SkewedClock(Clock):
    """A clock whose wall time is as wrong as somebody has set it."""

    def __init__(self, skew_seconds: float) -> None:
        self._skew = skew_seconds

    def wall(self) -> float:
        return super().wall() + self._skew


class Watched(Recorder):
    """A recorder that also shows, in memory shared with whoever throws faults, whether this process holds its lock."""

    def __init__(self, history: History, holding: Any, index: int) -> None:
        super().__init__(history)
        self._holding, self._index = holding, index

    def tell(self, happening: Happening) -> None:
        if isinstance(happening, Granted | Renewed):
            self._holding[self._index] = 1
        super().tell(happening)


def run(task: Task, stop: Any, holding: Any) -> None:
    """Use the lock until `stop`."""
    logging.disable(logging.CRITICAL)
    random.seed()
    history, account = History(task.folder, f"user{task.index}"), Account(task.folder)
    clock = SkewedClock(random.uniform(-SKEW_SECONDS, SKEW_SECONDS))
    locks = designs.DESIGNS[task.design](
        task.address, namespace=NAMESPACE, owner=f"user{task.index}", clock=clock, observer=Watched(history, holding, task.index),
    )
    while not stop[0]:
        _use(task, locks, history, account)
        holding[task.index] = 0
        _maintain(task, locks, history)
        time.sleep(random.uniform(0, 0.1))


def _use(task: Task, locks: Locks, history: History, account: Account) -> None:
    """Acquire once, count up a few times under the fence, release."""
    operation = uuid.uuid4()
    history.add("acquire.call", op=operation, name=task.name)
    try:
        lease = locks.acquire(
            task.name, lease=timedelta(seconds=task.lease_seconds), timeout=timedelta(seconds=random.uniform(1, 8)),
        )
    except NotGranted as exc:
        history.add(
            "acquire.return", op=operation, name=task.name, outcome=OUTCOMES[type(exc)], nonce=exc.nonce,
            holder=getattr(exc, "holder", None), holder_token=getattr(exc, "token", None), why=str(exc),
        )
        return
    history.add(
        "acquire.return", op=operation, name=task.name, outcome="held", token=lease.token, nonce=lease.nonce, deadline=lease.deadline,
    )
    try:
        for _ in range(random.choice(STEPS)):
            lease.check(timedelta(seconds=0.05))
            if (balance := account.begin(task.name, lease.token)) is None:
                history.add("write", name=task.name, token=lease.token, accepted=False)
                break
            time.sleep(random.uniform(0.005, 0.2))   # the work: a stop here is what fences are for
            wrote = account.write(task.name, lease.token, Balance(balance.value + 1, balance.plain + 1))
            history.add("write", name=task.name, token=lease.token, accepted=wrote)
    except LockLost:
        history.add("noticed", name=task.name, token=lease.token)
    history.add("release.call", name=task.name, token=lease.token)
    lease.release()


def _maintain(task: Task, locks: Locks, history: History) -> None:
    """Now and then do what an operator does."""
    dice = random.random()
    try:
        if dice < FORCES and (row := locks.inspect(task.name)) is not None and row.state == State.HELD:
            history.add("force.call", name=task.name, token=row.fence)
            locks.force_release(task.name, row.fence, reason="a test", by=f"user{task.index}")
        elif FORCES <= dice < PURGES:
            history.add("purge", name=task.name, how=locks.purge(task.name, by=f"user{task.index}").value)
    except LockError as exc:
        history.add("maintenance", name=task.name, why=str(exc))
