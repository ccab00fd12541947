"""http.request: what is sent, what is kept, what is tried again."""

import base64
import json
import re
import socket
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from apps.jobs import Discard, Retry, registry
from apps.jobs.outcomes import JSON, Outcome
from apps.jobs.types.http import retry_after
from core import outgoing

NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
RESULT_ROOM = 256 * 1024


class Attempt:
    """As much of a Context as the handler touches; `step_key` is the same in every attempt, as it promises."""

    logger = structlog.get_logger()

    def __init__(self, job_id: str = "01993-job") -> None:
        self._id = job_id

    def step_key(self, name: str) -> str:
        return f"{self._id}:{name}"


@pytest.fixture(autouse=True)
def inner_addresses(settings):
    settings.OUTGOING_ALLOW_PRIVATE = True


def run(url: str, job: Attempt | None = None, **payload) -> Outcome | JSON:
    """Do what a worker does: read the stored text with the type's model, call the handler."""
    job_type = registry.get("http.request")
    stored = job_type.check({"url": url, **payload})
    return job_type.handler(job or Attempt(), job_type.read(stored))


def problems(**payload) -> str:
    from apps.jobs.errors import InvalidJob

    with pytest.raises(InvalidJob) as invalid:
        registry.get("http.request").check({"url": "https://example.com/", **payload})
    return str(invalid.value)


def test_a_success_keeps_status_headers_and_body(server):
    url = server.answers("/", 201, "schön".encode(), X_Thing="1", Set_Cookie="session=secret")

    result = run(url)

    assert {"status": 201, "url": url, "body": "schön", "body_encoding": "text", "truncated": False} == {
        name: result[name] for name in ("status", "url", "body", "body_encoding", "truncated")
    }
    assert ("1", False) == (result["headers"]["x-thing"], "set-cookie" in result["headers"])
    assert result["elapsed_ms"] >= 0


@pytest.mark.parametrize(
    ("body", "content_type", "sent"),
    [
        ({"json": {"b": 1, "a": ["ü"]}}, "application/json", '{"b":1,"a":["ü"]}'.encode()),
        ({"json": None}, "application/json", b"null"),
        ({"text": "ü"}, "text/plain; charset=utf-8", "ü".encode()),
        ({"base64": "AP8="}, "application/octet-stream", b"\x00\xff"),
    ],
)
def test_a_body_is_sent_in_the_form_that_it_was_given(body, content_type, sent, server):
    run(server.answers("/"), method="POST", **body)

    assert (content_type, sent) == (server.seen[0].headers["content-type"], server.seen[0].body)


