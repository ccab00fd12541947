"""`python -m bench.locks.outages`: what those who use locks feel of a node that is killed, one that is frozen, and two that are gone.

Threads acquire and release names without a pause while it happens. What took how long from when on is compared with the same
minutes before. It takes about four minutes, prints a table and writes it to bench/reports/.
"""

import argparse
import collections
import itertools
import signal
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "platform")]   # a bare checkout works without being installed

from core.devserver.cassandra.node import Cassandra, Tuning  # noqa: E402  the path comes first
from core.devserver.cassandra.programs import programs  # noqa: E402
from core.devserver.cassandra.ring import Ring  # noqa: E402
from locks import Lease, LockError, Locks  # noqa: E402
from locks.stores.cassandra import Address, CassandraStore, schema  # noqa: E402

KEYSPACE = "locks"
THREADS, NAMES = 2, 24            # names enough that each node is the first one of some
LEASE, TIMEOUT = timedelta(seconds=30), timedelta(seconds=10)
SHORT, LITTLE = timedelta(seconds=6), timedelta(seconds=4)
NORMAL, KILLED, FROZEN, GONE = 20.0, 25.0, 45.0, 20.0


@dataclass(frozen=True, slots=True)
class Use:
    """One acquire and its release."""

    began: float
    acquire: float
    release: float
    error: str = ""


class Users:
    """Threads that use the names until they are stopped."""

    def __init__(self, locks: Locks, *, timeout: timedelta = TIMEOUT) -> None:
        self._locks, self._timeout = locks, timeout
        self._uses: list[Use] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,), daemon=True) for number in range(THREADS)]

    def run(self, seconds: float) -> list[Use]:
        """Return what was used from now on, as it began."""
        for thread in self._threads:
            thread.start()
        time.sleep(seconds)
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return sorted(self._uses, key=lambda use: use.began)

    def _work(self, number: int) -> None:
        for name in itertools.cycle([f"name-{each}" for each in range(number, NAMES, THREADS)]):
            if self._stop.is_set():
                return
            self._uses.append(self._use(name))

    def _use(self, name: str) -> Use:
        first = time.monotonic()
        try:
            lease = self._locks.acquire(name, lease=LEASE, timeout=self._timeout)
        except LockError as exc:
            return Use(first, time.monotonic() - first, 0.0, type(exc).__name__)
        second = time.monotonic()
        ending = lease.release().value
        return Use(first, second - first, time.monotonic() - second, "" if ending == "released" else f"release {ending}")


def main() -> int:
    """Run what the command line asks for."""
    asked = _asked()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))   # so that nodes go as they do after Ctrl-C
    found = programs(say=_say)
    with tempfile.TemporaryDirectory(prefix="bench-locks-") as folder:
        ring = Ring(data_dir=Path(folder), programs=found, tuning=Tuning(paxos=asked.paxos)).start()
        try:
            address = Address(hosts=tuple(ring.contact_points), port=ring.port, keyspace=KEYSPACE)
            schema.apply(address)
            lines = list(_outages(ring, Locks(CassandraStore(address, namespace=uuid.uuid4().hex))))
        finally:
            ring.kill()
    text = "\n".join([f"Paxos {asked.paxos}, {THREADS} threads, {NAMES} names; milliseconds of an acquire with its release", *lines])
    report = ROOT / "bench" / "reports" / f"locks-outages-{time.strftime('%Y%m%d-%H%M%S')}"
    report.mkdir(parents=True)
    (report / "report.txt").write_text(text + "\n", encoding="utf-8")
    print(f"{text}\n\nwritten to {report.relative_to(ROOT)}/")
    return 0


def _outages(ring: Ring, locks: Locks) -> Iterator[str]:
    Users(locks).run(10.0)   # connect, and use each name once
    usual = Users(locks).run(NORMAL)
    yield _line("all nodes", usual)
    for title, hurt, heal, seconds, well in (
        ("one killed", Cassandra.kill, Cassandra.start, KILLED, 5.0), ("one frozen", Cassandra.stall, Cassandra.resume, FROZEN, 20.0),
    ):
        yield from _one(ring, locks, usual, title=title, hurt=hurt, heal=heal, seconds=seconds, well=well)
    yield from _two(ring, locks)
    locks.close()


def _one(
    ring: Ring, locks: Locks, usual: Sequence[Use], *, title: str, hurt: Callable[[Cassandra], object],
    heal: Callable[[Cassandra], object], seconds: float, well: float,
) -> Iterator[str]:
    """Hurt one node, and compare what comes `well` seconds after with what was usual."""
    _say(title)
    node = ring.nodes[1]
    at = time.monotonic()
    hurt(node)
    uses = Users(locks).run(seconds)
    heal(node)
    ring.wait_usable()
    yield _line(f"{title}: first {well:.0f} s", [use for use in uses if use.began < at + well])
    after = [use for use in uses if use.began >= at + well]
    yield _line(f"{title}: from then on", after) + f", p99 {_p99(after) / _p99(usual):.1f} x the usual"
    Users(locks).run(5.0)   # until the driver knows it again


def _two(ring: Ring, locks: Locks) -> Iterator[str]:
    """Kill two nodes under a lease, bring them back, and see who needs to be started anew: nobody."""
    _say("two killed")
    lost = list[tuple[float, str]]()

    def on_lost(_lease: Lease, why: str) -> None:
        lost.append((time.clock_gettime(time.CLOCK_BOOTTIME), why))

    held = locks.acquire("held", lease=SHORT, timeout=TIMEOUT, on_lost=on_lost)
    for node in ring.nodes[1:]:
        node.kill()
    uses = Users(locks, timeout=LITTLE).run(GONE)
    told = collections.Counter(use.error or "granted" for use in uses)
    late = max((use.acquire for use in uses), default=0.0) - LITTLE.total_seconds()
    yield f"{'two killed':28} told {dict(told)}, the latest {late:+.2f} s after the caller's timeout"
    yield f"{'':28} the lease was lost {lost[0][0] - held.deadline:+.2f} s after its deadline ({lost[0][1]})" if lost else "NOT LOST"
    for node in ring.nodes[1:]:
        node.start()
    ring.wait_usable()
    began, again = time.monotonic(), Users(locks).run(20.0)
    last = max((use.began + use.acquire for use in again if use.error), default=began)
    yield _line("two are back", [use for use in again if use.began > last]) + f"; the last error {last - began:.1f} s after that"


def _line(title: str, uses: Sequence[Use]) -> str:
    wrong = collections.Counter(use.error for use in uses if use.error)
    pairs = sorted(use.acquire + use.release for use in uses if not use.error)
    if len(pairs) < 2:   # of fewer there are no quantiles
        return f"{title:28} {len(uses)} pairs, failed {dict(wrong)}"
    longest = max(max(use.acquire, use.release) for use in uses)
    return (
        f"{title:28} {len(pairs):5} pairs, p50 {statistics.median(pairs) * 1000:6.1f}, p99 {_p99(uses) * 1000:7.1f}, "
        f"longest acquire or release {longest:5.2f} s, failed {dict(wrong) or 0}"
    )


def _p99(uses: Sequence[Use]) -> float:
    pairs = [use.acquire + use.release for use in uses if not use.error]
    return statistics.quantiles(pairs, n=100, method="inclusive")[98] if len(pairs) > 1 else float("nan")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.locks.outages", description=__doc__)
    parser.add_argument("--paxos", default="v2")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
