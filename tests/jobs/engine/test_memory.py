"""Children share what their worker has loaded, also after their garbage was collected."""

import gc
import os
import subprocess
import sys
from collections import deque

import psutil
import pytest
from celery.concurrency import asynpool

from apps.jobs.engine import forking

CELLS = 200_000
MIB = 1024 * 1024


def in_a_fork(measure):
    """Return the number that `measure` returns there."""
    told = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(told[1], str(int(measure())).encode())
        os._exit(0)
    os.close(told[1])
    os.waitpid(pid, 0)
    answer = int(os.read(told[0], 32))
    os.close(told[0])
    return answer


def in_a_worker(measure):
    """Return what `measure` returns in a process that has loaded much; what it freezes stays there."""
    def loaded():
        _cells = [[number] for number in range(CELLS)]
        return measure()

    return in_a_fork(loaded)


def own_memory_after_a_collection(*, keep: bool) -> int:
    """Return the bytes that a child has for itself once it has collected, of a worker that holds many objects."""
    def child():
        gc.collect()
        return psutil.Process().memory_full_info().uss

    def measure():
        if keep:
            forking.keep_shared()
            forking.keep_shared()
        return in_a_fork(child)

    return in_a_worker(measure)


def test_a_collection_in_a_child_copies_nothing_that_the_worker_had_loaded():
    shared, copied = own_memory_after_a_collection(keep=True), own_memory_after_a_collection(keep=False)

    assert CELLS * 64 / 2 < copied - shared, (shared / MIB, copied / MIB)


def test_what_comes_after_the_first_fork_is_collected_as_ever():
    def measure():
        forking.keep_shared()
        first = gc.get_freeze_count()
        later = [[number] for number in range(1000)]
        forking.keep_shared()
        return first > len(later) and gc.get_freeze_count() <= first

    assert in_a_fork(measure)


class Request:
    """Garbage in a circle, as libraries leave it; our own requests do not."""

    def __init__(self):
        self.attempts = [(self, number) for number in range(10)]


def most_left_lying(prepare):
    """Return how many requests that are over lay about at once, in a worker whose children were forked after `prepare`."""
    def measure():
        gc.collect()
        prepare()
        under_way, most = deque(maxlen=200), 0   # each lasts longer than the young generations
        for number in range(20_000):
            under_way.append(Request())
            if number % 1000 == 0:
                most = max(most, sum(type(each) is Request for each in gc.get_objects()))
        return most

    return in_a_worker(measure)


def test_requests_that_are_over_do_not_pile_up_and_without_that_they_would():
    assert most_left_lying(forking.keep_shared) * 2 < most_left_lying(gc.freeze)


def test_celery_says_when_it_is_about_to_fork():
    assert "worker_before_create_process" in asynpool.AsynPool._create_worker_process.__code__.co_names


PARSER = "pycparser.c_parser"
AS_A_CHILD = f"""
import ctypes, sys
from celery import platforms
{{prepared}}
platforms.set_pdeathsig("SIGKILL")
told = ctypes.c_int()
ctypes.CDLL(None).prctl(2, ctypes.byref(told), 0, 0, 0)
print(told.value, "{PARSER}" in sys.modules)
"""
OURS = """
from apps.jobs.engine import forking
forking.install()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="children are ended with their parents on Linux alone")
@pytest.mark.parametrize(("prepared", "parses"), [(OURS, False), ("", True)])
def test_a_child_asks_to_be_ended_with_its_worker_and_parses_no_c_for_that(prepared, parses):
    said = subprocess.run([sys.executable, "-c", AS_A_CHILD.format(prepared=prepared)], check=True, capture_output=True, text=True)

    assert f"9 {parses}" == said.stdout.strip()
