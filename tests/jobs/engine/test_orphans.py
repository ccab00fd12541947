"""A child of the pool whose worker is gone: it must not go on with work that is rescued meanwhile.

Celery's prefork asks the kernel for that in each child (`platforms.set_pdeathsig`); we rely on it and ask no more.
"""

import psutil

from tests.support.waiting import until


def ended(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_child_in_the_middle_of_a_job_dies_with_its_worker(workers, enqueue, desk):
    worker = workers.start(slots=1)
    job_id = enqueue(worker, "wait", desk=desk)
    child = until(lambda: desk.began(job_id), timeout=30)
    was_alive = not ended(child)
    worker.kill()

    assert was_alive
    until(lambda: ended(child), timeout=10, message="an orphan goes on with its job")
