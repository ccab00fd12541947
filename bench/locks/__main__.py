"""`python -m bench.locks`: measure, say how it goes on stderr, print the table and write it to bench/reports/."""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "platform")]   # a bare checkout works without being installed

from bench.locks import report  # noqa: E402  the path comes first
from bench.locks.asked import Key  # noqa: E402
from bench.locks.cases import DESIGNS, Case, cases  # noqa: E402
from bench.locks.found import SHOWN, Run  # noqa: E402
from bench.locks.measure import Figures, Slice, Work, measure  # noqa: E402
from bench.locks.pairs import RAW_SCHEMA, fresh  # noqa: E402
from bench.locks.seed import SCHEMA  # noqa: E402
from bench.locks.tracing import Traced, trace  # noqa: E402
from bench.machine import machine  # noqa: E402
from core.devserver.cassandra.node import Tuning  # noqa: E402
from core.devserver.cassandra.programs import programs  # noqa: E402
from core.devserver.cassandra.ring import Ring  # noqa: E402
from locks.stores.cassandra import Address, schema  # noqa: E402

KEYSPACE = "locks"
WARMING = 20   # names with which each design warms the nodes
BEGAN = time.monotonic()


def main() -> int:
    """Run what the command line asks for."""
    asked = _asked()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))   # so that nodes and files go as they do after Ctrl-C
    before = machine()
    known = cases(seconds=asked.seconds, rounds=asked.rounds, minute=asked.minute)
    wanted = [known[name] for name in asked.cases.split(",")]
    figures: dict[Key, list[Figures]] = {}
    traced: dict[str, list[Traced]] = {}
    found = programs(say=_say)
    try:
        for paxos in asked.paxos.split(","):
            _say(f"{paxos}: starting three nodes")
            with tempfile.TemporaryDirectory(prefix="bench-locks-") as folder:
                ring = Ring(data_dir=Path(folder), programs=found, tuning=Tuning(paxos=paxos)).start()
                try:
                    address = Address(hosts=tuple(ring.contact_points), port=ring.port, keyspace=KEYSPACE)
                    schema.apply(address)
                    ring.create([text.format(keyspace=KEYSPACE) for text in (*SCHEMA, RAW_SCHEMA)])
                    _say(f"{paxos}: warming the nodes, {asked.warm:.0f} s of each design")
                    _warm(address, asked.warm)
                    _say(f"{paxos}: tracing")
                    traced[paxos] = [each for design in DESIGNS for each in trace(address, design)]
                    for case in wanted:
                        _measure(paxos, case, address, figures)
                finally:
                    ring.kill()
    except KeyboardInterrupt:
        _say("interrupted: reporting what there is")
    run = Run(machine=before, options=vars(asked), cases=wanted, measured=figures, traced=traced)
    folder_ = ROOT / "bench" / "reports" / f"locks-{time.strftime('%Y%m%d-%H%M%S')}"
    report.write(run, folder_)
    print(report.text(run))
    print(f"\nwritten to {folder_.relative_to(ROOT)}/")
    return 0


def _warm(address: Address, seconds: float) -> None:
    """Let the nodes compile what they will do, so that the first design is not measured against interpreted code."""
    work = Work(address=address, namespace=fresh(), names=tuple(f"warming-{number}" for number in range(WARMING)))
    slices = [Slice(design=design, round=0, seconds=seconds) for design in DESIGNS] if seconds else []
    measure([work] * 2, slices, heard=lambda *_: None)


def _measure(paxos: str, case: Case, address: Address, figures: dict[Key, list[Figures]]) -> None:
    """Measure a case; rounds are kept whole, so that an interrupted one leaves no half of a ratio."""
    heard: dict[int, dict[str, Figures]] = {}

    def hear(each: Slice, found: Figures) -> None:
        _say(f"{paxos} {case.name:9} {SHOWN[each.design]:6} round {each.round + 1}: {_shown(found)}")
        heard.setdefault(each.round, {})[each.design] = found
        if len(heard[each.round]) == len(DESIGNS):
            for design in DESIGNS:
                figures.setdefault((paxos, case.name, design), []).append(heard[each.round][design])

    measure(case.works(address), list(case.slices()), heard=hear)


def _shown(found: Figures) -> str:
    each = f"{found.least_of_a_process}-{found.most_of_a_process}"
    return (
        f"p50 {found.p50_ms:.1f} ms, p99 {found.p99_ms:.1f} ms, {found.pairs_per_s:.1f} pairs/s ({each} each), "
        f"client {found.client_ms:.2f} ms, unknown {found.unknown}"
    )


def _say(text: str) -> None:
    print(f"{time.monotonic() - BEGAN:6.0f} s  {text}", file=sys.stderr, flush=True)


def _asked() -> argparse.Namespace:
    known = ",".join(cases(seconds=1, rounds=1, minute=1))
    parser = argparse.ArgumentParser(
        prog="python -m bench.locks", formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Measure acquire and release on three nodes of Cassandra: ours, the design that is commonly built, and bare LWTs.",
    )
    parser.add_argument("--paxos", default="v2,v1")
    parser.add_argument("--cases", default=known)
    parser.add_argument("--seconds", type=float, default=6.0, help="of a round of each design")
    parser.add_argument("--rounds", type=int, default=5, help="of all cases but the contended name, which has one")
    parser.add_argument("--minute", type=float, default=60.0, help="seconds of the contended name, of each design")
    parser.add_argument("--warm", type=float, default=10.0, help="seconds that nodes are warmed with each design")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
