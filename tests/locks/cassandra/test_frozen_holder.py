"""A holder that stands still for longer than its lease, and goes on: what it writes is refused wherever tokens are compared."""

import json
import os
import signal
import subprocess
import sys
import uuid
from datetime import timedelta
from pathlib import Path

import pytest

from locks import Locks, open_store
from tests.support.cassandra import tables
from tests.support.environment import environment
from tests.support.three import CASSANDRA_TABLE, Three, all_said, make_table
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[3]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(420)]


@pytest.fixture
def address(ring):
    make_table()
    tables.make(ring, CASSANDRA_TABLE)
    return tables.address(ring)


@pytest.fixture
def name():
    return f"account:{uuid.uuid4().hex}"


@pytest.fixture
def three(address, name):
    made = Three(name, cassandra=address)
    yield made
    made.close()


@pytest.fixture
def locks(address):
    made = Locks(open_store(address), owner="the next one")
    yield made
    made.close()


@pytest.fixture
def holder(address, name, three, tmp_path):
    """A process that holds the lock and has written under it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.frozen_holder", address, name, str(tmp_path)],
        cwd=ROOT, env=environment(PYTHONPATH=f"{ROOT}:{ROOT / 'platform'}"),
    )
    until(lambda: (tmp_path / "ready").exists() or process.poll() is not None, timeout=60)
    yield process
    process.kill()
    process.wait()


def told(file):
    until(file.exists, timeout=60, message=f"{file.name} was never written")
    return json.loads(file.read_text())


def test_a_thawed_holder_is_refused_by_all_three_and_is_told_that_it_lost_its_lock(holder, three, locks, name, tmp_path):
    first = told(tmp_path / "ready")
    os.kill(holder.pid, signal.SIGSTOP)
    with locks.acquire(name, lease=timedelta(seconds=30), timeout=timedelta(seconds=60)) as lease:
        written = three.write("second", token=lease.token)
        (tmp_path / "go").touch()
        os.kill(holder.pid, signal.SIGCONT)
        end = told(tmp_path / "end")
    until((tmp_path / "lost").exists, timeout=30, message="on_lost was not called")

    assert (all_said("written"), all_said("written")) == (first["said"], written)
    assert lease.token > first["token"]
    assert {"said": all_said("refused"), "checked": "lost", "released": "over"} == end
    assert (all_said("second"), "expired") == (three.read(), (tmp_path / "lost").read_text())


def test_a_holder_that_was_not_stopped_writes_on(holder, three, tmp_path):
    """What the other test sees comes of the stop alone."""
    told(tmp_path / "ready")
    (tmp_path / "go").touch()
    end = told(tmp_path / "end")

    assert {"said": all_said("written"), "checked": "held", "released": "released"} == end
    assert (all_said("late"), False) == (three.read(), (tmp_path / "lost").exists())
