"""`python -m bench.locks`: measure, say how it goes on stderr, print the table and write it to bench/reports/."""

import argparse
import json
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "platform")]   # a bare checkout works without being installed

from bench.locks.measure import Figures, Work, measure  # noqa: E402  the path comes first
from bench.locks.pairs import PAIRS, RAW_SCHEMA, fresh  # noqa: E402
from bench.locks.seed import SCHEMA  # noqa: E402
from bench.locks.tracing import Traced, trace  # noqa: E402
from core.devserver.cassandra.node import Tuning  # noqa: E402
from core.devserver.cassandra.programs import programs  # noqa: E402
from core.devserver.cassandra.ring import Ring  # noqa: E402
from locks.stores.cassandra import Address, schema  # noqa: E402

KEYSPACE = "locks"
NAMES, PROCESSES, COLD = 64, 8, 60
CASES = ("warm", "cold", "64 names", "1 name")
Key = tuple[str, str, str]   # Paxos, case, design


def main() -> int:
    """Run what the command line asks for."""
    asked = _asked()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))   # so that nodes and files go as they do after Ctrl-C
    figures: dict[Key, list[Figures]] = {}
    traced: dict[str, list[Traced]] = {}
    found = programs(say=_say)
    for paxos in asked.paxos.split(","):
        with tempfile.TemporaryDirectory(prefix="bench-locks-") as folder:
            ring = Ring(data_dir=Path(folder), programs=found, tuning=Tuning(paxos=paxos)).start()
            try:
                address = Address(hosts=tuple(ring.contact_points), port=ring.port, keyspace=KEYSPACE)
                schema.apply(address)
                ring.create([text.format(keyspace=KEYSPACE) for text in (*SCHEMA, RAW_SCHEMA)])
                traced[paxos] = [each for design in PAIRS for each in trace(address, design)]
                _rounds(asked, paxos, address, figures)
            finally:
                ring.kill()
    text = "\n".join(_table(figures, traced))
    print(text)
    report = ROOT / "bench" / "reports" / f"locks-{time.strftime('%Y%m%d-%H%M%S')}"
    report.mkdir(parents=True)
    (report / "report.txt").write_text(text + "\n", encoding="utf-8")
    runs = [{"paxos": key[0], "case": key[1], "design": key[2], **each.as_dict()} for key, all_ in figures.items() for each in all_]
    (report / "runs.json").write_text(json.dumps(runs, indent=1), encoding="utf-8")
    print(f"\nwritten to {report.relative_to(ROOT)}/")
    return 0


def _rounds(asked: argparse.Namespace, paxos: str, address: Address, figures: dict[Key, list[Figures]]) -> None:
    """Measure each case in rounds in which the designs take turns, so that a ratio is one of neighbours in time."""
    for design in PAIRS:
        measure([Work(address=address, design=design, namespace=fresh(), names=tuple(map(str, range(20))), seconds=3)])   # to warm the nodes
    for case in asked.cases.split(","):
        for number in range(asked.rounds):
            for design in PAIRS:
                found = measure(_works(case, address, design, asked.seconds))
                figures.setdefault((paxos, case, design), []).append(found)
                _say(f"{paxos} {case:9} {design:5} round {number + 1}: {_shown(found)}")


def _works(case: str, address: Address, design: str, seconds: float) -> list[Work]:
    def work(names: tuple[str, ...], **options: int | bool) -> Work:
        return Work(address=address, design=design, namespace=namespace, names=names, seconds=seconds, **options)  # type: ignore[arg-type]  # of one of two kinds

    namespace = fresh()
    if case == "warm":
        return [work(("x",), warm=True)]
    if case == "cold":
        return [work(tuple(f"cold-{number}" for number in range(COLD)), turns=COLD)]
    if case == "64 names":
        return [work(tuple(f"{number}" for number in range(first, NAMES, PROCESSES)), warm=True) for first in range(PROCESSES)]
    return [work(("hot",))] * PROCESSES


def _table(figures: dict[Key, list[Figures]], traced: dict[str, list[Traced]]) -> Iterator[str]:
    for paxos, steps in traced.items():
        yield f"Paxos {paxos}: what is sent for each step"
        for step in steps:
            rounds = ", ".join(f"{phase} in {count}" for phase, count in step.rounds.items())
            yield f"  {step.design:5} {step.step:13} {step.requests} requests: {', '.join(step.statements)} ({rounds})"
    yield ""
    yield f"{'':27} {'p50 ms':>8} {'p99 ms':>8} {'pairs/s':>8} {'each':>9} {'statements':>11} {'unknown':>8}   ours to it"
    for (paxos, case, design), found in figures.items():
        middle = _median(found)
        each = f"{middle.least_of_a_process}-{middle.most_of_a_process}"
        yield (
            f"{paxos} {case:10} {design:6} {'':6} {middle.p50_ms:8.1f} {middle.p99_ms:8.1f} {middle.pairs_per_s:8.1f} {each:>9} "
            f"{middle.statements_per_pair:11.2f} {middle.unknown:8} {_ratio(figures, paxos, case, design)}"
        )


def _ratio(figures: dict[Key, list[Figures]], paxos: str, case: str, design: str) -> str:
    """Return our time to this design's, and our rate to its, as medians of the rounds' pairs."""
    ours, theirs = figures[paxos, case, "ours"], figures[paxos, case, design]
    if design == "ours":
        return ""
    time_ = statistics.median(mine.p50_ms / other.p50_ms for mine, other in zip(ours, theirs, strict=True))
    rate = statistics.median(mine.pairs_per_s / other.pairs_per_s for mine, other in zip(ours, theirs, strict=True))
    return f"  time x {time_:.2f}, rate x {rate:.2f}"


def _median(found: list[Figures]) -> Figures:
    return sorted(found, key=lambda each: each.p50_ms)[len(found) // 2]


def _shown(found: Figures) -> str:
    each = f"{found.least_of_a_process}-{found.most_of_a_process}"
    return f"p50 {found.p50_ms:.1f} ms, p99 {found.p99_ms:.1f} ms, {found.pairs_per_s:.1f} pairs/s ({each} each), unknown {found.unknown}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.locks", formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Measure acquire and release on three nodes of Cassandra: ours, the design that is commonly built, and bare LWTs.",
    )
    parser.add_argument("--paxos", default="v2,v1")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--seconds", type=float, default=5.0, help="of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
