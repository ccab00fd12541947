"""Files in and out over HTTP."""

import hashlib
import io
import uuid
from pathlib import Path

import pytest
from django.core.files.storage import storages
from django.test import Client
from werkzeug.http import parse_options_header

from apps.jobs.models import Artifact, LooseFile
from apps.jobs.services import artifacts
from core.audit.models import AuditEntry
from tests.support import factories
from tests.support.artifact_files import BOUNDARY, PNG, file_part, multipart, part, stored, upload

pytestmark = pytest.mark.django_db
ARTIFACTS = "/api/v1/artifacts"
HTML = b"<!DOCTYPE html><script>alert(1)</script>"
SVG = b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


@pytest.fixture
def before():
    return stored()


def content(response):
    return b"".join(response.streaming_content)


def filename(response):
    """Return the name that somebody else's reader of RFC 6266 would save under."""
    kind, options = parse_options_header(response["Content-Disposition"])
    assert kind == "attachment"
    return options["filename"]


def stream(caller, body, *, announced):
    """Send a body that need not be as long as it was announced."""
    return caller.client.generic(
        "POST", ARTIFACTS, headers=caller.headers,
        **{"wsgi.input": body, "CONTENT_LENGTH": str(announced), "CONTENT_TYPE": f"multipart/form-data; boundary={BOUNDARY}"},
    )


def test_a_file_comes_in_and_goes_out_as_it_was(operator, viewer):
    made = upload(operator, file_part(PNG, filename="dot.png", kind="text/html"))
    got = viewer.get(made["Location"])

    assert (made.status_code, made.json()["name"], made.json()["content_type"]) == (201, "dot.png", "image/png")
    assert made.json()["sha256"] == hashlib.sha256(PNG).hexdigest()
    assert (got.status_code, content(got)) == (200, PNG)
    assert {name: got[name] for name in (
        "Content-Type", "Content-Length", "ETag", "X-Content-Type-Options", "Content-Disposition", "Cache-Control",
        "Content-Security-Policy",
    )} == {
        "Content-Type": "image/png", "Content-Length": str(len(PNG)), "ETag": f'"{made.json()["sha256"]}"',
        "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
        "Content-Disposition": "attachment; filename=\"dot.png\"; filename*=UTF-8''dot.png",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }


def test_an_upload_is_told_to_the_audit(operator):
    made = upload(operator, file_part(b"abc", filename="a.txt"))

    entry = AuditEntry.objects.get(action="artifact.save")
    assert (entry.target, entry.actor_name) == (f"artifact:{made.json()['id']}", "operator")
    assert (entry.after["name"], entry.after["size"]) == ("a.txt", 3)


def test_a_head_tells_the_same_and_sends_nothing(operator):
    made = upload(operator, file_part(PNG))
    head = operator.client.head(made["Location"], headers=operator.headers)
    get = operator.get(made["Location"])

    assert (head.status_code, head.content) == (200, b"")
    assert {name: head[name] for name in ("Content-Length", "Content-Type", "ETag", "Content-Disposition")} == {
        name: get[name] for name in ("Content-Length", "Content-Type", "ETag", "Content-Disposition")
    }
    get.close()


@pytest.mark.parametrize("accept", ["image/png", "text/html", "application/json", "*/*"])
def test_a_file_is_sent_whatever_type_was_hoped_for(operator, accept):
    made = upload(operator, file_part(PNG))

    assert content(operator.get(made["Location"], Accept=accept)) == PNG


@pytest.mark.parametrize(("posing", "found"), [(HTML, "text/html"), (SVG, "image/svg+xml"), (b" <script>1</script>", "text/html")])
def test_what_runs_in_a_browser_is_known_for_it_and_sent_as_bytes(operator, posing, found):
    made = upload(operator, file_part(posing, filename="cute.png", kind="image/png"))
    got = operator.get(made["Location"])

    assert made.json()["content_type"] == found
    assert (got["Content-Type"], got["X-Content-Type-Options"]) == ("application/octet-stream", "nosniff")
    assert got["Content-Disposition"].startswith("attachment;")
    assert content(got) == posing


@pytest.mark.parametrize(("given", "kept"), [
    ("plain.txt", "plain.txt"),
    ("../../etc/passwd", "passwd"),
    (r"C:\\Users\\me\\report.pdf", "report.pdf"),
    ("über straße.txt", "über straße.txt"),
    ("日本語 の.pdf", "日本語 の.pdf"),
    ("\U0001f600 'quoted' %41; x=y.txt", "\U0001f600 'quoted' %41; x=y.txt"),
    ("photo\u202egpj.exe", "photogpj.exe"),
    ("a\u0007b\tc.txt", "abc.txt"),
    (".hidden. ", "hidden"),
    ("&lt;img src=x onerror=alert(1)&gt;.png", "<img src=x onerror=alert(1)>.png"),
    ("n" * 700 + ".tar.gz", "n" * 252 + ".gz"),
])
def test_any_name_is_cleaned_and_comes_back(operator, given, kept):
    made = upload(operator, file_part(b"x", filename=given))
    got = operator.get(made["Location"])

    assert (made.status_code, made.json()["name"]) == (201, kept)
    assert filename(got) == kept
    assert got["Content-Disposition"].isascii()
    assert "\r" not in got["Content-Disposition"]
    assert "\n" not in got["Content-Disposition"]
    got.close()


