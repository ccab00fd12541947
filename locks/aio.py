"""The same locks for asyncio: nothing here blocks the event loop."""

import asyncio
import functools
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from locks.crew import Crew
from locks.forking import remember_to_forget
from locks.lease import Ending, Lease
from locks.locks import LEASE, TIMEOUT, Locks

T = TypeVar("T")
THREADS = 64    # calls that wait at the same time; further ones wait for a thread


class AsyncLease:
    """A lease of an asyncio program; `token`, `check` and `deadline` need no waiting."""

    def __init__(self, locks: "AsyncLocks", lease: Lease) -> None:
        self._locks, self.lease = locks, lease

    @property
    def token(self) -> int:
        return self.lease.token

    @property
    def deadline(self) -> float:
        return self.lease.deadline

    def check(self, min_remaining: timedelta = timedelta(0)) -> None:
        self.lease.check(min_remaining)

    async def renew(self, *, timeout: timedelta | None = None) -> None:   # noqa: ASYNC109  it bounds the store, not the task
        await self._locks.call(functools.partial(self.lease.renew, timeout=timeout))

    async def release(self, *, timeout: timedelta | None = None) -> Ending:   # noqa: ASYNC109  as above
        return await self._locks.call(functools.partial(self.lease.release, timeout=timeout))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._locks.call(functools.partial(self.lease.__exit__, kind, error, trace))


class AsyncLocks:
    """`Locks` on threads of its own. A cancelled acquire gives back what it wins afterwards."""

    def __init__(self, locks: Locks) -> None:
        self._locks = locks
        self._crew = Crew("locks-asyncio", most=THREADS)
        remember_to_forget(self._crew)

    async def acquire(
        self, name: str, *, lease: timedelta = LEASE, owner: str = "",
        timeout: timedelta = TIMEOUT,   # noqa: ASYNC109  it bounds the waiting for the lock
        on_lost: Callable[[Lease, str], None] | None = None, on_danger: Callable[[Lease, float], None] | None = None,
    ) -> AsyncLease:
        """As `Locks.acquire`; the callbacks run on the event loop."""
        return await self._granted(functools.partial(
            self._locks.acquire, name, lease=lease, timeout=timeout, owner=owner, on_lost=self._here(on_lost),
            on_danger=self._here(on_danger),
        ))

    async def try_acquire(
        self, name: str, *, lease: timedelta = LEASE, owner: str = "",
        timeout: timedelta | None = None,   # noqa: ASYNC109  as above
        on_lost: Callable[[Lease, str], None] | None = None, on_danger: Callable[[Lease, float], None] | None = None,
    ) -> AsyncLease:
        """As `Locks.try_acquire`; the callbacks run on the event loop."""
        return await self._granted(functools.partial(
            self._locks.try_acquire, name, lease=lease, timeout=timeout, owner=owner, on_lost=self._here(on_lost),
            on_danger=self._here(on_danger),
        ))

    async def call(self, blocking: Callable[[], T], *, unwanted: Callable[[T], Any] | None = None) -> T:
        """Run something that waits, such as `locks.inspect`, on a thread; `unwanted` gets the result of a cancelled call."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if future.cancelled():
                if error is None and unwanted is not None:
                    self._crew.run(lambda: unwanted(result))   # type: ignore[arg-type]   # without an error it is a T
            elif error is None:
                future.set_result(result)   # type: ignore[arg-type]   # as above
            else:
                future.set_exception(error)

        def work() -> None:
            result: T | None = None
            error: BaseException | None = None
            try:
                result = blocking()
            except Exception as exc:   # noqa: BLE001  whatever it is, it is the caller's
                error = exc
            try:
                loop.call_soon_threadsafe(settle, result, error)
            except RuntimeError:    # the loop is closed: nobody waits any more
                if error is None and unwanted is not None:
                    unwanted(result)   # type: ignore[arg-type]   # as above

        self._crew.run(work)
        return await future

    async def _granted(self, acquire: Callable[[], Lease]) -> AsyncLease:
        return AsyncLease(self, await self.call(acquire, unwanted=Lease.release))

    def _here(self, callback: Callable[..., None] | None) -> Callable[..., None] | None:
        """Have a callback run on the loop of whoever asks, since it is called on a thread."""
        if callback is None:
            return None
        loop = asyncio.get_running_loop()

        def told(*facts: Any) -> None:
            loop.call_soon_threadsafe(callback, *facts)

        return told
