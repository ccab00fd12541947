"""Workers that die, freeze and leave."""

import pytest

from core import clock
from tests.chaos.conftest import of_processes
from tests.chaos.faults import kill_a_child, lasts
from tests.chaos.processes import gone
from tests.chaos.run import WORKER_CLAIMS, Findings, Run

pytestmark = pytest.mark.chaos
SLOW = 3000   # milliseconds
KILLS = 6


def test_a_worker_killed_with_its_children_costs_only_what_it_held(stack):
    victim, _ = stack.ready()
    run = Run(stack)
    run.reaches(0.4)
    with run.fault():
        victim.kill_group()
    run.ends()
    run.says("SIGKILL of a worker's group")

    assert Findings() == run.findings(), stack.logs()
    assert run.charged() <= WORKER_CLAIMS


@of_processes
def test_children_die_with_a_main_process_that_is_killed_alone(stack):
    victim, _ = stack.ready()
    run = Run(stack)
    run.reaches(0.4)
    pids = victim.pids()
    with run.fault():
        victim.kill_main()
        gone(pids)
    run.ends()
    run.says("SIGKILL of a main process alone")

    assert len(pids) > 1
    assert Findings() == run.findings(), stack.logs()
    assert run.charged() <= WORKER_CLAIMS


@of_processes
def test_a_killed_child_costs_the_job_that_it_ran_and_nobody_waits_for_a_lease(stack):
    workers = stack.ready()
    run = Run(stack)
    run.reaches(0.2)
    with run.fault():
        for number in range(KILLS):
            stack.until(lambda worker=workers[number % 2]: kill_a_child(worker), otherwise="no child ever came back")
            lasts(0.1)
    run.ends()
    run.says("SIGKILL of random children")

    assert Findings() == run.findings(), stack.logs()
    assert run.charged() <= KILLS


@of_processes
def test_thawed_workers_start_nothing_stale_and_their_late_writes_are_refused(stack):
    """They write while others run the same jobs, so that it is the fence which refuses them, not the status."""
    workers = stack.ready(workers=4)
    run = Run(stack, milliseconds=20)
    slow = run.starts_slow_ones(SLOW, count=2)
    frozen = [worker for worker in workers if worker.pids() & {event.pid for event in slow}]
    with run.fault():
        for worker in frozen:
            worker.freeze()
        frozen_at = run.began
        last_fence = stack.query("SELECT last_value FROM job_fence")[0][0]
        stack.until(lambda: run.run_elsewhere(slow), otherwise="nobody took them over")
        thawed_at = clock.elapsed()
        for worker in frozen:
            worker.thaw_children()   # before the main process, which would end them
        refused = {event.job_id for event in slow if event.job_id in run.booking}
        stack.until(lambda: refused <= {event.job_id for event in run.events("fenced")}, otherwise="not refused")
        for worker in frozen:
            worker.thaw()
    late = {(event.job_id, event.fence) for event in slow}
    stack.until(lambda: late <= run.stale(), otherwise="late writes that nobody refused")
    run.ends()
    run.says("SIGSTOP of two workers beyond the lease")
    stale_starts = [each for each in run.events("start") if each.at > thawed_at and each.fence <= last_fence]

    assert 2 == len(frozen)
    assert [] == stale_starts
    assert [] == run.ended_too_early(SLOW)
    assert Findings() == run.findings(claimed_until=frozen_at), stack.logs()


@of_processes
def test_a_process_that_was_frozen_between_claim_and_handler_does_not_begin_it(stack):
    workers = stack.ready()
    job_id, = stack.application.enqueue("chaos.slow_to_start", [{}])
    run = Run(stack, jobs=0)
    comes, = stack.until(lambda: run.events("comes"), otherwise="nobody took it")
    frozen = next(worker for worker in workers if comes.pid in worker.pids())
    frozen.freeze()
    stack.until(lambda: len(run.events("comes")) == 2, otherwise="nobody took it over")
    frozen.thaw_children()   # the main process, which would end them, a moment later
    lasts(0.5)
    frozen.thaw()
    stack.until(lambda: stack.count("status = 'completed'"), otherwise="it never ended")
    fence, = stack.query("SELECT fence FROM job WHERE id = %s", [job_id])[0]

    assert [fence] == [event.fence for event in run.events("start")]


def test_workers_that_are_asked_to_stop_leave_nothing_running_and_charge_nobody(stack):
    leaving = stack.ready()
    run = Run(stack)
    run.reaches(0.4)
    with run.fault():
        for worker in leaving:
            worker.ask_to_stop()
        ends = [worker.ended() for worker in leaving]
    left, done = stack.count("status = 'running'"), run.finished()
    stack.ready_again()
    run.ends()
    run.says("SIGTERM of both workers, then new ones")

    assert ([0, 0], 0) == (ends, left), stack.logs()
    assert done < run.size   # else nobody was asked in the middle of anything
    assert Findings() == run.findings(), stack.logs()
    assert 0 == run.charged()
