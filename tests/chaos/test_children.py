"""Hundreds of children killed while everything in the main process is active: a fork must never hang."""


import pytest

from tests.chaos.conftest import of_processes, size
from tests.chaos.faults import kill_a_child
from tests.chaos.run import Findings, Run

pytestmark = pytest.mark.chaos
KILLS = size("CHAOS_KILLS", 60)   # 500 in a full run


@of_processes
@pytest.mark.timeout(180 + 2 * KILLS)
def test_a_child_killed_again_and_again_is_always_replaced(stack):
    """The ledger, the publisher, the understudy, the metrics server and events are busy in threads of the main process."""
    worker, = stack.ready(workers=1, beat=False)
    run = Run(stack, jobs=0)
    killed = 0
    with run.fault():
        while killed < KILLS:
            run.adds(6, milliseconds=10, one_by_one=True)
            stack.until(lambda: kill_a_child(worker), otherwise=f"no child came back after {killed} kills")
            killed += 1
            run.ends()   # else one job may meet several kills, and be a dead letter after the fourth
    run.ends()
    run.says(f"{KILLS} children killed")

    assert worker.alive
    assert Findings() == run.findings(), stack.logs()
    assert run.charged() <= KILLS
