"""What goes wrong: one fault at a time, each with its end; and all of them at once."""

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil
import redis

from tests.chaos.harness import LEASE_SECONDS, QUEUE, Stack
from tests.chaos.processes import Worker

Undo = Callable[[], object]


def lasts(seconds: float) -> None:
    """Let a fault last: the one thing here that no condition ends."""
    time.sleep(seconds)


def stop_postgres_at_once(stack: Stack) -> None:
    """End PostgreSQL as `pg_ctl stop -m immediate` does: no open transaction is ended, no checkpoint made."""
    process = stack.postgres.process
    assert process is not None
    process.send_signal(signal.SIGQUIT)
    process.wait(30)


def kill_a_child(worker: Worker) -> bool:
    """Kill one of the processes that run handlers; False when there was none just then."""
    with suppress(psutil.NoSuchProcess):
        if found := worker.children():
            random.choice(found).kill()
            return True
    return False


@contextmanager
def between(stack: Stack, deliver: Callable[[int], int]) -> Iterator[list[int]]:
    """Stand between the broker and the workers: every ticket is taken out, and put back as often as `deliver` says.

    `deliver` is given the ticket's number. Who waits longest is served first, so that this thread gets a message
    before a worker, which asks anew each second. Yield the list of what was delivered.
    """
    over = threading.Event()
    delivered: list[int] = []
    known: set[bytes] = set()

    def stand() -> None:
        with stack.valkey.client(timeout_seconds=10) as client:
            while not over.is_set():
                found = client.brpop([QUEUE], timeout=0.2)
                if found is None:
                    continue
                message = found[1]
                if message in known:   # our own copy: back to the workers, before we stand in line again
                    client.rpush(QUEUE, message)
                    time.sleep(0.002)
                    continue
                times = deliver(len(delivered))
                known.add(message)
                delivered.append(times)
                if times:
                    client.rpush(QUEUE, *[message] * times)

    thread = threading.Thread(target=stand, name="between")
    thread.start()
    try:
        yield delivered
    finally:
        over.set()
        thread.join()


class Storm:
    """Faults at random, several at a time, each undone a while later. Call it from the main thread."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self.stack, self.random = stack, random.Random(seed)
        self.history: list[str] = []
        self._undo: list[tuple[float, Undo]] = []
        self._away: set[str] = set()   # a server is frozen or down once at a time

    def rages(self, seconds: float) -> None:
        """Do one fault after the other for so long, then end them all."""
        faults = (
            self._kill_group, self._kill_main, self._kill_child, self._freeze, self._flush, self._broker_down,
            self._broker_silent, self._database_down, self._database_frozen, self._ask_to_stop, self._kill_beat,
        )
        over = time.monotonic() + seconds
        bag: list[Callable[[], None]] = []
        while time.monotonic() < over:
            bag = bag or self.random.sample(faults, k=len(faults))   # each comes, in any order
            bag.pop()()
            lasts(self.random.uniform(0.4, 2.0))
            self._end_those_due()
            self._replace()
        self._end_those_due(all_of_them=True)
        self._replace()

    def _later(self, undo: Undo, *, least: float = 0.5, most: float = LEASE_SECONDS + 3.0) -> None:
        self._undo.append((time.monotonic() + self.random.uniform(least, most), undo))

    def _end_those_due(self, *, all_of_them: bool = False) -> None:
        due = [each for each in self._undo if all_of_them or each[0] <= time.monotonic()]
        self._undo = [each for each in self._undo if each not in due]
        for _, undo in due:
            undo()

    def _replace(self) -> None:
        """Start workers for those that are gone, as a supervisor would."""
        for worker in [each for each in self.stack.workers if not each.alive]:
            self.stack.workers.remove(worker)
            self.stack.add_worker(pool=worker.pool, slots=worker.slots, wait=False)

    def _worker(self) -> Worker:
        return self.random.choice(self.stack.workers)

    def _note(self, what: str) -> None:
        self.history.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {what}")

    def _kill_group(self) -> None:
        self._note("kill group")
        self._worker().kill_group()

    def _kill_main(self) -> None:
        self._note("kill main")
        self._worker().kill_main()

    def _kill_child(self) -> None:
        self._note("kill child")
        kill_a_child(self._worker())

    def _ask_to_stop(self) -> None:
        self._note("SIGTERM")
        self._worker().ask_to_stop()

    def _freeze(self) -> None:
        self._note("freeze")
        worker = self._worker()
        worker.freeze()
        self._later(worker.thaw)

    def _flush(self) -> None:
        if "valkey" not in self._away:
            self._note("FLUSHALL")
            with self.stack.valkey.client() as client, suppress(redis.RedisError):
                client.flushall()

    def _broker_down(self) -> None:
        self._server("valkey", "broker down", self.stack.valkey.kill, self.stack.valkey.start)

    def _broker_silent(self) -> None:
        self._server("valkey", "broker silent", self.stack.valkey.stall, self.stack.valkey.resume)

    def _database_down(self) -> None:
        self._server("postgres", "database down", lambda: stop_postgres_at_once(self.stack), self.stack.postgres.start)

    def _database_frozen(self) -> None:
        self._server("postgres", "database frozen", self.stack.postgres.stall, self.stack.postgres.resume)

    def _server(self, name: str, what: str, fault: Undo, undo: Undo) -> None:
        if name in self._away:
            return
        self._note(what)
        self._away.add(name)
        fault()

        def back() -> None:
            undo()
            self._away.discard(name)

        self._later(back, most=3.0)   # else there is hardly a time in which both servers answer

    def _kill_beat(self) -> None:
        if self.stack.beat is not None:
            self._note("kill beat")
            self.stack.beat.kill_group()
            self.stack.beat = None

            def back() -> None:
                self.stack.beat = self.stack.launch_beat()

            self._later(back)
