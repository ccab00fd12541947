"""Nobody moves, rings or rescues any more: beat is killed, or whoever enqueued dies before it could ring."""

import pytest

from tests.chaos.run import WORKER_CLAIMS, Findings, Run

pytestmark = pytest.mark.chaos


def test_without_beat_the_workers_move_what_is_due_and_rescue_what_a_dead_one_held(stack):
    victim, _ = stack.ready()
    run = Run(stack)
    run.adds(40, delay=4)
    run.reaches(0.4)
    with run.fault():
        stack.beat.kill_group()
        victim.kill_group()
    run.ends()
    run.says("beat killed, and a worker with it")

    assert Findings() == run.findings(), stack.logs()
    assert run.charged() <= WORKER_CLAIMS


def test_a_job_whose_enqueuer_died_between_commit_and_ring_runs(stack):
    stack.ready()
    run = Run(stack, jobs=0)
    with run.fault():
        stack.application.enqueue_and_crash("chaos.work", [{}] * 5)
        run.size = 5
    run.ends()
    run.says("a crash between commit and ring")

    assert Findings() == run.findings(), stack.logs()
    assert 0 == run.charged()


def test_jobs_enqueued_while_the_broker_is_gone_run_once_it_is_back(stack):
    stack.ready()
    run = Run(stack, jobs=0)
    with run.fault():
        stack.valkey.kill()
        run.adds(50, one_by_one=True)
        stack.until(lambda: any(worker.says("Connection refused") for worker in stack.workers), otherwise="nobody noticed")
        stack.valkey.start()
    run.ends()
    run.says("enqueued while the broker was gone")

    assert Findings() == run.findings(), stack.logs()
    assert 0 == run.charged()
