"""Let whoever has a lock acquire it again."""

import asyncio
import threading
from datetime import timedelta
from types import TracebackType
from typing import Self

from locks.lease import Lease
from locks.locks import LEASE, TIMEOUT, Locks


class Hold:
    """One level of holding; the lock is released with the last one."""

    def __init__(self, reentrant: "Reentrant", lease: Lease, who: tuple[object, str]) -> None:
        self._reentrant, self.lease, self._who = reentrant, lease, who
        self._left = False

    @property
    def token(self) -> int:
        """The same on all levels: it names the grant."""
        return self.lease.token

    def check(self, min_remaining: timedelta = timedelta(0)) -> None:
        self.lease.check(min_remaining)

    def release(self) -> None:
        """Leave this level, once."""
        if not self._left:
            self._left = True
            self._reentrant.leave(self._who)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave. A block that outlived its lease ends with LockLost, as with a plain lease."""
        try:
            if kind is None:
                self.lease.check()
        finally:
            self.release()


class Reentrant:
    """Count, per thread or asyncio task of this process, how deep each lock is held. Other processes see one holder.

    Off unless you ask for it: code that acquires what it already has is often a mistake, and this hides it.
    """

    def __init__(self, locks: Locks) -> None:
        self._locks = locks
        self._held: dict[tuple[object, str], tuple[Lease, int]] = {}
        self._guard = threading.Lock()

    def acquire(self, name: str, *, lease: timedelta = LEASE, timeout: timedelta = TIMEOUT) -> Hold:
        """Return a further level of what is already held here, or acquire it. Raise LockLost when what is held is over."""
        who = (_here(), name)
        with self._guard:
            held = self._held.get(who)
            if held is not None:
                held[0].check()
                self._held[who] = (held[0], held[1] + 1)
                return Hold(self, held[0], who)
        granted = self._locks.acquire(name, lease=lease, timeout=timeout)    # nobody else has this thread's key meanwhile
        with self._guard:
            self._held[who] = (granted, 1)
        return Hold(self, granted, who)

    def leave(self, who: tuple[object, str]) -> None:
        with self._guard:
            lease, depth = self._held.pop(who)
            if depth > 1:
                self._held[who] = (lease, depth - 1)
                return
        lease.release()


def _here() -> object:
    """Return who is asking: the task that runs, or else the thread."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return threading.get_ident() if task is None else task
