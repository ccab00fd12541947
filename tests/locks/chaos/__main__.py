"""`make chaos-locks MINUTES=10`: a long run on v2 and v1, with a report as HTML. Leaves with 1 when a rule was broken."""

import argparse
import signal
import sys
import time
from pathlib import Path

from core.devserver.cassandra.programs import Missing, programs
from tests.locks.chaos import designs, page
from tests.locks.chaos.mix import DECK, Mix, Outcome, Plan
from tests.support.cassandra.hurt import HurtRing
from tests.support.session import folder

REPORTS = Path(__file__).resolve().parents[3] / "bench" / "reports"


def main() -> int:
    """Run what the command line asks for."""
    asked = _asked()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))   # so that nodes and users go as they do after Ctrl-C
    say = lambda text: print(text, file=sys.stderr, flush=True)   # noqa: E731, T201  one word for it; people watch
    try:
        found = programs(say=say)
    except Missing as exc:
        say(str(exc))
        return 2
    report = REPORTS / f"locks-chaos-{time.strftime('%Y%m%d-%H%M%S')}"
    outcomes: list[Outcome] = []
    for paxos in asked.paxos.split(","):
        history = report / paxos
        history.mkdir(parents=True)
        plan = Plan(
            seconds=asked.minutes * 60 / len(asked.paxos.split(",")), design=asked.design, lease_seconds=asked.lease,
            only=tuple(asked.only.split(",")) if asked.only else (), **({"seed": asked.seed} if asked.seed else {}),
        )
        say(f"Paxos {paxos}: {plan.seconds:.0f} s, seed {plan.seed}")
        with folder() as data_dir:
            ring = HurtRing(data_dir=data_dir, programs=found, paxos=paxos).start()
            try:
                outcomes.append(Mix(ring, history, plan).run())
            finally:
                ring.kill()
        say(f"  {dict(outcomes[-1].verdict.figures)}")
        for violation in outcomes[-1].violations:
            say(f"  VIOLATION {violation}")
    print(page.write(outcomes, report))   # noqa: T201  what was asked for
    return int(any(outcome.violations for outcome in outcomes))


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.locks.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="of all runs together")
    parser.add_argument("--paxos", default="v2,v1", help="which, in turn")
    parser.add_argument("--design", default="ours", choices=designs.DESIGNS)
    parser.add_argument("--lease", type=float, default=6.0, help="seconds")
    parser.add_argument("--only", default="", help=f"faults, of {', '.join(DECK)}")
    parser.add_argument("--seed", type=int, help="throw the faults of an earlier run")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
