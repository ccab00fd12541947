import contextlib
import io
import os
import signal
import sys

import psutil
import pytest

from core import clock
from core.devserver import program, runner
from core.devserver.console import Console
from core.devserver.program import Program
from core.devserver.runner import GaveUp, Runner, StopRequested
from core.devserver.stores import Given, Stores
from core.devserver.valkey import Valkey
from tests.support.waiting import until

GIVEN = Given(database_url="postgresql://x/x", broker_url="redis://x/0", cache_url="redis://x/1")


@pytest.fixture
def running(tmp_path):
    with Runner(console=Console(io.StringIO()), stores=Stores(data_dir=tmp_path, given=GIVEN), cwd=tmp_path) as own:
        yield own


def python(name, code, **more):
    return Program(name=name, command=(sys.executable, "-u", "-c", code), **more)


def log(own):
    return own.console.stream.getvalue().splitlines()


def once(own, *, seconds=0.02):
    own.run_once(seconds=seconds)
    return own


def seen(own, *lines):
    return until(lambda: set(lines) <= set(log(once(own))))


def test_lines_of_all_come_out_behind_their_names_in_order(running):
    running.start([python("one", "print(1); print(2); import time; time.sleep(600)"), python("two", "input()")])
    seen(running, "one      │ 1", "one      │ 2")

    assert ["one      │ 1", "one      │ 2"] == [line for line in log(running) if line.startswith("one")]


def test_it_waits_until_each_is_ready(running, tmp_path):
    code = "import pathlib, time; time.sleep(0.2); pathlib.Path('ready').touch(); time.sleep(600)"
    running.start([python("slow", code, is_ready=(tmp_path / "ready").exists)])
    running.wait_ready(seconds=20)

    assert (tmp_path / "ready").exists()


def test_one_that_never_gets_ready_is_named(running):
    running.start([python("lazy", "import time; time.sleep(600)", is_ready=lambda: False)])

    with pytest.raises(GaveUp, match="lazy did not get ready within 0 s"):
        running.wait_ready(seconds=0.2)


def test_one_that_ends_is_started_again(running, tmp_path):
    code = "import pathlib, sys, time; p = pathlib.Path('n'); n = p.exists(); p.touch(); n and time.sleep(600); sys.exit(3)"
    running.start([python("once", code)])
    seen(running, "up       │ once ended with status 3; starting it again in 0.5 s")
    until(lambda: once(running).running[0].alive)

    assert running.running[0].alive


def test_one_that_is_killed_is_started_again(running):
    running.start([python("victim", "import time; time.sleep(600)")])
    first = running.running[0].process.pid
    os.kill(first, signal.SIGKILL)
    seen(running, "up       │ victim was killed by SIGKILL; starting it again in 0.5 s")
    until(lambda: once(running).running[0].alive)

    assert first != running.running[0].process.pid


def test_one_that_ends_again_and_again_ends_the_runner(running, monkeypatch):
    monkeypatch.setattr(program, "BACK_OFF", (0,))
    running.start([python("broken", "import sys; print('the reason'); sys.exit(1)")])

    with pytest.raises(GaveUp, match="broken ended with status 1, 5 times within 60 s"):
        until(lambda: once(running) and False)
    assert ["broken   │ the reason"] * 5 == [line for line in log(running) if line.startswith("broken")]


def test_a_program_may_run_to_its_end_beside_the_others(running):
    running.start([python("long", "import time; time.sleep(600)")])
    status = running.complete(python("short", "import sys; print('done'); sys.exit(4)"))

    assert (4, True, True) == (status, "short    │ done" in log(running), running.running[0].alive)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_asks_for_the_end(running, number):
    os.kill(os.getpid(), number)

    with pytest.raises(StopRequested):
        running.run()


def test_everybody_is_asked_and_may_finish(running):
    code = "import signal, sys; signal.signal(15, lambda *_: (print('finished'), sys.exit(0))); print('runs'); signal.pause()"
    running.start([python("polite", code)])
    seen(running, "polite   │ runs")
    running.stop()

    assert "polite   │ finished" in log(running)


def test_who_does_not_finish_is_killed_with_all_that_it_started(running, monkeypatch):
    monkeypatch.setattr(runner, "STOP_SECONDS", 0.3)
    child = "import signal, time; signal.signal(15, signal.SIG_IGN); print('runs'); time.sleep(600)"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-u', '-c', {child!r}]); {child}"
    running.start([python("deaf", code)])
    until(lambda: once(running) and 2 == log(running).count("deaf     │ runs"))
    group = running.running[0].process.pid
    running.stop()

    assert "up       │ deaf did not end by itself: killed" in log(running)
    until(lambda: not members(group))


def test_ctrl_c_a_second_time_waits_for_nobody(running, monkeypatch):
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('runs'); time.sleep(600)"
    running.start([python("deaf", code)])
    seen(running, "deaf     │ runs")
    moment = clock.elapsed()
    running._signals = [(signal.SIGINT, moment - 5), (signal.SIGINT, moment)]
    running.stop()

    assert clock.elapsed() - moment < runner.STOP_SECONDS / 2


def test_a_store_that_dies_comes_back_where_it_was(tmp_path):
    stores = Stores(data_dir=tmp_path, given=Given(database_url="postgresql://x/x"))
    with Runner(console=Console(io.StringIO()), stores=stores, cwd=tmp_path) as own:
        stores.start(meanwhile=lambda: own.idle(seconds=0.01))
        (valkey,) = stores.servers
        port = valkey.port
        os.kill(valkey.process.pid, signal.SIGKILL)
        seen(own, "up       │ Valkey ended with status -9; starting it again")

        assert (True, port) == (valkey.is_ready(), valkey.port)
    assert not valkey.running


def test_a_store_that_dies_again_and_again_ends_the_runner_which_names_it_and_its_log(tmp_path):
    stores = Stores(data_dir=tmp_path, given=Given(database_url="postgresql://x/x"))
    with Runner(console=Console(io.StringIO()), stores=stores, cwd=tmp_path) as own:
        stores.start(meanwhile=lambda: own.idle(seconds=0.01))
        (valkey,) = stores.servers

        def killed():
            os.kill(valkey.process.pid, signal.SIGKILL)
            valkey.process.wait(10)
            once(own)

        for _ in range(4):
            killed()
        with pytest.raises(GaveUp, match=f"Valkey ended 5 times within 60 s: see {tmp_path / 'valkey.log'}"):
            killed()

        assert 4 == log(own).count("up       │ Valkey ended with status -9; starting it again")


def test_leaving_by_an_error_stops_everything(tmp_path):
    stores = Stores(data_dir=tmp_path, given=Given(database_url="postgresql://x/x"))
    own = Runner(console=Console(io.StringIO()), stores=stores, cwd=tmp_path)
    with contextlib.suppress(ZeroDivisionError), own:
        stores.start(meanwhile=lambda: own.idle(seconds=0.01))
        own.start([python("long", "import time; time.sleep(600)")])
        raise ZeroDivisionError

    assert ([False], False) == ([server.running for server in stores.servers], own.running[0].alive)
    assert isinstance(stores.servers[0], Valkey)


def members(group):
    """Return the processes of a group that still can do something."""
    return [
        process.pid
        for process in psutil.process_iter(["status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE and group_of(process.pid) == group
    ]


def group_of(pid):
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None
