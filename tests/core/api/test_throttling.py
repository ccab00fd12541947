import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

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


@pytest.fixture
def window(settings):
    """Make a limiter of three a minute as another process would have it, as often as it is called."""
    def made():
        return throttling.Window(url=settings.CACHE_URL, rate="3/minute")

    made().limiter.storage.reset()
    return made


@pytest.mark.parametrize("silent", [60, 0], ids=["a moment", "a silence that goes on"])
def test_while_a_store_stalls_whoever_is_over_the_limit_is_refused_all_the_same(limited, valkey, monkeypatch, silent):
    monkeypatch.setattr(throttling, "SILENT_SECONDS", silent)
    counted = limited.post("/api/notes", {"text": "a"})
    valkey.stall()
    before, start = failures(), time.monotonic()

    responses = [limited.post("/api/notes", {"text": "a"}) for _ in range(4)]

    assert [201, 201, 201, 429, 429] == [each.status_code for each in (counted, *responses)]
    assert failures() - before == 2
    assert {True} == {1 <= int(each["Retry-After"]) <= 60 for each in responses if each.status_code == 429}
    assert time.monotonic() - start < 3
    throttling.window.cache_clear()


def test_what_passed_in_doubt_counts_when_the_store_answers_again(window, valkey, monkeypatch):
    monkeypatch.setattr(throttling, "SILENT_SECONDS", 60)
    own = window()
    before = own.take("b")
    valkey.stall()
    meanwhile = [own.take("b") for _ in range(2)]
    valkey.resume()

    assert [True, None, None, False, False] == [before, *meanwhile, own.take("b"), own.take("b")]


def test_a_client_that_was_told_full_stays_refused_in_a_stall_and_one_of_whom_nothing_is_known_passes(window, valkey, monkeypatch):
    monkeypatch.setattr(throttling, "SILENT_SECONDS", 60)
    taker, told, stranger = (window() for _ in range(3))   # three processes
    passed = [taker.take("b") for _ in range(3)]
    refused = told.take("b"), told.seconds_to_wait("b")
    valkey.stall()

    assert ([True] * 3, False, True) == (passed, refused[0], 1 <= refused[1] <= 60)
    assert [False, False, None] == [each.take("b") for each in (taker, told, stranger)]


def test_in_the_stalls_of_a_store_that_lives_no_more_than_the_limit_pass(settings, valkey, monkeypatch):
    monkeypatch.setattr(throttling, "SILENT_SECONDS", 60)
    own, done = throttling.Window(url=settings.CACHE_URL, rate="60/minute"), threading.Event()
    own.limiter.storage.reset()

    def stalls():
        while not done.is_set():
            valkey.stall()
            done.wait(0.08)
            valkey.resume()
            done.wait(0.02)

    stalling = threading.Thread(target=stalls)
    stalling.start()
    try:
        with ThreadPoolExecutor(20) as pool:
            taken = list(pool.map(lambda _: own.take("b"), range(400)))
    finally:
        done.set()
        stalling.join()

    assert None in taken                                             # somebody was in doubt
    assert 40 <= taken.count(True) + taken.count(None) <= 60          # of twenty at once it may refuse some that had room


def test_a_silence_that_goes_on_is_one_and_two_that_are_far_apart_are_two(window, valkey, monkeypatch):
    monkeypatch.setattr(throttling, "SILENT_SECONDS", 30)
    now = {"is": 1000.0}
    monkeypatch.setattr(throttling, "time", SimpleNamespace(monotonic=lambda: now["is"], time=time.time))
    valkey.stall()
    two, one = window(), window()
    for made, moments in ((two, (1000, 1040, 1080)), (one, (1000, 1009, 1018, 1027, 1036))):
        for moment in moments:
            now["is"] = moment
            made.take("b")

    assert (1080 < two._silent_until, 1036 < one._silent_until) == (False, True)


def test_a_silence_that_goes_on_is_not_waited_for_with_each_request_and_ends_with_the_first_answer(window, valkey, monkeypatch):
    monkeypatch.setattr(throttling, "SILENT_SECONDS", 0)
    own = window()
    valkey.stall()
    own.take("a")
    asked = []
    monkeypatch.setattr(own.limiter, "hit", lambda *_: asked.append(1) or True)
    silent = own.take("a"), len(asked)
    own._silent_until = 0.0   # the pause is over

    assert (None, 0) == silent
    assert (True, 1, None) == (own.take("a"), len(asked), own._silence)


def test_a_store_that_is_away_lets_requests_pass_soon_and_is_counted(limited, valkey):
    limited.post("/api/notes", {"text": "a"})
    valkey.kill()
    before, start = failures(), time.monotonic()

    statuses = [limited.post("/api/notes", {"text": "a"}).status_code for _ in range(5)]

    assert statuses == [201] * 5
    assert failures() - before == 5
    assert time.monotonic() - start < 2   # 0.1 s once, then it is left alone; the rest is slack for a busy machine
    throttling.window.cache_clear()
