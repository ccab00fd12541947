"""A child of a worker uses locks of its own, whatever the threads of its parent were doing at the fork."""

import os
import signal

from apps.jobs.engine import forking
from core.locking.metrics import OBSERVER
from locks import Locks
from locks.stores.memory import MemoryStore

HANGS_SECONDS = 5


def status_of_a_child(*, begin):
    """Fork while what guards the counts is held, as a thread of the locker may hold it; how a child ends that acquires a lock."""
    with OBSERVER._guard:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(HANGS_SECONDS)
            begin()
            Locks(MemoryStore(), observer=OBSERVER, background=False).acquire("k").release()
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_child_that_began_as_those_of_a_worker_acquires_a_lock():
    assert 0 == status_of_a_child(begin=forking.count_no_locks)
    assert OBSERVER.silent is False   # this is no child


def test_without_that_it_would_hang():
    assert -signal.SIGALRM == status_of_a_child(begin=lambda: None)
