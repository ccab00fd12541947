"""What can be asked for on the command line."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

USUAL = ("enqueue", "drain", "latency", "delayed", "memory", "idle", "recovery")
LONG = ("growth", "churn")    # only when they are asked for
PARTS = (*USUAL, *LONG)
PIN_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """So many worker processes with so many slots each."""

    workers: int
    slots: int

    @classmethod
    def parse(cls, text: str) -> "Layout":
        workers, _, slots = text.partition("x")
        if not (workers.isdecimal() and slots.isdecimal() and int(workers) and int(slots)):
            msg = f"{text!r} is no layout: 2x1 means two workers of one slot each"
            raise argparse.ArgumentTypeError(msg)
        return cls(workers=int(workers), slots=int(slots))

    def __str__(self) -> str:
        return f"{self.workers}x{self.slots}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    parts: tuple[str, ...]
    jobs: int
    rounds: int
    pool: str
    layouts: tuple[Layout, ...]
    job_ms: float
    samples: int
    idle_seconds: float
    statements: bool
    backlog: int
    growth_backlogs: tuple[int, ...]
    growth_workers: tuple[int, ...]
    growth_bytes: tuple[int, ...]
    churn_jobs: int
    pin_seconds: float
    postgres: tuple[tuple[str, str], ...]


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; leaves with a message where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=(
            "Measure Latchwork beside plain Celery on servers of its own. Without options: 15 to 20 minutes on two cores. "
            f"{' and '.join(LONG)} run only when --only names them."
        ),
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--only", default=",".join(USUAL), type=_parts, metavar="PART,...", help=f"what to measure, of {', '.join(PARTS)}")
    parser.add_argument("--jobs", type=_positive, default=10_000, help="jobs of one drain")
    parser.add_argument("--rounds", type=_positive, default=3, help="times each drain is repeated, systems taking turns")
    parser.add_argument("--pool", choices=("prefork", "threads"), default="prefork", help="Celery's pool, of both systems")
    parser.add_argument("--layout", type=_layouts, default="2x1,1x2", help="WORKERSxSLOTS; all but the drain use the first")
    parser.add_argument("--job-ms", type=float, default=0, help="length of a drained job: it sleeps so long")
    parser.add_argument("--samples", type=_positive, default=300, help="jobs of one measurement of latency")
    parser.add_argument("--idle-seconds", type=float, default=25, help="how long the idle stack is watched")
    parser.add_argument("--backlog", type=int, default=0, help="jobs that wait behind those of a drain")
    parser.add_argument("--statements", action="store_true", help="also write what PostgreSQL did for each drain")
    parser.add_argument(
        "--growth-backlogs", type=_numbers, default="1000,10000,100000", help="jobs that wait behind; 1000000 takes minutes more",
    )
    parser.add_argument("--growth-workers", type=_numbers, default="1,2,4", help="workers, of one slot each")
    parser.add_argument("--growth-bytes", type=_numbers, default="10,1024,32768", help="bytes that each payload carries besides")
    parser.add_argument("--churn-jobs", type=_tenfold, default=200_000, help="jobs of a churn; 5000000 for the long proof")
    parser.add_argument(
        "--pin", type=float, nargs="?", const=PIN_SECONDS, default=0.0, metavar="SECONDS",
        help=f"also churn while another connection pins xmin, for so long ({PIN_SECONDS:.0f} without a number)",
    )
    parser.add_argument(
        "--postgres", type=_setting, action="append", default=[], metavar="NAME=VALUE",
        help="a setting of PostgreSQL to try, such as autovacuum_naptime=10s; may be repeated",
    )
    found = parser.parse_args(arguments)
    return Options(
        parts=found.only, jobs=found.jobs, rounds=found.rounds, pool=found.pool, layouts=found.layout,
        job_ms=found.job_ms, samples=found.samples, idle_seconds=found.idle_seconds,
        statements=found.statements, backlog=found.backlog, growth_backlogs=found.growth_backlogs,
        growth_workers=found.growth_workers, growth_bytes=found.growth_bytes, churn_jobs=found.churn_jobs, pin_seconds=found.pin,
        postgres=tuple(found.postgres),
    )


def _parts(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(PARTS):
        msg = f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}"
        raise argparse.ArgumentTypeError(msg)
    return tuple(part for part in PARTS if part in names)


def _layouts(text: str) -> tuple[Layout, ...]:
    return tuple(Layout.parse(word) for word in text.split(","))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(sorted({_positive(word) for word in text.split(",")}))


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        msg = f"{text!r} is no setting: NAME=VALUE"
        raise argparse.ArgumentTypeError(msg)
    return name, value


def _tenfold(text: str) -> int:
    if (found := _positive(text)) < 1000:
        msg = f"{text} jobs are too few to compare a tenth of them with another: 1000 at least"
        raise argparse.ArgumentTypeError(msg)
    return found


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        msg = f"{text!r} is not a number above 0"
        raise argparse.ArgumentTypeError(msg)
    return int(text)
