"""What PostgreSQL did meanwhile, statement by statement, where the run asked for it."""

import csv

from bench.run import Run

FILE = "statements.csv"
COLUMNS = ("calls", "rows", "total_exec_time", "mean_exec_time", "total_plan_time", "shared_blks_hit", "wal_bytes", "query")


def reset(run: Run) -> None:
    """Count from here on."""
    if run.options.statements:
        with run.stage.postgres.connect() as connection:
            connection.execute("SELECT pg_stat_statements_reset()")


def keep(run: Run, title: str) -> None:
    """Write what was counted since, the most expensive first."""
    if not run.options.statements:
        return
    with run.stage.postgres.connect() as connection:
        rows = connection.execute(
            f"SELECT {', '.join(COLUMNS)} FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 12",
        ).fetchall()
    file = run.stage.folder / FILE
    new = not file.exists()
    with file.open("a", encoding="utf-8", newline="") as output:
        writer = csv.writer(output)
        if new:
            writer.writerow(("of", *COLUMNS))
        writer.writerows((title, *row[:-1], " ".join(str(row[-1]).split())[:400]) for row in rows)