def test_a_name_may_come_encoded(operator):
    encoded = part(b"x", "Content-Disposition: form-data; name=\"file\"; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.txt")

    assert upload(operator, encoded).json()["name"] == "naïve €.txt"


def test_the_largest_file_is_taken_and_one_byte_more_is_not(operator, settings, before):
    settings.JOBS = settings.JOBS.__class__(artifact_max_bytes=100_000)
    largest = upload(operator, file_part(b"a" * 100_000))
    kept = stored()
    refused = upload(operator, file_part(b"a" * 100_001))

    assert (largest.status_code, len(kept - before)) == (201, 1)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (413, "/file")
    assert "100000 bytes" in refused.json()["detail"]
    assert stored() == kept


def test_a_body_that_announces_too_much_is_refused_before_it_is_read(operator, settings):
    class Unread(io.BytesIO):
        def read(self, *_):
            raise AssertionError("read")

    settings.JOBS = settings.JOBS.__class__(artifact_max_bytes=1000)
    response = stream(operator, Unread(), announced=10**12)

    assert response.status_code == 413


def test_a_large_file_goes_by_way_of_the_disk(operator):
    large = bytes(range(256)) * 40_000   # above what Django keeps in memory
    made = upload(operator, file_part(large))

    assert (made.status_code, made.json()["size"]) == (201, len(large))
    assert content(operator.get(made["Location"])) == large


WRONG = {
    "no file": (multipart(), 422, "/file", "is missing"),
    "no body": (b"", 422, "/file", "is missing"),
    "a field": (multipart(part(b"x", 'Content-Disposition: form-data; name="file"')), 422, "/file", "send it as a file"),
    "another name": (multipart(file_part(b"x", field="upload")), 422, "/upload", "known is file"),
    "a field more": (
        multipart(file_part(b"x"), part(b"1", 'Content-Disposition: form-data; name="keep"')), 422, "/keep", "known is file",
    ),
    "a part without a name": (
        multipart(file_part(b"x"), part(b"1", 'Content-Disposition: form-data; name=""')), 422, "/", "known is file",
    ),
    "a part without a heading": (multipart(part(b"1", "X-Odd: 1"), file_part(b"x")), 422, "/file", "without a name"),
    "a second file with an empty filename": (multipart(file_part(b"x"), file_part(b"y", filename="")), 422, "/file", "stands 2 times"),
    "two files": (multipart(file_part(b"x"), file_part(b"y")), 422, "/file", "stands 2 times"),
    "broken base64": (
        multipart(part(b"abc", 'Content-Disposition: form-data; name="file"; filename="x"', "Content-Transfer-Encoding: base64")),
        400, None, "base64",
    ),
    "another boundary": (multipart(file_part(b"x")).replace(BOUNDARY.encode(), b"other"), 400, None, "last boundary"),
    "JSON": (b'{"file": "x"}', 400, None, "last boundary"),
    "endless headers": (
        f"--{BOUNDARY}\r\n".encode() + b"X-Long: " + b"y" * 10_000 + b"\r\n\r\nx\r\n" + f"--{BOUNDARY}--\r\n".encode(),
        400, None, "header size",
    ),
    "a thousand fields": (
        multipart(*[part(b"", f'Content-Disposition: form-data; name="f{number}"') for number in range(1100)]),
        400, None, "parameters",
    ),
    "a field of megabytes": (
        multipart(part(b"y" * 3_000_000, 'Content-Disposition: form-data; name="file"')), 413, "/file", "larger",
    ),
}


@pytest.mark.parametrize("case", list(WRONG))
def test_a_wrong_body_is_refused_with_the_reason_and_nothing_is_kept(operator, case, before):
    body, status, pointer, words = WRONG[case]

    response = upload(operator, body=body)

    problem = response.json()
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
    assert [pointer] if pointer else [error["pointer"] for error in problem["errors"]] == []
    assert pointer in [None, *(error["pointer"] for error in problem["errors"])]
    assert words in problem["detail"]
    assert (stored(), Artifact.objects.count(), LooseFile.objects.count()) == (before, 0, 0)


@pytest.mark.parametrize(("kind", "status"), [
    ("application/json", 415), ("text/plain", 415), ("multipart/mixed; boundary=x", 415),
    ("multipart/form-data", 400), ("multipart/form-data; boundary=", 400), ("multipart/form-data; boundary=ä", 400),
    (f"multipart/form-data; boundary={'x' * 201}", 400),
])
def test_a_body_of_another_type_or_without_its_boundary_is_refused(operator, kind, status, before):
    response = upload(operator, file_part(b"x"), Content_Type=kind)

    assert (response.status_code, stored()) == (status, before)


WHOLE = multipart(file_part(b"abc" * 1000))


