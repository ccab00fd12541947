"""A cluster is looked over before the first lock in it: where locks could be granted twice, none is granted.

Only Cassandra has settings by which it does. All nodes are asked, and one that is frozen would hold up everybody, so nobody
waits for that longer than a moment; what is found later counts from then on. A cluster that was found unfit, or could not be
asked, is looked over again after a while: what is repaired needs no restart.
"""

import threading
from typing import Any, cast

import structlog

from core import clock
from locks import LockError, Store
from locks.answers import Answer
from locks.changes import Change
from locks.forking import remember_to_forget
from locks.stores.cassandra import CassandraStore, checks
from locks.stores.cassandra.checks import Weight

WAIT_SECONDS = 1.0
AGAIN_SECONDS = 30.0
log = structlog.get_logger(__name__)


class Unfit(LockError):
    """The store would grant locks twice, or has no tables: nothing is asked of it. The message names each remedy."""

    def __init__(self, why: str) -> None:
        super().__init__("", f"the store of locks is not fit for use: {why}")


class Vetted:
    """A store whose cluster is looked over when this process first changes something there."""

    def __init__(self, store: CassandraStore) -> None:
        self._store = store
        self.forget()
        remember_to_forget(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)   # all but `attempt` is as it is: looking does no harm

    def forget(self) -> None:
        """Begin anew in a forked child, where no thread looks."""
        self._guard = threading.Lock()
        self._looking: threading.Event | None = None
        self._next_look: float | None = 0.0   # None: found fit, for good
        self._wrong = ""

    def attempt(self, change: Change, *, number: int, timeout_seconds: float) -> Answer:
        """Try the change, unless the cluster was found unfit: raise `Unfit` then."""
        if self._next_look is not None:
            began = clock.elapsed()
            self._look(min(WAIT_SECONDS, timeout_seconds / 2))
            timeout_seconds -= clock.elapsed() - began
            if self._wrong:
                raise Unfit(self._wrong)
        return self._store.attempt(change, number=number, timeout_seconds=timeout_seconds)

    def _look(self, seconds: float) -> None:
        """Have it looked over if it is time for that, and wait a moment for what comes of it."""
        with self._guard:
            if self._looking is None and self._next_look is not None and clock.elapsed() >= self._next_look:
                self._looking = threading.Event()
                threading.Thread(target=self._examine, args=(self._looking,), name="locks-vetting", daemon=True).start()
            looking = self._looking
        if looking is not None:
            looking.wait(seconds)

    def _examine(self, done: threading.Event) -> None:
        wrong = self._wrong
        following: float | None = clock.elapsed() + AGAIN_SECONDS
        try:
            found = checks.findings(checks.facts(self._store.address), self._store.address)
        except Exception as exc:  # noqa: BLE001  a store that cannot be asked says so to whoever asks it
            log.warning("locks.not_vetted", error=f"{type(exc).__name__}: {exc}")
        else:
            for finding in found:
                log.warning("locks.finding", weight=finding.weight.value, what=finding.what, remedy=finding.remedy)
            wrong = "; ".join(str(finding) for finding in found if finding.weight is Weight.WRONG)
            following = following if wrong else None
        with self._guard:
            self._wrong, self._next_look, self._looking = wrong, following, None
        done.set()


def vetted(store: Store) -> Store:
    """Return the store, looked over before its first change if it is one that can be wrong."""
    return cast("Store", Vetted(store)) if isinstance(store, CassandraStore) else store
