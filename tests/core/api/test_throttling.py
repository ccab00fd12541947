import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client import REGISTRY

from core.api import throttling
from tests.support.caller import Caller

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.core.api.routes")]


@pytest.fixture
def limited(settings, operator):
    """An operator whose address may write three times a minute, and has not yet."""
    settings.RATE_LIMIT = "3/minute"
    throttling.window.cache_clear()
    throttling.window(settings.CACHE_URL, settings.RATE_LIMIT).limiter.storage.reset()
    return operator


def failures() -> float:
    return REGISTRY.get_sample_value("latchwork_rate_limit_store_failures_total") or 0.0


def test_exactly_the_limit_passes_under_concurrency(settings):
    window = throttling.Window(url=settings.CACHE_URL, rate="60/minute")
    bucket = str(uuid.uuid4())

    with ThreadPoolExecutor(20) as pool:
        taken = list(pool.map(lambda _: window.take(bucket), range(400)))

    assert [taken.count(True), taken.count(False)] == [60, 340]


def test_a_write_above_the_limit_says_when_to_come_back(limited):
    passed = [limited.post("/api/notes", {"text": "a"}) for _ in range(3)]

    response = limited.post("/api/notes", {"text": "a"})

    problem, seconds = response.json(), int(response["Retry-After"])
    assert [each.status_code for each in (*passed, response)] == [201, 201, 201, 429]
    assert 1 <= seconds <= 60
    assert response["RateLimit"] == f'"writes";r=0;t={seconds}'
    assert {each["RateLimit-Policy"] for each in (*passed, response)} == {'"writes";q=3;w=60'}
    assert problem["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert problem["violated-policies"] == ["writes"]


def test_reads_and_refused_callers_cost_no_quota(limited):
    viewer = Caller.of("viewer")

    for _ in range(5):
        read = limited.get("/api/notes")
        assert (read.status_code, "RateLimit-Policy" in read) == (200, False)
        assert viewer.post("/api/notes", {"text": "a"}).status_code == 403
        assert Caller().post("/api/notes", {"text": "a"}).status_code == 401

    assert limited.post("/api/notes", {"text": "a"}).status_code == 201


def test_a_false_forwarding_header_buys_nothing(limited):
    statuses = [
        limited.post("/api/notes", {"text": "a"}, X_Forwarded_For=f"198.51.100.{number}").status_code for number in range(4)
    ]

    assert statuses == [201, 201, 201, 429]


@pytest.mark.parametrize("fault", ["kill", "stall"])
def test_a_store_that_is_away_lets_requests_pass_soon_and_is_counted(limited, valkey, fault):
    limited.post("/api/notes", {"text": "a"})
    getattr(valkey, fault)()
    before, start = failures(), time.monotonic()

    statuses = [limited.post("/api/notes", {"text": "a"}).status_code for _ in range(5)]

    assert statuses == [201] * 5
    assert failures() - before == 5
    assert time.monotonic() - start < 2   # 0.1 s once, then it is left alone; the rest is slack for a busy machine
    throttling.window.cache_clear()
