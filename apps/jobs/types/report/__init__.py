"""`report.generate`: tables over what the database holds, as CSV, XLSX or PDF.

How a report comes to be, and what it may cost the queue that it reports on:

1. **Read.** One transaction, READ ONLY and REPEATABLE READ, on a connection of its own: all tables of a report see the
   same moment, so that their numbers agree. It takes no lock that a job waits for, one core at most, and each statement
   is bounded. Rows come through a server-side cursor and go to a spool on disk. The snapshot keeps vacuum from its work,
   so it ends here, before anything is formatted.
2. **Write.** The spool is turned into the file, a batch at a time: memory does not grow with rows.
3. **Keep.** The file becomes the job's artifact, under the attempt's fence; an attempt that lost its job leaves nothing.

Each step asks `job.check()` at least each few hundred rows, and a statement that runs long is watched by a thread that
asks and cancels it at the server. A report is a function from what was asked to tables, registered by `@report`; add
yours in a module that JOB_MODULES names: docs/how-to/reports.md.
"""

from apps.jobs.types.report.reading import Rows, Snapshot
from apps.jobs.types.report.registry import Asked, Filters, report
from apps.jobs.types.report.tables import Bars, Column, Lines, Table

# After what they are written with: importing them registers them.
from apps.jobs.types.report import failures, handler, latency, summary  # isort: skip

__all__ = [
    "Asked", "Bars", "Column", "Filters", "Lines", "Rows", "Snapshot", "Table", "failures", "handler", "latency", "report",
    "summary",
]
