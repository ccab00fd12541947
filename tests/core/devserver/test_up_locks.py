"""`manage.py up --locks cassandra`: a node for the locks beside the other stores."""

import json
import subprocess
import sys
import urllib.request

import pytest

from core.devserver import addresses
from tests.core.devserver.test_up import ROOT, Up, others
from tests.support.cassandra.fixtures import STARTING_SECONDS, found

KEYSPACE = "/latchwork_locks"


def ready(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as answer:
        return json.load(answer)


@pytest.mark.timeout(STARTING_SECONDS)
def test_the_locks_of_everything_that_is_started_stand_in_a_node_of_its_own(tmp_path):
    found()
    folder = tmp_path / "data"
    with Up(folder, "--only", "web", "--locks", "cassandra") as up:
        up.ready()
        checks = ready(up.port())["checks"]
        address = addresses.read(folder).locks_url
        listed = subprocess.run(
            [sys.executable, "manage.py", "locks_doctor", "--json"],
            cwd=ROOT, env={**others(), "DATA_DIR": str(folder)}, capture_output=True, text=True, check=False,
        )
        up.process.terminate()
        assert 0 == up.process.wait(30), up.text()

    assert {"store": "cassandra", "status": "ok"} == checks["locks"]
    assert (True, True) == (address.startswith("cassandra://127.0.0.1:"), address.endswith(KEYSPACE))
    doctor = json.loads(listed.stdout)
    assert (0, "cassandra", True) == (listed.returncode, doctor["store"], doctor["usable"]), listed.stderr
    assert "1 replica" in doctor["findings"][0]["what"]


def test_without_java_it_is_said_what_to_install_and_nothing_is_left(tmp_path):
    with Up(
        tmp_path / "data", "--only", "web", "--locks", "cassandra", PATH="", JAVA_HOME="", XDG_CACHE_HOME=str(tmp_path / "cache"),
    ) as up:
        status = up.process.wait(30)

    assert 1 == status
    assert "Cassandra needs" in up.text()
    assert "openjdk-17" in up.text()
    assert "Traceback" not in up.text()


def test_a_store_that_is_named_already_is_not_passed_over(tmp_path):
    with Up(tmp_path / "data", "--only", "web", "--locks", "cassandra", LOCKS_URL="postgresql://u@127.0.0.1:9/x") as up:
        status = up.process.wait(30)

    assert (1, True) == (status, "LOCKS_URL names a store already" in up.text())
