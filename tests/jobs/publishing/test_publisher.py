"""The doorbell's thread: nobody waits for it, nothing that it does harms anybody, and a fork leaves it whole."""

import os
import subprocess
import sys
import threading

import pytest
from prometheus_client import REGISTRY

from apps.jobs import publishing
from apps.jobs.conf import config
from apps.jobs.publishing import publisher
from apps.jobs.publishing.bell import Bell
from tests.support import brokers
from tests.support.waiting import until


def failed(reason):
    return REGISTRY.get_sample_value("latchwork_rings_failed_total", {"reason": reason}) or 0.0


def run(script):
    """Run a script in a process of its own, as a web server or a command would."""
    started = "import os, django\ndjango.setup()\nfrom apps.jobs import publishing\nfrom apps.jobs.publishing import publisher\n"
    return subprocess.run(
        [sys.executable, "-c", started + script], check=False, timeout=60, capture_output=True, text=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings.test"})


def test_a_ring_reaches_the_broker(broker):
    publishing.ring("mail")

    assert publishing.flush()
    assert 1 == broker.llen("mail")


def test_rings_of_many_threads_for_many_queues_all_arrive(broker):
    def ring(number):
        for _ in range(10):
            publishing.ring(f"queue-{number}", count=2)

    threads = [threading.Thread(target=ring, args=[number]) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert publishing.flush(10)
    assert [config().tickets] * 20 == [broker.llen(f"queue-{number}") for number in range(20)]


def test_a_queue_rests_from_its_ring_on_and_for_a_while_after_it(broker, monkeypatch):
    monkeypatch.setattr(publisher, "REST_SECONDS", 3600.0)
    with brokers.publishing_to(os.environ["BROKER_URL"]) as mine:
        assert not publishing.rests("mail")
        mine.note("mail", 1)
        assert publishing.rests("mail")
        assert mine.flush(5)
        assert (True, False) == (publishing.rests("mail"), publishing.rests("other"))


def test_every_queue_rests_while_the_broker_is_silent():
    with brokers.silent() as address, brokers.publishing_to(address) as mine:
        mine.note("mail", 1)
        until(lambda: mine.rests("other"), message="it waits for the broker")
        until(lambda: mine.flush(0.1), message="it gives up")


@pytest.fixture
def put(monkeypatch):
    """What went to the broker, ring by ring."""
    rings, real = [], Bell.put

    def noted(bell, queue, *, count, most):
        rings.append((queue, count))
        return real(bell, queue, count=count, most=most)

    monkeypatch.setattr(Bell, "put", noted)
    return rings


def test_a_burst_for_one_queue_becomes_one_ring_after_the_first_and_other_queues_do_not_wait(broker, put, monkeypatch):
    monkeypatch.setattr(publisher, "REST_SECONDS", 0.5)
    with brokers.publishing_to(os.environ["BROKER_URL"]) as mine:
        mine.note("mail", 1)
        assert mine.flush(5)
        for _ in range(7):
            mine.note("mail", 1)
        mine.note("other", 1)
        until(lambda: len(put) == 2, message="the other queue is rung")
        assert [("mail", 1), ("other", 1)] == put

        assert mine.flush(5)

    assert [("mail", 1), ("other", 1), ("mail", 7)] == put


def test_the_last_ring_of_a_burst_is_never_lost(broker, put):
    with brokers.publishing_to(os.environ["BROKER_URL"]) as mine:
        for _ in range(300):
            before = len(put)
            mine.note("mail", 1)
            mine.note("mail", 1)
            assert mine.flush(5)
            assert len(put) > before

    assert 600 == sum(count for _, count in put)


def test_more_is_never_put_in_a_line_than_is_configured(broker):
    publishing.ring("mail", count=1_000_000)

    assert publishing.flush()
    assert config().tickets == broker.llen("mail")


def test_what_is_noted_has_a_bound_and_what_lies_beyond_is_counted(monkeypatch):
    monkeypatch.setattr(publisher, "MOST_QUEUES", 3)
    with brokers.silent() as address, brokers.publishing_to(address) as mine:
        mine.note("first", 1)
        until(lambda: mine._busy, message="the thread is with the broker")
        before = failed("overflow")
        for number in range(5):
            mine.note(f"queue-{number}", 1)

        assert before + 2 == failed("overflow")
        assert 3 == len(mine._due)
        assert until(lambda: mine.flush(1), message="the publisher gives up")


def test_a_broker_that_is_gone_is_counted_and_asked_again_later(broker):
    before = failed("broker")
    with brokers.refused() as address, brokers.publishing_to(address) as mine:
        mine.note("mail", 1)
        assert mine.flush(10)
        assert before + 1 == failed("broker")
        mine.note("mail", 1)
        assert until(lambda: mine.flush(1) and failed("broker") == before + 2, message="it is asked again")


def test_a_flush_does_not_wait_longer_than_it_was_told():
    with brokers.silent() as address, brokers.publishing_to(address) as mine:
        mine.note("mail", 1)

        assert not mine.flush(0.01)
        assert until(lambda: mine.flush(1), message="the publisher gives up")


def test_what_was_rung_for_is_flushed_when_the_process_ends(broker):
    ended = run("publishing.ring('mail')")

    assert (0, "") == (ended.returncode, ended.stderr)
    assert 1 == broker.llen("mail")


def test_a_process_ends_in_time_though_its_broker_is_silent():
    with brokers.silent() as address:
        ended = run(f"""
import time
from celery import current_app as app
app.conf.broker_url = app.conf.broker_write_url = {address!r}
publishing.ring('mail')
import atexit
since = time.monotonic()
atexit._run_exitfuncs()
print(time.monotonic() - since < 3)
""")

    assert "True" == ended.stdout.strip().splitlines()[-1], ended


def test_a_forked_child_rings_by_itself_and_leaves_its_parents_connection_alone(broker):
    """The child is forked while the parent's thread is up and its lock is held; both ring afterwards."""
    ended = run("""
import gc, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)   # forking a process with threads is the point
publishing.ring("before")
assert publishing.flush()
mine = publisher._publisher
socket_before = mine._bell._broker.default_channel.client.connection_pool
with publisher._lock, mine._changed:
    child = os.fork()
    if child == 0:
        gc.collect()
        assert publisher._publisher is None
        publishing.ring("child")
        done = publishing.flush(10)
        assert publisher._publisher is not mine and publisher._publisher.pid == os.getpid()
        os._exit(0 if done else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
publishing.ring("after")
assert publishing.flush()
assert mine is publisher._publisher
assert socket_before is mine._bell._broker.default_channel.client.connection_pool
""")

    assert 0 == ended.returncode, ended.stderr
    assert [1, 1, 1] == [broker.llen(name) for name in ("before", "child", "after")]


def test_a_child_that_exits_rings_nothing_for_its_parent(broker):
    ended = run("""
import sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
publishing.ring("mail")
publishing.flush()
child = os.fork()
if child == 0:
    sys.exit(0)   # runs the exit handlers that it inherited
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
""")

    assert 0 == ended.returncode, ended.stderr
    assert 1 == broker.llen("mail")


def test_without_a_new_lock_a_child_forked_at_the_wrong_moment_would_hang_for_ever(broker):
    ended = run("""
import signal, warnings
warnings.simplefilter("ignore", DeprecationWarning)
publishing.ring("mail")
publishing.flush()
held = publisher._lock
with held:
    child = os.fork()
    if child == 0:
        publisher._lock = held   # as if nobody had replaced it
        signal.alarm(1)
        publishing.ring("child")
        os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""")

    assert "-14" == ended.stdout.strip(), ended   # ended by its alarm


@pytest.mark.parametrize("failure", [RuntimeError("odd"), OSError("gone"), ValueError()])
def test_whatever_a_brokers_client_raises_is_counted_and_the_thread_lives_on(broker, monkeypatch, failure):
    before, real = failed("broker"), Bell.put

    def broken(*args, **kwargs):
        raise failure

    with brokers.publishing_to(os.environ["BROKER_URL"]) as mine:
        monkeypatch.setattr(Bell, "put", broken)
        mine.note("mail", 1)
        assert mine.flush(5)
        monkeypatch.setattr(Bell, "put", real)
        mine.note("mail", 1)
        assert until(lambda: mine.flush(1) and broker.llen("mail") == 1, message="the next ring is heard")

    assert before + 1 == failed("broker")
