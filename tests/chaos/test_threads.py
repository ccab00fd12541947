"""The same for workers whose handlers run in threads, which nobody can end."""

import pytest

from core import clock
from tests.chaos.faults import between
from tests.chaos.run import WORKER_CLAIMS, Findings, Run

pytestmark = pytest.mark.chaos
SLOW = 3000   # milliseconds
THREADS = {"pool": "threads", "slots": 4}


def test_a_killed_worker_costs_only_what_it_held(stack):
    victim, _ = stack.ready(**THREADS)
    run = Run(stack)
    run.reaches(0.4)
    with run.fault():
        victim.kill_group()
    run.ends()
    run.says("threads: SIGKILL of a worker")

    assert Findings() == run.findings(), stack.logs()
    assert run.charged() <= 4 * WORKER_CLAIMS


def test_a_thawed_worker_starts_nothing_stale_and_its_late_writes_are_refused(stack):
    workers = stack.ready(**THREADS)
    run = Run(stack, milliseconds=20)
    slow = run.starts_slow_ones(SLOW, count=4)
    frozen = next(worker for worker in workers if slow[0].pid == worker.process.pid)
    overtaken = [event for event in slow if event.pid == frozen.process.pid]
    with run.fault():
        frozen.freeze()
        frozen_at = run.began
        last_fence = stack.query("SELECT last_value FROM job_fence")[0][0]
        stack.until(lambda: run.run_elsewhere(overtaken), otherwise="nobody took them over")
        thawed_at = clock.elapsed()
        frozen.thaw()
    late = {(event.job_id, event.fence) for event in overtaken}
    stack.until(lambda: late <= run.stale(), otherwise="late writes that nobody refused")
    run.ends()
    run.says("threads: SIGSTOP beyond the lease")
    stale_starts = [each for each in run.events("start") if each.at > thawed_at and each.fence <= last_fence]

    assert set() == {each.job_id for each in overtaken if each.job_id in run.booking} - {each.job_id for each in run.events("fenced")}
    assert [] == stale_starts, f"{frozen.name} is {frozen.process.pid} and was thawed at {thawed_at}{stack.logs()}"
    assert [] == run.ended_too_early(SLOW)
    assert Findings() == run.findings(claimed_until=frozen_at), stack.logs()


def test_a_thread_that_was_frozen_on_its_way_to_the_handler_does_not_begin_it_under_the_lease_of_its_workers_next_life(stack):
    """Nobody can end it, and when it arrives its worker has long been told that it was dead, and has begun anew."""
    workers = stack.ready(**THREADS)
    job_id, = stack.application.enqueue("chaos.slow_to_start", [{"naps": 100}])
    run = Run(stack, jobs=0)
    comes, = stack.until(lambda: run.events("comes"), otherwise="nobody took it")
    frozen = next(worker for worker in workers if comes.pid == worker.process.pid)
    frozen.freeze()
    stack.until(lambda: run.events("came"), otherwise="nobody took it over")
    frozen.thaw()
    stack.until(lambda: len(run.events("came")) == 2, otherwise="it never arrived")
    run.adds(40, milliseconds=20)   # the worker that was frozen takes its part of them
    stack.until(lambda: stack.count("status = 'completed'") == 41, otherwise="not all jobs ended")
    starts = run.events("start")
    fence, = stack.query("SELECT fence FROM job WHERE id = %s", [job_id])[0]

    assert frozen.process.pid in {event.pid for event in starts}
    assert [fence] == [event.fence for event in starts if event.job_id == job_id], stack.logs()


def test_asked_to_stop_amid_doubled_messages_they_leave_nothing_running_and_charge_nobody(stack):
    leaving = stack.ready(**THREADS)
    with between(stack, lambda number: 2) as delivered:
        run = Run(stack)
        run.reaches(0.3)
        with run.fault():
            for worker in leaving:
                worker.ask_to_stop()
            ends = [worker.ended() for worker in leaving]
        left, done = stack.count("status = 'running'"), run.finished()
        stack.ready_again(**THREADS)
        run.ends()
    run.says(f"threads: SIGTERM, {len(delivered)} doubled messages")

    assert ([0, 0], 0) == (ends, left), stack.logs()
    assert done < run.size
    assert Findings() == run.findings(), stack.logs()
    assert 0 == run.charged()
