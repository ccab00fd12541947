"""A turn of Celery's loop, made cheaper while every slot works: a short job takes a few turns, and they cost more than it.

At each turn kombu looks whether to ask the broker again, and Celery's pool whether a child's pipe wants writing; both
do that with system calls, and nearly always for nothing. Here the broker is asked again at most every few milliseconds
while all slots are full, for a ticket could start nothing then; and a pipe is looked after only when there is something
to write or to stop watching. A request is written to its idle child at once instead of at the next turn.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import structlog

BROKER = ("kombu.transport.redis", "Transport.register_with_event_loop.<locals>.on_poll_start")
PIPES = ("celery.concurrency.asynpool", "AsynPool._create_write_handlers.<locals>.on_poll_start")
BROKER_SECONDS = 0.02

log = structlog.get_logger(__name__)


class Gate:
    """One of the hub's callbacks of each turn, called only when `needed` says so."""

    def __init__(self, callback: Callable[[], None], needed: Callable[[], bool]) -> None:
        self.callback, self.needed = callback, needed

    def __eq__(self, other: object) -> bool:   # whoever removes its callback from the loop finds it under the gate
        return other == self.callback or (isinstance(other, Gate) and other.callback == self.callback)

    def __hash__(self) -> int:
        return hash(self.callback)

    def __call__(self) -> None:
        if self.needed():
            self.callback()


class BrokerTime:
    """Whether to look after the broker's sockets: always with a free slot, else after a while."""

    def __init__(self, full: Callable[[], bool]) -> None:
        self._full, self._at = full, 0.0

    def __call__(self) -> bool:
        now = time.monotonic()
        if now - self._at < BROKER_SECONDS and self._full():
            return False
        self._at = now
        return True


def gate(hub: Any, pool: Any, *, full: Callable[[], bool]) -> None:
    """Put gates before the callbacks that cost the most. Call it again after a reconnect, which brings new ones."""
    for callback in list(hub.on_tick):
        name = (getattr(callback, "__module__", ""), getattr(callback, "__qualname__", ""))
        if name == BROKER:
            needed: Callable[[], bool] = BrokerTime(full)
        elif name == PIPES:
            needed = functools.partial(_pipes_need, hub, pool._pool)  # noqa: SLF001  contract test
        else:
            continue
        hub.on_tick.discard(callback)
        hub.on_tick.add(Gate(callback, needed))


def turn(hub: Any, loop: Any) -> Any:
    """Turn a loop once where Celery itself does not; return the loop to turn next."""
    try:
        next(loop)
    except StopIteration:
        return hub.create_loop()
    except Exception as exc:  # noqa: BLE001  a lost broker must not keep the rows
        log.warning("worker.loop", error=f"{type(exc).__name__}: {exc}")
        return hub.create_loop()
    return loop


def _pipes_need(hub: Any, pool: Any) -> bool:
    """Whether a request waits to be written, or a pipe is still watched for room."""
    return bool(pool.outbound_buffer or hub.consolidate)


def write(hub: Any, pool: Any) -> None:
    """Write what waits to the children that wait for it; a pipe that is full is left to the loop, as ever."""
    pool = pool._pool  # noqa: SLF001  contract test
    if pool.outbound_buffer:
        idle = pool._all_inqueues - pool._busy_workers - pool._active_writes  # noqa: SLF001  as above
        if idle and hub.consolidate_callback is not None:   # None: between two loops, the next of which writes it
            hub.consolidate_callback(list(idle))
