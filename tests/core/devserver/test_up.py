"""The whole runner as an operator meets it: a process of its own, with stores of its own."""

import os
import signal
import subprocess
import sys
import uuid
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest
import requests

from core.devserver import addresses, health
from core.management.commands.up import web_port
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[3]
OURS = ("DATABASE_URL", "BROKER_URL", "CACHE_URL", "DJANGO_SETTINGS_MODULE", "PORT")
READY = "is ready after"


class Up:
    """One `manage.py up` and everything below it."""

    def __init__(self, data_dir, *arguments, **environ):
        self.log = data_dir.parent / f"{uuid.uuid4()}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--no-smoke", *arguments],
                cwd=ROOT, env={**others(), "DATA_DIR": str(data_dir), **environ}, stdout=log, stderr=log,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.tree():
            with suppress(psutil.NoSuchProcess):   # it may have ended by itself since
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


def others():
    """Return the environment without the stores of this session."""
    return {name: value for name, value in os.environ.items() if name not in OURS}


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


class TestWhileItRuns:
    """What can be seen of one that stays up; a class, so that it is gone before others use its data."""

    @pytest.fixture(scope="class")
    @staticmethod
    def up(data_dir):
        with Up(data_dir, "--only", "web") as up:
            yield up.ready()

    def test_a_second_start_prepared_nothing_and_shows_the_same_log_in_and_token(self, up, data_dir):
        text = up.text()

        assert "migrate  │" not in text
        assert (data_dir / "token").read_text(encoding="utf-8") in text
        assert f"admin / {(data_dir / 'admin_password').read_text(encoding='utf-8')}" in text

    def test_secrets_are_for_their_owner_alone(self, up, data_dir):
        files = ["admin_password", "token", "postgres_password", "valkey_password", "secret_key", addresses.FILE]

        assert {0o600} == {(data_dir / file).stat().st_mode & 0o777 for file in files}

    def test_the_web_application_is_served(self, up):
        assert health.serves(up.port(), "/healthz")

    def test_any_other_command_meets_the_same_stores(self, up, data_dir):
        answer = subprocess.run(
            [sys.executable, "manage.py", "tokens_list"],
            cwd=ROOT, env={**others(), "DATA_DIR": str(data_dir)}, capture_output=True, text=True, check=True,
        )

        assert "make up" in answer.stdout

    def test_a_second_runner_on_the_same_data_is_refused(self, up, data_dir):
        with Up(data_dir, "--only", "web") as second:
            status = second.process.wait(20)

        assert 1 == status
        assert f"is in use by process {up.process.pid}: stop that one first" in second.text()

    def test_a_port_that_was_asked_for_and_is_taken_is_named(self, up, tmp_path):
        with Up(tmp_path / "other", "--only", "web", PORT=str(up.port())) as second:
            status = second.process.wait(20)

        assert (1, True) == (status, f"port {up.port()} is taken: set PORT to another one" in second.text())

    def test_a_default_port_that_is_taken_gives_the_next(self, up):
        said = []

        assert up.port() < web_port(None, say=said.append)
        assert "port 8000 is taken" in said[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_ends_everything_and_is_no_failure(data_dir, number):
    with Up(data_dir, "--only", "web") as up:
        everybody = up.ready().tree()
        up.process.send_signal(number)
        status = up.process.wait(20)

    assert (0, []) == (status, alive(everybody))


ORDERS = [
    "api/worker/shutdown/celery@any", "api/worker/pool/grow/celery@any", "api/worker/queue/cancel-consumer/celery@any",
    "api/task/apply/celery.backend_cleanup", "api/task/async-apply/celery.backend_cleanup",
    "api/task/send-task/celery.backend_cleanup", "api/task/abort/any", "api/task/timeout/any", "api/task/rate-limit/any",
    "api/task/revoke/any",
]   # of Flower to workers; some would run any registered task


def test_flower_tells_nothing_without_its_log_in_and_orders_nothing_with_it(data_dir):
    with Up(data_dir, "--only", "flower") as up:
        text = up.ready().text()
        url = text.split("Flower  ")[1].split()[0]
        login = requests.auth.HTTPBasicAuth("admin", (data_dir / "flower_password").read_text(encoding="utf-8"))
        strangers = {path: requests.get(url + path, timeout=10).status_code for path in ("", "metrics", "api/workers", "tasks")}
        strangers |= {path: requests.post(url + path, timeout=10).status_code for path in ORDERS}
        ours = requests.get(f"{url}metrics", auth=login, timeout=10)
        orders = {path: requests.post(url + path, auth=login, json={"args": []}, timeout=10) for path in ORDERS}
        flower = next(each for each in up.tree() if "core.devserver.monitor" in each.cmdline())
        listening = {each.laddr.ip for each in flower.net_connections("tcp") if each.status == psutil.CONN_LISTEN}

    assert {401} == set(strangers.values()), strangers
    assert (200, True) == (ours.status_code, "flower_worker_online" in ours.text)
    refused = {(each.status_code, each.text) for each in orders.values()}   # else 404: there is no such worker and no task
    assert {(403, "Read only mode is enabled")} == refused
    assert {"127.0.0.1"} == listening


def test_flower_sees_the_workers_and_can_ask_them(data_dir):
    """With few connections its threads would each hold one and wait for another, for ever."""
    with Up(data_dir, "--only", "worker,flower") as up:
        url = up.ready().text().split("Flower  ")[1].split()[0]
        login = requests.auth.HTTPBasicAuth("admin", (data_dir / "flower_password").read_text(encoding="utf-8"))
        seen = until(
            lambda: requests.get(f"{url}workers?json=1", auth=login, timeout=10).json()["data"], timeout=30, message="Flower hears nothing",
        )
        page = requests.get(f"{url}worker/{seen[0]['hostname']}", auth=login, timeout=30)

    assert [(True, True)] == [(each["hostname"].startswith("worker1@"), each["status"]) for each in seen]
    assert (200, True) == (page.status_code, "prefork" in page.text)


def test_a_mail_that_another_terminal_asks_for_is_read_in_the_browser_after_a_log_in(data_dir):
    with Up(data_dir, "--only", "web,worker,mail") as up:
        text = up.ready().text()
        url = f"http://127.0.0.1:{up.port()}"
        payload = '{"to": ["ada@example.com"], "subject": "Read me", "text": "It works."}'
        subprocess.run(
            [sys.executable, "manage.py", "jobs_enqueue", "email.send", payload],
            cwd=ROOT, env={**others(), "DATA_DIR": str(data_dir)}, capture_output=True, check=True,
        )
        strangers = requests.get(f"{url}/mails", timeout=10).url
        with requests.Session() as browser:
            page = browser.get(f"{url}/mails", timeout=10)   # leads to the log-in
            password = (data_dir / "admin_password").read_text(encoding="utf-8")
            form = {"username": "admin", "password": password, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
            browser.post(page.url, data=form, headers={"Referer": page.url}, timeout=10)
            until(lambda: "Read me" in browser.get(f"{url}/mails", timeout=10).text, timeout=30)
        everybody = up.tree()
        up.process.terminate()
        status = up.process.wait(20)

    assert (True, True) == (f"{url}/mails" in text, strangers.startswith(f"{url}/admin/login/?next=/mails"))
    assert (0, []) == (status, alive(everybody))


def test_mail_that_has_a_server_gets_none_of_ours(data_dir):
    with Up(data_dir, "--only", "web,mail", EMAIL_URL="smtp://127.0.0.1:1", EMAIL_FROM="a@example.com") as up:
        text = up.ready().text()
        programs = [" ".join(process.cmdline()) for process in up.tree()]

    assert (False, []) == ("/mails" in text, [each for each in programs if "sink" in each])


def test_a_killed_runner_leaves_no_process_and_no_obstacle(data_dir):
    with Up(data_dir, "--only", "web,flower") as up:
        everybody = up.ready().tree()
        with psycopg.connect(addresses.read(data_dir).database_url) as database:
            database.execute("CREATE TABLE kept AS SELECT 42 AS n")
        up.process.kill()
        up.process.wait()
        until(lambda: not alive(everybody), timeout=10)
    with Up(data_dir, "--only", "web") as second:
        second.ready()
        with psycopg.connect(addresses.read(data_dir).database_url) as database:
            kept = database.execute("SELECT n FROM kept").fetchone()

    assert (42,) == kept
    assert len(everybody) > 8   # the runner, Valkey, PostgreSQL with its own, the web master and its worker, Flower


def test_a_wrong_name_is_told_at_once(tmp_path):
    with Up(tmp_path / "data", "--only", "web,weeb") as up:
        status = up.process.wait(20)

    assert (2, True) == (status, "weeb is not known: choose from web, worker, beat, flower, mail" in up.text())


def test_given_addresses_are_used_and_nothing_is_started_for_them(tmp_path):
    given = {name: os.environ[name] for name in OURS if name.endswith("_URL")}
    given["DATABASE_URL"] = f"{given['DATABASE_URL']}_that_is_not_there"
    with Up(tmp_path / "data", "--only", "web", **given) as up:
        status = up.process.wait(30)

    assert (1, True) == (status, "DATABASE_URL leads nowhere" in up.text())
    assert "is ready on" not in up.text()


def test_an_interrupt_of_make_alone_is_heard(data_dir, tmp_path):
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"up:\n\t@exec {sys.executable} {ROOT}/manage.py up --no-smoke --only web\n", encoding="utf-8")
    log = tmp_path / "log"
    with log.open("w") as file, subprocess.Popen(
        # Whoever starts the tests in the background may have them ignore SIGINT, which is inherited: env (1) takes it back.
        ["env", "--default-signal=INT", "make", "-f", makefile, "up"],
        env={**others(), "DATA_DIR": str(data_dir)}, stdout=file, stderr=file,
    ) as make:
        until(lambda: READY in log.read_text(encoding="utf-8"), timeout=60)
        everybody = psutil.Process(make.pid).children(recursive=True)
        make.send_signal(signal.SIGINT)
        make.wait(20)

    assert [] == alive(everybody)
