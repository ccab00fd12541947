"""What of Celery's and billiard's pools the engine stands on, though they do not promise it."""

import inspect
import subprocess
import sys
import threading

import billiard.pool
import billiard.util
from celery.concurrency import asynpool, prefork
from celery.concurrency import thread as threads


def test_an_apply_result_knows_whether_a_child_has_it_and_where_it_is_cached():
    cache = {}
    result = billiard.pool.ApplyResult(cache, None)

    assert (False, None, False) == (result._accepted, result._write_to, result.ready())
    assert {result._job: result} == cache


def test_prefork_keeps_its_results_and_reaps_its_children_under_these_names():
    assert "_cache" in inspect.getsource(billiard.pool.Pool.__init__)
    assert callable(asynpool.AsynPool._join_exited_workers)
    started = inspect.getsource(prefork.TaskPool.on_start)
    for name in ("maintain_pool", "terminate_job"):
        assert f"self.{name} = P.{name}" in started
    assert "self._pool = " in started
    assert isinstance(prefork.TaskPool.num_processes, property)
    assert not prefork.TaskPool.body_can_be_buffer


def test_a_child_waits_at_its_end_as_long_as_a_global_says():
    name = "GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT"

    assert isinstance(getattr(billiard.pool, name), int)
    assert name in billiard.pool.Worker._ensure_messages_consumed.__code__.co_names


def test_a_thread_pool_returns_its_future_and_an_unstarted_one_can_be_cancelled():
    pool = threads.TaskPool(limit=1)
    held, go = threading.Event(), threading.Event()
    first = pool.on_apply(lambda: held.set() or go.wait(30), (), {})
    held.wait(30)
    second = pool.on_apply(lambda: None, (), {})
    cancelled = second.f.cancel()
    running = first.f.cancel()
    go.set()
    pool.executor.shutdown()

    assert (True, False) == (cancelled, running)
    assert threads.TaskPool.body_can_be_buffer
    assert 1 == pool.num_processes


ENDED = """
import os, signal
from billiard.common import reset_signals, terminate_handler_fired
signal.signal(signal.SIGTERM, lambda *_: None)
reset_signals()
before = terminate_handler_fired()
try:
    os.kill(os.getpid(), signal.SIGTERM)
    while True:
        signal.pause()
except SystemExit:
    print(before, terminate_handler_fired(), flush=True)
    os._exit(0)
"""


def test_a_process_knows_whether_it_was_told_to_end():
    said = subprocess.run([sys.executable, "-c", ENDED], capture_output=True, text=True, timeout=60, check=False)

    assert ("False True\n", "") == (said.stdout, said.stderr)


def test_billiards_logger_is_cut_off_from_the_root_and_has_the_handler_that_we_gave_it():
    logger = billiard.util.get_logger()

    assert ("multiprocessing", False) == (logger.name, bool(logger.propagate))
    assert logger.handlers
