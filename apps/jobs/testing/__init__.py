"""The kit for tests of code that enqueues jobs or handles them; docs/how-to/test-your-jobs.md shows it at work.

`assert_enqueued` looks at the rows, because a job is its row. `drain` runs what is ready, here and now, through the
statements and the runner of a real worker. `run_handler` calls one handler with a fake context, when the rows do not
matter. `pytest_plugins = ["apps.jobs.testing"]` in the root conftest.py gives all three as the fixture `jobs`.
"""

from apps.jobs.testing.assertions import assert_enqueued, refute_enqueued
from apps.jobs.testing.draining import Ran, drain
from apps.jobs.testing.fixture import Kit, jobs
from apps.jobs.testing.handling import FakeContext, Handled, Progress, run_handler

__all__ = [
    "FakeContext",
    "Handled",
    "Kit",
    "Progress",
    "Ran",
    "assert_enqueued",
    "drain",
    "jobs",
    "refute_enqueued",
    "run_handler",
]
