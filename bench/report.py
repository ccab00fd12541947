"""The report: every number, the medians, and what they were measured on."""

import csv
import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, astuple, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import machine as here
from bench import page
from bench.options import Options
from bench.results import Line, Record, Results, shown
from bench.stage import ROOT, Stage

PACKAGES = ("celery", "kombu", "billiard", "django", "psycopg", "redis", "pydantic", "structlog")
NOTES = (
    "Both systems ran in the same minutes on the same servers with the same processes and slots.",
    "Trust, in this order: ratios of one round, CPU microseconds per job, then absolute speeds.",
    "A ratio is Latchwork's speed to Celery's, or Celery's cost to Latchwork's: above 1, Latchwork is better.",
    "Celery acknowledges on receipt and keeps nothing: what it had taken is lost when its worker dies.",
)


def write(results: Results, options: Options, stage: Stage) -> Path:
    """Write the files, and return the folder that they are in."""
    folder = ROOT / "bench" / "reports" / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder.mkdir(parents=True, exist_ok=True)
    summary = list(results.summary())
    _csv(folder / "runs.csv", Record, results.records)
    _csv(folder / "summary.csv", Line, summary)
    facts = {"machine": machine(stage), "options": {**asdict(options), "layouts": [str(each) for each in options.layouts]}}
    whole = {**facts, "notes": NOTES, "summary": [asdict(line) for line in summary],
             "runs": [asdict(record) for record in results.records]}
    (folder / "report.json").write_text(json.dumps(whole, indent=1), encoding="utf-8")
    head = "\n".join(f"{name}: {value}" for name, value in facts["machine"].items())
    text = "\n".join((head, "", *NOTES, "", table(results), ""))
    (folder / "report.txt").write_text(text, encoding="utf-8")
    page.write(folder)
    for name in ("statements.csv", "workers.log"):
        if (stage.folder / name).exists():
            shutil.copy(stage.folder / name, folder / name)
    return folder


def table(results: Results) -> str:
    """Return the medians as text."""
    head = ("part", "case", "layout", "metric", "latchwork", "celery", "ratio", "(least", "most)")
    rows = [head, *(
        (line.part, line.case, line.layout, line.metric, *map(shown, (
            line.latchwork, line.celery, line.ratio, line.least_ratio, line.most_ratio,
        )))
        for line in results.summary()
    )]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 4 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def machine(stage: Stage) -> dict[str, Any]:
    """Return what the numbers belong to."""
    with stage.postgres.connect() as connection, stage.valkey.client() as client:
        def told(name: str) -> str:
            row = connection.execute(f"SELECT current_setting('{name}')").fetchone()
            return str(row[0]) if row else ""

        servers = {
            "PostgreSQL": told("server_version"),
            "Valkey": client.info("server").get("valkey_version", ""),
        }
        durable = {name: told(name) for name in ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers")}
    return {**here.machine(), **servers, **durable, "packages": {name: version(name) for name in PACKAGES}}


def _csv(path: Path, kind: type[Any], rows: Iterable[Any]) -> None:
    with path.open("w", encoding="utf-8", newline="") as output:
        writer = csv.writer(output)
        writer.writerow(each.name for each in fields(kind))
        writer.writerows(astuple(row) for row in rows)