def test_a_given_content_type_wins(server):
    run(server.answers("/"), method="POST", headers={"content-type": "text/csv"}, text="a,b")

    assert "text/csv" == server.seen[0].headers["content-type"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_only_what_does_harm_twice_carries_an_idempotency_key(method, server):
    run(server.answers("/"), method=method)

    expected = "01993-job:request" if method in ("POST", "PATCH") else None
    assert (method, expected) == (server.seen[0].method, server.seen[0].headers.get("idempotency-key"))


def test_a_given_idempotency_key_wins(server):
    run(server.answers("/"), method="POST", headers={"Idempotency-key": "mine"})

    assert "mine" == server.seen[0].headers["idempotency-key"]


def test_the_platform_names_itself(server):
    run(server.answers("/"))

    assert outgoing.user_agent() == server.seen[0].headers["user-agent"]


def test_a_signature_is_verified_by_another_implementation(server):
    run(server.answers("/"), method="POST", json={"paid": "ü"}, sign={"secret": SECRET})

    seen = server.seen[0]
    signed = f"{seen.headers['webhook-id']}.{seen.headers['webhook-timestamp']}.".encode() + seen.body
    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{bytes(range(32)).hex()}", "-binary"]
    expected = subprocess.run(command, input=signed, capture_output=True, check=True).stdout
    assert f"v1,{base64.b64encode(expected).decode()}" == seen.headers["webhook-signature"]
    age = datetime.now(UTC).timestamp() - int(seen.headers["webhook-timestamp"])
    assert -60 < age < 60


def test_attempts_of_one_job_are_one_message_and_other_jobs_others(server):
    url = server.answers("/", 503)
    for job in (Attempt("a"), Attempt("a"), Attempt("b")):
        run(url, job, method="POST", text="x", sign={"secret": SECRET})

    ids = [seen.headers["webhook-id"] for seen in server.seen]
    assert ["a:request", "a:request", "b:request"] == ids
    assert ids == [seen.headers["idempotency-key"] for seen in server.seen]


def test_a_signature_changes_with_body_and_secret(server):
    url = server.answers("/")
    for text, fill in (("x", 1), ("y", 1), ("x", 2)):
        secret = "whsec_" + base64.b64encode(bytes([fill] * 24)).decode()
        run(url, method="POST", text=text, sign={"secret": secret, "header_prefix": "svix"})

    assert 3 == len({seen.headers["svix-signature"] for seen in server.seen})


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_status_that_may_pass_is_tried_again_by_the_policy(status, server):
    outcome = run(server.answers("/", status, b"come\nback"))

    assert Retry(after=None, reason=f"the server answered {status}: come back", error="HttpStatus") == outcome


def test_retry_after_is_heeded(server):
    outcome = run(server.answers("/", 429, Retry_After="7"))

    assert timedelta(seconds=7) == outcome.after


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("0", timedelta(0)),
        ("120", timedelta(seconds=120)),
        (" 5 ", timedelta(seconds=5)),
        ("86401", timedelta(days=1)),
        ("9" * 5000, timedelta(days=1)),
        ("Wed, 25 Nov 2026 12:00:30 GMT", timedelta(seconds=30)),
        ("Wednesday, 25-Nov-26 12:00:30 GMT", timedelta(seconds=30)),
        ("Wed, 25 Nov 2026 12:00:30 -0000", timedelta(seconds=30)),
        ("Wed, 25 Nov 2026 11:00:00 GMT", timedelta(0)),
        ("Fri, 25 Dec 2026 12:00:00 GMT", timedelta(days=1)),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("Wed, 99 Nov 2026 12:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_forms_and_capped_at_a_day(value, wait):
    assert wait == retry_after(value, now=NOW)


@pytest.mark.parametrize("status", [301, 400, 401, 404, 409, 410, 501])
def test_any_other_status_is_final_and_says_what_the_server_said(status, server):
    outcome = run(server.answers("/", status, b"no\x00 such <thing>"))

    assert Discard(reason=f"the server answered {status}: no such <thing>", error="HttpStatus") == outcome


def test_an_unfollowed_redirect_says_where_it_leads(server):
    outcome = run(server.answers("/", 302, Location="/there"))

    assert Discard(reason="the server answered 302 (Location: /there)", error="HttpStatus") == outcome


def test_a_redirect_is_followed_when_asked(server):
    server.answers("/to", body=b"arrived")

    assert "arrived" == run(server.answers("/", 302, Location="/to"), follow_redirects=True)["body"]


def test_the_caller_says_what_success_is_and_what_is_tried_again(server):
    expects = {"expect_statuses": [404], "retry_statuses": [200]}

    assert 404 == run(server.answers("/", 404), **expects)["status"]
    assert isinstance(run(server.answers("/", 200), **expects), Retry)
    assert isinstance(run(server.answers("/", 503), **expects), Discard)


def test_a_network_error_is_tried_again():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    url = f"http://127.0.0.1:{port}/"

    assert Retry(after=None, reason=f"{url} is unreachable: Connection refused", error="Unreachable") == run(url)


def test_a_timeout_is_tried_again(server):
    def silent(handler):
        handler.server.closing.wait()

    outcome = run(server.on("/", silent), timeout_seconds=1)

    assert isinstance(outcome, Retry)
    assert "within 1 seconds" in outcome.reason


def test_a_name_that_leads_inside_ends_the_job_with_the_reason(server, internet, settings):
    settings.OUTGOING_ALLOW_PRIVATE = False
    internet.names["inner.test"] = ["10.0.0.7"]

    outcome = run("http://inner.test/")

    assert isinstance(outcome, Discard)
    assert re.search("^/payload/url: refused: .*10.0.0.7.*a private address.*OUTGOING_ALLOW_PRIVATE", outcome.reason)


def test_a_redirect_to_the_inside_ends_the_job(server, other_server, internet, settings):
    settings.OUTGOING_ALLOW_PRIVATE = False
    there = internet.place("public.test", "93.184.215.14", server)
    server.answers("/", 302, Location=other_server.answers("/"))

    outcome = run(f"{there}/", follow_redirects=True)

    assert (Discard, []) == (type(outcome), other_server.seen)
    assert outcome.reason.startswith("/payload/url: refused: ")


def test_a_redirect_that_is_not_followed_to_its_end_names_the_address(server):
    outcome = run(server.answers("/", 302, Location="/"), follow_redirects=True)

    assert (Discard, "RedirectRefused") == (type(outcome), outcome.error)
    assert outcome.reason.startswith("/payload/url: ")


@pytest.mark.parametrize("part", ["url", "headers"])
def test_a_request_that_turns_out_not_to_be_sendable_names_the_member_to_mend(part, monkeypatch):
    def refuse(_method, url, **_options):
        raise outgoing.BadRequest(url, part=part, reason="cannot be sent")

    monkeypatch.setattr(outgoing, "request", refuse)

    assert Discard(reason=f"/payload/{part}: cannot be sent", error="BadRequest") == run("https://example.com/")


def test_a_long_answer_is_cut_and_says_so(server):
    result = run(server.answers("/", body=b"x" * 5000), max_response_bytes=1000)

    assert ("x" * 1000, True) == (result["body"], result["truncated"])


def test_of_no_bytes_nothing_of_the_body_is_kept_and_nothing_else_changes(server):
    made = run(server.answers("/", 201, b"made"), max_response_bytes=0)
    empty = run(server.answers("/empty", 204), max_response_bytes=0)
    failed = run(server.answers("/failed", 503, b"come back"), max_response_bytes=0)

    assert (201, "", "text", True) == tuple(made[name] for name in ("status", "body", "body_encoding", "truncated"))
    assert (204, False) == (empty["status"], empty["truncated"])
    assert "the server answered 503" == failed.reason


def test_a_cut_within_a_character_leaves_that_one_out(server):
    url = server.answers("/", body="ääää".encode())

    assert ("ä", "text") == tuple(run(url, max_response_bytes=3)[name] for name in ("body", "body_encoding"))


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a\x00b", "ä".encode()[:1]])
def test_what_is_no_text_that_can_be_stored_is_kept_as_base64(body, server):
    result = run(server.answers("/", body=body))

    assert ("base64", body) == (result["body_encoding"], base64.b64decode(result["body"]))


@pytest.mark.parametrize("unit", [b"\xff", b"x", b"\x01", b'"', "ü".encode(), "😀".encode()])
def test_the_largest_answer_with_the_largest_headers_fits_into_a_result(unit, server):
    body = unit * (176 * 1024 // len(unit) + 1)
    headers = {f"X_{number}": "\xff" * 2000 for number in range(50)}
    url = server.answers("/" + "p" * 7000, body=body, **headers)

    result = run(url, max_response_bytes=176 * 1024)

    assert result["truncated"]
    assert len(json.dumps(result)) <= RESULT_ROOM


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        ({"url": "ftp://example.com/"}, "/payload/url: must begin with http"),
        ({"url": "https://user:secret@example.com/"}, "/payload/url: must not hold a user or password"),
        ({"url": "https:///x"}, "/payload/url: .*name a host"),
        ({"url": "https://example.com:0/"}, "/payload/url: must not name port 0"),
        ({"method": "TRACE"}, "/payload/method: "),
        ({"method": "get"}, "/payload/method: "),
        ({"headers": {"Host": "inner"}}, "/payload/headers: 'Host' is set by the platform"),
        ({"headers": {"Connection": "close"}}, "/payload/headers: 'Connection' is set by the platform"),
        ({"headers": {"X": "1\r\nY: 2"}}, "/payload/headers: 'X' holds"),
        ({"headers": {"X": "y" * 9000}}, "/payload/headers: 'X' is longer"),
        ({"headers": {f"X-{number}": "" for number in range(51)}}, "/payload/headers: "),
        ({"method": "POST", "json": 1, "text": "1"}, "/payload/text: json and text are both given"),
        ({"text": "1"}, "/payload/text: text is given, but a GET carries no body"),
        ({"method": "POST", "base64": "A"}, "/payload/base64: is not base64"),
        ({"timeout_seconds": 0}, "/payload/timeout_seconds: "),
        ({"timeout_seconds": 121}, "/payload/timeout_seconds: "),
        ({"max_response_bytes": 200_000}, "/payload/max_response_bytes: "),
        ({"retry_statuses": [99]}, "/payload/retry_statuses/0: "),
        ({"expect_statuses": []}, "/payload/expect_statuses: "),
        ({"sign": {"secret": "topsecret"}}, "/payload/sign/secret: must be whsec_"),
        ({"sign": {"secret": SECRET}, "headers": {"Webhook-Id": "1"}}, "/payload/headers/Webhook-Id: headers name 'Webhook-Id'"),
        ({"sign": {"secret": SECRET, "header_prefix": "A b"}}, "/payload/sign/header_prefix: "),
        ({"verify": False}, "/payload/verify: "),
    ],
)
def test_a_wrong_payload_is_refused_with_field_and_reason(payload, says):
    message = problems(**payload)

    assert re.search(says, message)
    assert "secret@" not in message
    assert "topsecret" not in message


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "[::1]", "localhost", "169.254.169.254", "0x7f000001"])
def test_an_inner_address_is_refused_when_the_job_is_made(host, settings):
    settings.OUTGOING_ALLOW_PRIVATE = False

    assert "/payload/url: refused: " in problems(url=f"http://{host}/")


def test_a_payload_made_as_a_model_is_stored_as_given_with_its_secret():
    job_type = registry.get("http.request")
    given = {"method": "POST", "url": "https://example.com/", "json": None, "sign": {"secret": SECRET}}

    model = job_type.payload.model_validate(given)
    stored = job_type.check(model)

    assert given | {"sign": {"secret": SECRET, "header_prefix": "webhook"}} == job_type.sealing.opened(json.loads(stored))
    assert SECRET not in stored + repr(model)
