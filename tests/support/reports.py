"""A report that the database works on for minutes, for workers that tests start: importing it registers it."""

from apps.jobs.types.report import Column, Table, registry, report

NAME = "slow"


@report(NAME, title="Slow")
def slow(snapshot, asked):
    query = "SELECT count(*) FROM (SELECT pg_sleep(0.2) FROM generate_series(1, 1000)) slow"   # one answer, after 200 seconds
    return [Table(name="rows", columns=[Column("rows")], rows=snapshot.rows(query))]


SLOW = registry.find(NAME)
