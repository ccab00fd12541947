"""Uploads whose name is none, that are repeated, and downloads of what the caller has."""

import hashlib
import io
import re

import pytest

from apps.jobs.models import Artifact
from core.api.models import IdempotencyRecord
from core.api.uploads import _Named, _Watched
from core.audit.models import AuditEntry
from tests.jobs.api.test_artifacts import ARTIFACTS, content, stream
from tests.support.artifact_files import BOUNDARY, file_part, multipart, part, stored, upload
from tests.support.caller import Caller

pytestmark = pytest.mark.django_db
NO_NAMES = [
    b'filename="."', b'filename=".."', b'filename=""', b"filename=", b'filename="a/"', b'filename="..."', b'filename="/"', b'filename=" "',
    b'filename="\xff\xfe.txt"', b'filename="na\xefve.txt"', b"filename=\xff", b"filename*=UTF-8''%FF%FE.txt", b'FileName=""',
    b'filename="\x01\x02"', b'filename="\xe2\x80\xae"',
]   # fmt: skip


def raw(filename, sent=b"abc", after=b""):
    head = b'Content-Disposition: form-data; name="file"; ' + filename + after
    return f"--{BOUNDARY}\r\n".encode() + head + b"\r\nContent-Type: text/plain\r\n\r\n" + sent + b"\r\n"


@pytest.mark.parametrize("filename", NO_NAMES)
@pytest.mark.parametrize("after", [b"", b"; x=y"])
def test_a_file_whose_name_is_none_is_called_artifact_and_kept_as_it_is(operator, filename, after):
    sent = b'abc\r\nContent-Disposition: form-data; name="x"; filename=""\r\n\r\n\xff--' + BOUNDARY[:-1].encode() + b"\r\n"

    made = upload(operator, raw(filename, sent, after))

    assert (201, "artifact") == (made.status_code, made.json().get("name")), made.content
    assert hashlib.sha256(sent).hexdigest() == made.json()["sha256"]


def test_a_part_without_any_filename_stays_a_field(operator):
    answer = upload(operator, part(b"x", 'Content-Disposition: form-data; name="file"'))

    assert (422, "/file") == (answer.status_code, answer.json()["errors"][0]["pointer"])


@pytest.mark.parametrize("size", [1, 2, 7, 30, 31, 64, 1000, -1])
def test_only_names_are_changed_however_the_body_comes_in_pieces(size):
    delimiter = f"--{BOUNDARY}".encode()
    body = multipart(raw(b'filename=""', bytes(range(256)) * 5), file_part(b"--" * 50), part(b"\r\n\r\n" * 3, "X: 1"), part(b""))
    named = _Named(_Watched(io.BytesIO(body), delimiter=delimiter), delimiter=delimiter, nameless="artifact")
    read = b"".join(iter(lambda: named.read(size), b""))

    assert re.sub(rb'filename="artifact"', b'filename=""', read) == body
    assert read != body


def test_the_head_of_a_part_is_not_waited_for_without_end(operator):
    body = f"--{BOUNDARY}\r\nX: ".encode() + b"y" * 200_000 + f"\r\n--{BOUNDARY}--\r\n".encode()

    assert 400 == stream(operator, io.BytesIO(body), announced=len(body)).status_code


def test_a_repeat_with_its_key_is_the_same_artifact(operator):
    first, second = (upload(operator, file_part(b"abc", filename="a.txt"), Idempotency_Key="k") for _ in range(2))

    assert [201, 200] == [first.status_code, second.status_code]
    assert first.json() == second.json()
    assert (1, 1, 1) == (Artifact.objects.count(), len(stored_of(first)), AuditEntry.objects.filter(action="artifact.save").count())
    assert b"abc" == content(operator.get(f"{ARTIFACTS}/{second.json()['id']}"))


def stored_of(answer):
    return {path for path in stored() if Artifact.objects.get(id=answer.json()["id"]).file.name == path}


@pytest.mark.parametrize("other", [file_part(b"abd", filename="a.txt"), file_part(b"abc", filename="b.txt")])
def test_another_file_under_the_key_is_refused_and_not_kept(operator, other):
    upload(operator, file_part(b"abc", filename="a.txt"), Idempotency_Key="k")
    before = stored()

    answer = upload(operator, other, Idempotency_Key="k")

    assert (422, "Idempotency key reused") == (answer.status_code, answer.json()["title"])
    assert (before, 1) == (stored(), Artifact.objects.count())


def test_without_a_key_and_for_somebody_else_it_is_another_artifact(operator):
    upload(operator, file_part(b"abc"), Idempotency_Key="k")
    others = [upload(operator, file_part(b"abc")), upload(Caller.of("operator"), file_part(b"abc"), Idempotency_Key="k")]

    assert ([201, 201], 3) == ([each.status_code for each in others], Artifact.objects.count())


def test_an_upload_that_was_refused_leaves_its_key_free(operator, settings):
    before = stored()
    settings.JOBS = settings.JOBS.__class__(artifact_max_bytes=10)
    refused = upload(operator, file_part(b"x" * 11), Idempotency_Key="k")
    taken = upload(operator, file_part(b"x" * 10), Idempotency_Key="k")

    assert (413, 201, 1, 1) == (refused.status_code, taken.status_code, IdempotencyRecord.objects.count(), len(stored() - before))


def test_a_key_whose_artifact_is_gone_says_so(operator):
    upload(operator, file_part(b"abc"), Idempotency_Key="k")
    Artifact.objects.update(expires_at="2001-01-01T00:00:00Z")

    answer = upload(operator, file_part(b"abc"), Idempotency_Key="k")

    assert (410, True) == (answer.status_code, "a new request needs a new key" in answer.json()["detail"])


@pytest.mark.parametrize("form", ['"{}"', 'W/"{}"', '"other", "{}"', "*", '"x",W/"{}" , "y"'])
@pytest.mark.parametrize("method", ["get", "head"])
def test_who_has_the_bytes_is_not_sent_them(operator, form, method):
    made = upload(operator, file_part(b"abc")).json()
    headers = {**operator.headers, "If-None-Match": form.format(made["sha256"])}
    answer = getattr(operator.client, method)(f"{ARTIFACTS}/{made['id']}", headers=headers)

    assert (304, b"", f'"{made["sha256"]}"', "no-store") == (answer.status_code, answer.content, answer["ETag"], answer["Cache-Control"])


@pytest.mark.parametrize("header", ['"other"', "", "abc", '"', "W/", '"{}x"', "{}"])
def test_who_has_others_is(operator, header):
    made = upload(operator, file_part(b"abc")).json()
    answer = operator.get(f"{ARTIFACTS}/{made['id']}", If_None_Match=header.format(made["sha256"]))

    assert (200, b"abc") == (answer.status_code, content(answer))


def test_a_tag_of_what_is_gone_or_not_ones_own_to_read_is_no_way_around(operator, client):
    made = upload(operator, file_part(b"abc")).json()
    address, known = f"{ARTIFACTS}/{made['id']}", f'"{made["sha256"]}"'
    stranger = client.get(address, headers={"If-None-Match": known})
    Artifact.objects.update(expires_at="2001-01-01T00:00:00Z")

    assert (401, 404) == (stranger.status_code, operator.get(address, If_None_Match="*").status_code)
