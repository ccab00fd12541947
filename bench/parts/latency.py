"""From the call of enqueue to the start of the handler: alone, at 50 a second, and at half of what the system can do.

Latchwork's beat runs beside its workers, as it would.
"""

import random
import time
from collections.abc import Iterator

from bench import fleet
from bench.run import Run
from bench.systems import System, numbered

STEADY_PER_SECOND = 50
STEADY_SECONDS = 6
LOAD_SECONDS = 5
SETTLING_SECONDS = 0.5        # the first moments of a load are left out
PAUSE_SECONDS = (0.005, 0.03)
CALIBRATION_JOBS = 2000
PATIENCE_SECONDS = 30


def run(run: Run) -> None:
    for number in range(run.options.rounds):
        for system in run.systems:
            rate = _half(run, system)
            system.purge()
            with fleet.workers(system, run.layout, pool=run.options.pool, log=run.log) as crew, fleet.beat(system, log=run.log):
                fleet.warm(system, crew, run.layout, pool=run.options.pool, log=run.log)
                for case, metrics in (
                    ("idle", _alone(system, run.options.samples)),
                    (f"{STEADY_PER_SECOND} per s", _paced(system, STEADY_PER_SECOND, STEADY_SECONDS)),
                    ("half load", _paced(system, rate, LOAD_SECONDS)),
                ):
                    run.results.note(
                        part="latency", case=case, layout=str(run.layout), system=system.name, number=number,
                        metrics=metrics,
                    )


def percentiles(values: list[float], *wanted: int) -> dict[str, float]:
    """Return percentiles of seconds, in ms."""
    ordered = sorted(values)
    return {f"p{each}_ms": ordered[min(len(ordered) - 1, each * len(ordered) // 100)] * 1000 for each in wanted}


def _alone(system: System, samples: int) -> dict[str, float]:
    stamps, pauses = system.stage.stamps, random.Random(7)
    stamps.clear()
    for number in range(samples):
        system.enqueue((number, time.time(), 0))
        if not stamps.wait(number + 1, seconds=PATIENCE_SECONDS, every=0.0004):
            break
        time.sleep(pauses.uniform(*PAUSE_SECONDS))
    return percentiles([stamp.at - stamp.enqueued for stamp in stamps.read()], 50, 95, 99)


def _paced(system: System, per_second: float, seconds: float) -> dict[str, float]:
    stamps = system.stage.stamps
    stamps.clear()
    jobs = int(per_second * seconds)
    since = time.time()
    for item in _in_time(jobs, since, per_second):
        system.enqueue(item)
    took = time.time() - since
    system.flush()
    stamps.wait(jobs, seconds=PATIENCE_SECONDS)
    found = [stamp for stamp in stamps.read() if stamp.enqueued - since > SETTLING_SECONDS]
    return {
        **percentiles([stamp.at - stamp.enqueued for stamp in found], 50, 95, 99), "put_per_s": jobs / took,
    }


def _in_time(jobs: int, since: float, per_second: float) -> Iterator[tuple[int, float, float]]:
    for number in range(jobs):
        ahead = since + number / per_second - time.time()
        if ahead > 0:
            time.sleep(ahead)
        yield number, time.time(), 0


def _half(run: Run, system: System) -> float:
    """Return half of the system's own speed: what this run has measured, else a short drain's; never more than can be put."""
    from bench.parts.drain import drain  # noqa: PLC0415

    known = run.results.median(part="drain", system=system.name, layout=str(run.layout), metric="jobs_per_s")
    if known is None or run.options.job_ms:
        known = drain(run, system, run.layout, how="bulk", jobs=CALIBRATION_JOBS)["jobs_per_s"]
    system.purge()
    since = time.monotonic()
    for item in numbered(CALIBRATION_JOBS // 4):
        system.enqueue(item)
    return min(known / 2, 0.8 * CALIBRATION_JOBS / 4 / (time.monotonic() - since))
