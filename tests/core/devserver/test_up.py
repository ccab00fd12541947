"""The whole runner as an operator meets it: a process of its own, with stores of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest

from core.devserver import addresses, health
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[3]
OURS = ("DATABASE_URL", "BROKER_URL", "CACHE_URL", "DJANGO_SETTINGS_MODULE", "PORT")
READY = "is ready after"


class Up:
    """One `manage.py up` and everything below it."""

    def __init__(self, data_dir, *arguments, **environ):
        self.data_dir = data_dir
        self.log = data_dir.parent / f"{data_dir.name}.log"
        environment = {name: value for name, value in os.environ.items() if name not in OURS}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--no-smoke", *arguments],
                cwd=ROOT, env={**environment, "DATA_DIR": str(data_dir), **environ}, stdout=log, stderr=log,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.tree():
            process.kill()
        self.process.wait()

    def text(self):
        return self.log.read_text(encoding="utf-8")

    def ready(self):
        def look():
            assert self.process.poll() is None, self.text()
            return READY in self.text()

        until(look, timeout=90)
        return self

    def tree(self):
        try:
            main = psutil.Process(self.process.pid)
            return [main, *main.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def port(self):
        return int(self.text().split("Web     http://127.0.0.1:")[1].split("/")[0])


def alive(processes):
    return [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A data folder in which everything was started and stopped once."""
    folder = tmp_path_factory.mktemp("up") / "data"
    with Up(folder, "--only", "web") as up:
        up.ready()
        up.process.terminate()
        assert 0 == up.process.wait(20), up.text()
        assert "migrate  │ applied" in up.text()
    return folder


def test_a_second_start_prepares_nothing_and_shows_the_same_log_in_and_token(data_dir):
    with Up(data_dir, "--only", "web") as up:
        text = up.ready().text()

    assert "migrate  │" not in text
    assert (data_dir / "token").read_text(encoding="utf-8") in text
    assert f"admin / {(data_dir / 'admin_password').read_text(encoding='utf-8')}" in text


def test_secrets_are_for_their_owner_alone(data_dir):
    files = ["admin_password", "token", "postgres_password", "valkey_password", "secret_key", addresses.FILE]

    assert {0o600} == {(data_dir / file).stat().st_mode & 0o777 for file in files}


def test_the_web_application_is_served(data_dir):
    with Up(data_dir, "--only", "web") as up:
        assert health.serves(up.ready().port(), "/healthz")


def test_any_other_command_meets_the_same_stores(data_dir):
    with Up(data_dir, "--only", "web") as up:
        up.ready()
        environment = {name: value for name, value in os.environ.items() if name not in OURS}
        answer = subprocess.run(
            [sys.executable, "manage.py", "tokens_list"],
            cwd=ROOT, env={**environment, "DATA_DIR": str(data_dir)}, capture_output=True, text=True, check=True,
        )

    assert "make up" in answer.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_ends_everything_and_is_no_failure(data_dir, number):
    with Up(data_dir, "--only", "web,flower") as up:
        everybody = up.ready().tree()
        up.process.send_signal(number)
        status = up.process.wait(20)

    assert (0, []) == (status, alive(everybody))


def test_a_killed_runner_leaves_no_process(data_dir):
    with Up(data_dir, "--only", "web,flower") as up:
        everybody = up.ready().tree()
        up.process.kill()
        up.process.wait()

        assert len(everybody) > 8   # the runner, Valkey, PostgreSQL with its own, the web master and its worker, Flower
        until(lambda: not alive(everybody), timeout=10)


def test_a_start_right_after_a_kill_finds_its_data(data_dir):
    with Up(data_dir, "--only", "web") as up:
        up.ready()
        with psycopg.connect(addresses.read(data_dir).database_url) as database:
            database.execute("CREATE TABLE kept AS SELECT 42 AS n")
        up.process.kill()
        up.process.wait()
        with Up(data_dir, "--only", "web") as second:
            second.ready()
            with psycopg.connect(addresses.read(data_dir).database_url) as database:
                kept = database.execute("SELECT n FROM kept").fetchone()

    assert (42,) == kept


def test_a_second_runner_on_the_same_data_is_refused(data_dir):
    with Up(data_dir, "--only", "web") as first:
        first.ready()
        with Up(data_dir.parent / "data", "--only", "web") as second:
            second.log = first.log   # both write there
            status = second.process.wait(20)

        assert 1 == status
        assert f"is in use by process {first.process.pid}: stop that one first" in first.text()


def test_a_default_port_that_is_taken_gives_the_next_and_one_that_was_asked_for_is_named(data_dir, tmp_path):
    with Up(data_dir, "--only", "web") as first:
        port = first.ready().port()
        with Up(tmp_path / "other", "--only", "web") as second:
            other = second.ready().port()
            refused = Up(tmp_path / "third", "--only", "web", PORT=str(port))
            status = refused.process.wait(30)

    assert port < other
    assert (1, True) == (status, f"port {port} is taken: set PORT to another one" in refused.text())


def test_a_wrong_name_is_told_at_once(tmp_path):
    with Up(tmp_path / "data", "--only", "web,weeb") as up:
        status = up.process.wait(20)

    assert (2, True) == (status, "weeb is not known: choose from web, worker, beat, flower" in up.text())


def test_given_addresses_are_used_and_nothing_is_started_for_them(tmp_path, db):
    given = {name: os.environ[name] for name in ("BROKER_URL", "CACHE_URL")}
    with Up(tmp_path / "data", "--only", "web", **given) as up:
        text = up.ready().text()

    assert (True, False) == ("PostgreSQL is ready on" in text, "Valkey is ready on" in text)


def test_an_interrupt_of_make_alone_is_heard(data_dir, tmp_path):
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"up:\n\t@exec {sys.executable} {ROOT}/manage.py up --no-smoke --only web\n", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    log = tmp_path / "log"
    with log.open("w") as file, subprocess.Popen(
        ["make", "-f", makefile, "up"], env={**environment, "DATA_DIR": str(data_dir)}, stdout=file, stderr=file,
    ) as make:
        until(lambda: READY in log.read_text(encoding="utf-8"), timeout=60)
        everybody = psutil.Process(make.pid).children(recursive=True)
        make.send_signal(signal.SIGINT)
        make.wait(20)

    assert [] == alive(everybody)
