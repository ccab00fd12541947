import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from core.devserver import child
from tests.support.waiting import until

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
MIDDLE = f"""
import sys, time
from pathlib import Path
from core.devserver import child
sleeper = child.start({SLEEP!r}, cwd=Path("/"), die_on=int(sys.argv[1]))
print(sleeper.pid, flush=True)
time.sleep(600)
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("die_on", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_dies_with_a_parent_that_is_killed(die_on):
    command = [sys.executable, "-c", MIDDLE, str(int(die_on))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        sleeper = int(parent.stdout.readline())
        alive_before = not gone(sleeper)
        parent.kill()

    assert alive_before
    until(lambda: gone(sleeper))


def test_without_asking_the_kernel_a_child_survives_its_parent():
    code = MIDDLE.replace("child.start(", "__import__('subprocess').Popen(").replace(", die_on=int(sys.argv[1])", "")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        sleeper = int(parent.stdout.readline())
        parent.kill()

    assert not gone(sleeper)
    os.kill(sleeper, signal.SIGKILL)


def test_a_child_whose_parent_died_before_it_could_ask_does_not_start(tmp_path):
    somebody_else = os.getppid()
    command = [sys.executable, "-I", "-S", child.__file__, f"--parent={somebody_else}", "--signal=9", "--", "touch", "trace"]
    status = subprocess.run(command, cwd=tmp_path, check=False).returncode

    assert (137, []) == (status, list(tmp_path.iterdir()))


def test_a_command_that_is_not_there_is_named():
    process = child.start(["/no/such/program"], cwd=Path("/"), output=subprocess.PIPE)
    output, _ = process.communicate()

    assert (1, b"/no/such/program cannot be started: No such file or directory\n") == (process.returncode, output)


def test_ctrl_c_in_the_terminal_does_not_reach_a_child():
    process = child.start(SLEEP, cwd=Path("/"))
    session = os.getsid(process.pid)
    process.kill()
    process.wait()

    assert session != os.getsid(0)


@needs_root
def test_an_account_keeps_the_right_to_pass_by_permissions_and_no_other():
    code = "import os, re; print(os.getuid(), os.geteuid(), re.findall('Cap(?:Prm|Eff|Amb):\\\\s*(\\\\w+)', open('/proc/self/status').read()))"
    process = child.start([sys.executable, "-c", code], cwd=Path("/"), account=(65534, 65534), output=subprocess.PIPE)
    output, _ = process.communicate()

    assert f"65534 65534 {['0000000000000002'] * 3}" == output.decode().strip()


@needs_root
def test_a_child_with_another_account_dies_with_its_parent_too():
    code = MIDDLE.replace("die_on=", "account=(65534, 65534), die_on=")
    with subprocess.Popen([sys.executable, "-c", code, "9"], stdout=subprocess.PIPE, text=True) as parent:
        sleeper = int(parent.stdout.readline())
        until(lambda: psutil.Process(sleeper).uids().effective == 65534)
        parent.kill()

    until(lambda: gone(sleeper))
