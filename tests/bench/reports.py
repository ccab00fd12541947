"""A report as a run leaves it, small."""

import json
from dataclasses import asdict
from xml.etree import ElementTree as ET

from bench import reading
from bench.results import Results

MACHINE = {
    "system": "Linux", "processor": "CPU <i>", "cores": 2, "memory_gib": 8.0, "load": [0.1, 0.2, 0.3], "python": "3.11.7",
    "PostgreSQL": "18.6", "Valkey": "9.1.2", "fsync": "on", "synchronous_commit": "on", "commit": "abc1234",
    "packages": {"celery": "5.7.0", "kombu": "5.7.0", "django": "5.2.19", "psycopg": "3.3.9"},
}
OPTIONS = {"pool": "prefork", "jobs": 10000, "rounds": 3, "churn_jobs": 200000}


def report(folder, *measured):
    """Return the report of these measurements: (part, case, layout, system, metrics)."""
    results = Results()
    for part, case, layout, system, metrics in measured:
        results.note(part=part, case=case, layout=layout, system=system, metrics=metrics)
    whole = {
        "machine": MACHINE, "options": OPTIONS, "notes": ["A note."],
        "summary": [asdict(line) for line in results.summary()],
    }
    (folder / "report.json").write_text(json.dumps(whole), encoding="utf-8")
    return reading.load(folder)


def parsed(drawing):
    """Return a drawing's elements; raise where it is not whole."""
    return ET.fromstring(drawing)  # noqa: S314  drawn by ourselves


DRAIN = (
    ("drain", "any", "2x1", "celery", {"jobs_per_s": 500.0}),
    ("drain", "bulk", "2x1", "latchwork", {"jobs_per_s": 5500.0}),
)
LATENCY = (
    ("latency", "idle", "2x1", "latchwork", {"p50_ms": 4.0, "p95_ms": 5.0, "p99_ms": 8.0}),
    ("latency", "idle", "2x1", "celery", {"p50_ms": 4.4, "p95_ms": 5.0, "p99_ms": 6.0}),
)
GROWTH = (
    ("growth", "backlog 100000", "2x1", "latchwork", {"jobs_per_s": 4900.0, "all_us_per_job": 190.0}),
    ("growth", "backlog 1000", "2x1", "latchwork", {"jobs_per_s": 5000.0, "all_us_per_job": 180.0}),
)
CHURN = (
    *(("churn", f"{case}tenth {tenth}", "2x1", "latchwork", {"all_us_per_job": cost * tenth, "dead_tuples": 10.0, "autovacuums": 1.0})
      for case, cost in (("", 100.0), ("pinned, ", 200.0)) for tenth in (1, 2)),
    ("churn", "last to first", "2x1", "latchwork", {"all_ratio": 1.05}),
    ("churn", "pinned, last to first", "2x1", "latchwork", {"all_ratio": 1.5}),
)
