"""The gate as clients meet it: the application under its own server, with sockets and nothing in between."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.conf import settings as now

from core.api import throttling
from tests.support.caller import Caller
from tests.support.environment import environment
from tests.support.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]
CALL = {"type": "http.request", "payload": {"method": "GET", "url": "https://example.com/"}}


@contextlib.contextmanager
def serving(tmp_path, **more: str) -> Iterator[int]:
    """Run the web over the test's database as `make up` does, and yield its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = environment(**{
        "DJANGO_SETTINGS_MODULE": "config.settings.local", "ALLOWED_HOSTS": "127.0.0.1", "DATA_DIR": str(tmp_path),
        "PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}", **more,
    })
    command = [sys.executable, "-m", "gunicorn", "-c", "python:core.devserver.webserver", "-b", f"127.0.0.1:{port}", "config.wsgi"]
    with (tmp_path / "log").open("wb") as log:
        web = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=log, stderr=log, start_new_session=True)
    try:
        until(lambda: web.poll() is not None or answers(port), timeout=60)
        assert web.poll() is None, (tmp_path / "log").read_text()
        yield port
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(web.pid, signal.SIGTERM)
        web.wait(20)


def answers(port: int) -> bool:
    try:
        return ask(port, "GET", "/healthz")[0] == 200
    except OSError:
        return False


def ask(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        client.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = client.getresponse()
        return response.status, response.read()
    finally:
        client.close()


def test_of_400_posts_at_once_exactly_60_pass_and_a_false_forwarding_header_helps_nobody(tmp_path, operator):
    headers = {**operator.headers, "Content_Type": "application/json"}
    throttling.Window(url=now.CACHE_URL, rate="60/minute").limiter.storage.reset()

    def post(port: int, number: int) -> tuple[int, float]:
        start = time.monotonic()
        status, _ = ask(
            port, "POST", "/api/v1/jobs", json.dumps(CALL).encode(), **headers,
            X_Forwarded_For=f"198.51.100.{number % 250}", Forwarded=f"for=198.51.100.{number % 250}",
            X_Real_IP=f"198.51.100.{number % 250}",
        )
        return status, time.monotonic() - start

    with serving(tmp_path, RATE_LIMIT="60/minute") as port, ThreadPoolExecutor(50) as pool:
        answered = list(pool.map(lambda number: post(port, number), range(400)))

    assert Counter(status for status, _ in answered) == {201: 60, 429: 340}


def test_a_dead_limit_store_costs_a_post_no_wait(tmp_path, operator, valkey, capsys):
    headers = {**operator.headers, "Content_Type": "application/json"}

    def seconds(port: int) -> float:
        start = time.monotonic()
        status, body = ask(port, "POST", "/api/v1/jobs", json.dumps(CALL).encode(), **headers)
        assert status == 201, body
        return time.monotonic() - start

    with serving(tmp_path, RATE_LIMIT="1000000/minute") as port:
        usual = sorted(seconds(port) for _ in range(5))
        valkey.kill()
        without = sorted(seconds(port) for _ in range(5))

    with capsys.disabled():
        print(f"\nPOST took {usual[2] * 1000:.0f} ms, without the store {without[2] * 1000:.0f} ms")  # noqa: T201  a measurement
    assert without[2] < 1.0   # 0.1 s is the bound on an idle machine; the rest is slack for a busy one


CHUNK = b"2000\r\n" + b"x" * 0x2000 + b"\r\n"


BODIES = [
    (b"Content-Length: 262145", b"x" * 262145, 1, b"413"),
    (b"Content-Length: 100000000000", b"x" * 65536, 64, b"413"),
    (b"Transfer-Encoding: chunked", CHUNK, 1024, b"400"),
    (b"Transfer-Encoding: chunked\r\nContent-Length: 5", CHUNK, 4, b"400"),
]


def test_a_body_above_the_limit_is_refused_before_all_of_it_came(tmp_path, operator):
    token = operator.headers["Authorization"].encode()

    with serving(tmp_path, RATE_LIMIT="1000000/minute") as port:
        said = [status_of(port, token, head, part, most) for head, part, most, _ in BODIES]

        assert answers(port)
    assert said == [status for *_, status in BODIES]


def status_of(port: int, token: bytes, head: bytes, part: bytes, most: int) -> bytes:
    """Send a body part after part, and return the status of the answer, which may come before the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(
            b"POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAuthorization: "
            + token + b"\r\n" + head + b"\r\n\r\n",
        )
        with contextlib.suppress(OSError):   # it may hang up as soon as it knows
            for _ in range(most):
                client.sendall(part)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(OSError):
            while chunk := client.recv(65536):
                answer += chunk
    found = re.match(rb"HTTP/1\.1 (\d+)", answer)
    return found[1] if found else answer


@pytest.fixture
def operator(db):
    return Caller.of("operator")
