"""http.request with files: an artifact as what is sent, and an artifact of what came."""

import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from apps.jobs import Discard, Retry, registry, testing
from apps.jobs.errors import InvalidJob
from apps.jobs.models import Artifact
from apps.jobs.services import artifacts
from tests.jobs.types.test_http import SECRET
from tests.support.artifact_files import PNG, stored

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def inner_addresses(settings):
    settings.OUTGOING_ALLOW_PRIVATE = True


def handled(url, **payload):
    return testing.run_handler("http.request", {"url": url, **payload})


def content(artifact_id):
    with artifacts.open(uuid.UUID(artifact_id)) as file:
        return file.read()


def problems(**payload):
    with pytest.raises(InvalidJob) as invalid:
        registry.get("http.request").check({"url": "https://example.com/", **payload})
    return str(invalid.value)


def test_an_artifact_is_sent_as_the_body_with_the_type_of_its_content(server):
    saved = artifacts.save("misnamed.txt", PNG)

    handled(server.answers("/"), method="PUT", body_artifact=str(saved.id))

    assert (server.seen[0].body, server.seen[0].headers["content-type"]) == (PNG, "image/png")


def test_a_given_content_type_wins(server):
    saved = artifacts.save("a.csv", b"a,b")

    handled(server.answers("/"), method="POST", body_artifact=str(saved.id), headers={"Content-Type": "text/csv"})

    assert server.seen[0].headers["content-type"] == "text/csv"


def test_a_signature_covers_the_file_and_is_verified_by_the_specifications_own_library(server):
    saved = artifacts.save("a.txt", "größer ".encode() * 1000)
    handled(server.answers("/"), method="POST", body_artifact=str(saved.id), sign={"secret": SECRET})

    seen = server.seen[0]
    Webhook(SECRET).verify(seen.body, seen.headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(seen.body + b"x", seen.headers, json_parse=False)


@pytest.mark.parametrize("kind", ["never was", "expired", "vanished"])
def test_an_artifact_that_cannot_be_had_ends_the_job_with_its_field_and_sends_nothing(kind, server):
    saved = artifacts.save("a.bin", b"x")
    wanted = str(uuid.uuid4()) if kind == "never was" else str(saved.id)
    if kind == "expired":
        Artifact.objects.update(expires_at=datetime(2001, 1, 1, tzinfo=UTC))
    if kind == "vanished":
        Path(saved.file.path).unlink()

    outcome = handled(server.answers("/"), method="POST", body_artifact=wanted).outcome

    assert isinstance(outcome, Discard)
    assert outcome.reason.startswith("/payload/body_artifact: ")
    assert wanted in outcome.reason
    assert server.seen == []


def test_an_answer_is_kept_as_an_artifact_of_the_job(server):
    large = bytes(range(256)) * 4000   # more than a result holds
    result = handled(server.answers("/files/photo%20one.bin", body=large), save_response=True)

    row = Artifact.objects.get(id=result.result["artifact"])
    assert {name: result.result[name] for name in ("status", "size")} == {"status": 200, "size": len(large)}
    assert (row.name, row.job_id) == ("photo one.bin", result.context.id)
    assert content(result.result["artifact"]) == large
    assert "body" not in result.result


@pytest.mark.parametrize(("path", "name"), [("/", "response"), ("/a/b/", "response"), ("/a/b%2Fc.txt", "c.txt")])
def test_its_name_is_the_last_part_of_the_address(path, name, server):
    handled(server.answers(path, body=b"x"), save_response=True)

    assert [name] == list(Artifact.objects.values_list("name", flat=True))


def test_an_answer_that_is_larger_than_asked_for_is_not_kept_by_half(server):
    before = stored()
    outcome = handled(server.answers("/", body=b"x" * 5000), save_response=True, max_response_bytes=4999).outcome

    assert outcome == Discard(
        "/payload/max_response_bytes: the answer has more than 4999 bytes, the most that may be saved of it", error="ResponseTooLarge",
    )
    assert (stored(), Artifact.objects.count()) == (before, 0)
    assert handled(server.answers("/", body=b"x" * 5000), save_response=True, max_response_bytes=5000).outcome is None


def test_an_answer_is_no_larger_than_an_artifact_may_be(server, settings):
    settings.JOBS = settings.JOBS.__class__(artifact_max_bytes=1000)

    for asked in ({}, {"max_response_bytes": 10_000_000}):
        outcome = handled(server.answers("/", body=b"x" * 1001), save_response=True, **asked).outcome
        assert outcome.reason.startswith("/payload/save_response: the answer has more than 1000 bytes")


def test_an_answer_that_is_not_wanted_is_not_kept(server):
    assert isinstance(handled(server.answers("/", 503, b"x"), save_response=True).outcome, Retry)
    assert isinstance(handled(server.answers("/", 404, b"x"), save_response=True).outcome, Discard)
    assert not Artifact.objects.exists()


def test_an_artifact_goes_through_another_server_and_comes_back_the_same(server):
    first = artifacts.save("in.png", PNG)
    handled(server.answers("/in"), method="POST", body_artifact=str(first.id))

    back = handled(server.answers("/out.png", body=server.seen[0].body), save_response=True).result

    assert Artifact.objects.get(id=back["artifact"]).sha256 == first.sha256


@pytest.mark.parametrize(("payload", "pointer", "words"), [
    ({"body_artifact": "no-id", "method": "POST"}, "/payload/body_artifact", "UUID"),
    ({"body_artifact": 7, "method": "POST"}, "/payload/body_artifact", "UUID"),
    ({"body_artifact": str(uuid.UUID(int=7))}, "/payload/body_artifact", "body_artifact is given, but a GET carries no body"),
    ({"body_artifact": str(uuid.UUID(int=7)), "method": "POST", "text": "x"}, "/payload/body_artifact", "text and body_artifact are both"),
    ({"body_artifact": [], "method": "POST"}, "/payload/body_artifact", "UUID"),
    ({"save_response": "yes"}, "/payload/save_response", "boolean"),
    ({"save_response": None}, "/payload/save_response", "boolean"),
    ({"save_response": False, "max_response_bytes": 180_225}, "/payload/max_response_bytes", "unless save_response"),
    ({"save_response": True, "max_response_bytes": -1}, "/payload/max_response_bytes", "0"),
    ({"save_response": True, "max_response_bytes": 6 * 1024**3}, "/payload/max_response_bytes", "less than or equal"),
    ({"save_response": True, "url": "http://[::ffff:127.0.0.1]/"}, "/payload/url", "loopback"),
])
def test_what_cannot_be_meant_is_refused_with_field_and_reason(payload, pointer, words, settings):
    settings.OUTGOING_ALLOW_PRIVATE = False

    said = problems(**payload)

    assert f"{pointer}: " in said
    assert words in said


def test_the_payload_is_stored_as_it_was_given():
    given = {"method": "POST", "url": "https://example.com/", "body_artifact": str(uuid.UUID(int=7)), "save_response": True}
    model = registry.get("http.request").payload

    assert model.model_validate(given).model_dump(mode="json") == given
