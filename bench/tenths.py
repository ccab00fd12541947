"""What is read from a churn: whose a statement is, and whether the last tenth costs what the first did. Pure."""

from collections.abc import Iterable, Mapping

BOUND = 0.15       # so much may the last tenth cost more or less than the first
WORTH = 0.05       # a statement with a smaller part of PostgreSQL's time is not judged: its noise would be
# The first that stands in a statement names it: the settle, for one, writes two more tables.
STATEMENTS = (
    ("job_stale_write", "settle"), ("nextval('job_fence')", "fetch"), ("INSERT INTO job (", "insert"),
    ("job_tally", "tally"), ("job_worker", "presence"), ("job_duty", "duties"),
)


def statement(query: str) -> str:
    """Return what a statement does, in our words."""
    return next((name for part, name in STATEMENTS if part in query), "other")


def sums(rows: Iterable[tuple[str, float]], *, jobs: int) -> dict[str, float]:
    """Return µs a job by statement, and of all, from texts with their ms."""
    found: dict[str, float] = {}
    for query, ms in rows:
        name = f"sql_{statement(query)}_us_per_job"
        found[name] = found.get(name, 0) + ms * 1000 / jobs
    return {"postgres_us_per_job": sum(found.values()), **found}


def ratios(first: Mapping[str, float], last: Mapping[str, float]) -> dict[str, float]:
    """Return the last tenth's cost to the first's, of all that is judged."""
    least = first["postgres_us_per_job"] * WORTH
    return {
        name.removesuffix("_us_per_job") + "_ratio": last.get(name, 0) / value
        for name, value in first.items()
        if name.endswith("_us_per_job") and value > 0 and (not name.startswith("sql_") or value >= least)
    }


def verdict(found: Mapping[str, float]) -> str:
    """Say whether the last tenth is within the bound of the first, and if not, what is not."""
    beyond = {name: value for name, value in found.items() if abs(value - 1) > BOUND}
    if not beyond:
        return f"the last tenth is within {BOUND * 100:.0f} % of the first"
    told = ", ".join(f"{name.removesuffix('_ratio')} {value:.2f}" for name, value in sorted(beyond.items()))
    return f"the last tenth is NOT within {BOUND * 100:.0f} % of the first: {told}"