@pytest.mark.parametrize("length", [1, 30, 60, 100, 150, 1000, len(WHOLE) - 60, len(WHOLE) - 27, len(WHOLE) - 3])
@pytest.mark.parametrize("announced", ["what came", "the whole"])
def test_a_truncated_upload_is_refused_wherever_it_was_cut(operator, length, announced, before):
    cut = WHOLE[:length]
    response = stream(operator, io.BytesIO(cut), announced=length if announced == "what came" else len(WHOLE))

    assert response.status_code == 400
    assert "not whole multipart/form-data" in response.json()["detail"]
    assert (stored(), Artifact.objects.count()) == (before, 0)


def test_an_upload_whose_connection_ends_behind_its_last_boundary_is_not_whole_either(operator, before):
    response = stream(operator, io.BytesIO(WHOLE), announced=len(WHOLE) + 10)

    assert (response.status_code, stored()) == (400, before)
    assert f"ended after {len(WHOLE)} of the {len(WHOLE) + 10} bytes" in response.json()["detail"]


def test_the_same_upload_that_is_not_cut_is_kept(operator):
    response = stream(operator, io.BytesIO(WHOLE), announced=len(WHOLE))

    assert (response.status_code, response.json()["size"]) == (201, 3000)


def test_a_connection_that_breaks_is_a_400(operator, before):
    class Broken(io.BytesIO):
        def read(self, *_):
            raise ConnectionResetError

    response = stream(operator, Broken(), announced=1000)

    assert (response.status_code, stored()) == (400, before)


def test_an_empty_file_is_a_file(operator):
    made = upload(operator, file_part(b""))

    assert (made.status_code, made.json()["size"]) == (201, 0)
    assert content(operator.get(made["Location"])) == b""


def test_an_unknown_an_expired_and_a_vanished_artifact_are_told_apart(operator):
    expired, vanished = (upload(operator, file_part(b"x")).json()["id"] for _ in range(2))
    Artifact.objects.filter(id=expired).update(expires_at="2001-01-01T00:00:00Z")
    Path(Artifact.objects.get(id=vanished).file.path).unlink()

    answers = [operator.get(f"{ARTIFACTS}/{each}") for each in (uuid.uuid4(), expired, vanished)]

    assert [answer.status_code for answer in answers] == [404, 404, 410]
    assert "its time is over" in answers[1].json()["detail"]
    assert "another storage" in answers[2].json()["detail"]


def test_a_storage_that_fails_is_a_503_that_says_nothing_of_it(operator, settings):
    broken = {**settings.STORAGES["artifacts"], "OPTIONS": {"location": "/dev/null/nowhere"}}
    settings.STORAGES = {**settings.STORAGES, "artifacts": broken}
    assert storages["artifacts"].location == "/dev/null/nowhere"

    response = upload(operator, file_part(b"x"))

    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert "/dev/null" not in response.content.decode()
    assert not Artifact.objects.exists()


def test_a_job_lists_its_artifacts_by_cursor(viewer):
    job = factories.job()
    kept = [str(artifacts.save(f"{number}.txt", b"x", job_id=job).id) for number in range(5)]
    artifacts.save("another's", b"x", job_id=factories.job())
    artifacts.save("an upload", b"x")
    over = artifacts.save("over", b"x", job_id=job)
    Artifact.objects.filter(id=over.id).update(expires_at=over.created_at)

    address, seen, pages = f"/api/v1/jobs/{job}/artifacts?limit=2", [], 0
    while address:
        page = viewer.get(address).json()
        seen, address, pages = seen + [item["id"] for item in page["items"]], page["next"], pages + 1

    assert (seen, pages) == (kept, 3)


def test_the_artifacts_of_an_unknown_job_are_a_404_and_of_a_job_without_any_an_empty_list(viewer):
    assert viewer.get(f"/api/v1/jobs/{uuid.uuid4()}/artifacts").status_code == 404
    assert viewer.get(f"/api/v1/jobs/{factories.job()}/artifacts").json() == {"items": [], "next": None}


@pytest.mark.parametrize("address", [ARTIFACTS, "/api/v1/artifacts/{}"])
def test_a_query_parameter_is_refused(operator, address):
    found = upload(operator, file_part(b"x")).json()["id"]
    asked = f"{address.format(found)}?inline=1"
    response = operator.get(asked) if "{}" in address else operator.client.post(
        asked, multipart(file_part(b"x")), content_type=f"multipart/form-data; boundary={BOUNDARY}", headers=operator.headers,
    )

    assert response.status_code == 400


def test_a_person_uploads_with_the_csrf_token_and_not_without(django_user_model):
    user = django_user_model.objects.create_superuser("ann")
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    client.get("/admin/login/")
    client.cookies["csrftoken"] = "a" * 32
    kind = f"multipart/form-data; boundary={BOUNDARY}"

    without = client.post(ARTIFACTS, WHOLE, content_type=kind)
    with_token = client.post(ARTIFACTS, WHOLE, content_type=kind, headers={"X-CSRFToken": "a" * 32})

    assert [without.status_code, with_token.status_code] == [403, 201]
