"""All faults at once."""

import os
import random

import pytest

from tests.chaos.conftest import size
from tests.chaos.faults import Storm
from tests.chaos.run import Findings, Run, tell

pytestmark = pytest.mark.chaos
SECONDS = size("CHAOS_STORM_SECONDS", 20)   # 40 in a full run
PARTS = 20
LOAD = 0.2    # of what two slots could do in this time: even undone at the end, it is done in a few seconds


@pytest.mark.timeout(180 + 2 * SECONDS)
def test_a_storm_loses_nothing_and_does_nothing_twice(stack):
    """Jobs come due all through it, so that the dispatcher is in it too. Repeat one with CHAOS_SEED."""
    seed = int(os.environ.get("CHAOS_SEED", random.randrange(2**32)))
    tell(f"CHAOS_SEED={seed}")
    milliseconds = LOAD * 2 * SECONDS * 1000 / stack.jobs
    stack.ready()
    stack.add_worker(pool="threads", slots=4)
    storm, run = Storm(stack, seed), Run(stack, jobs=0)
    with run.fault():
        for part in range(PARTS):
            run.adds(stack.jobs // PARTS, milliseconds=milliseconds, delay=part * SECONDS / PARTS)
        storm.rages(SECONDS)
    run.ends()
    tell(", ".join(storm.history))
    run.says(f"a storm of {len(storm.history)} faults")

    assert Findings() == run.findings(), f"CHAOS_SEED={seed}: {', '.join(storm.history)}{stack.logs()}"
