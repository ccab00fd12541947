import gzip
import json
import zlib

import pytest

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.core.api.routes")]


@pytest.mark.parametrize(("body", "status", "words"), [
    (b'{"text": "a", "text": "b"}', 400, "'text' stands twice"),
    (b'{"text": NaN}', 400, "NaN"),
    (b'{"text": -Infinity}', 400, "-Infinity"),
    (b'{"count": 1e999}', 400, "1e999"),
    (b'{"count": ' + b"1" * 5000 + b"}", 400, "a number at line 1, column 11 with more than 4300 digits: send it as text"),
    (b'{"text": "\\"' + b"1" * 5000 + b'",\n "a": 0.' + b"1" * 5000 + b', "count": -' + b"1" * 5000 + b"}", 400,
     "a number at line 2, column 5020 with more"),
    (b'{"text": "\xff"}', 400, "not UTF-8: byte 10"),
    (b'{"text": "a"', 400, "line 1, column 13"),
    (b"\xef\xbb\xbf{}", 400, "not JSON"),
    (b"[" * 33 + b"]" * 33, 400, "deeper than 32"),
    (b"[" * 100_000, 400, "deeper than 32"),
    (b"{" + b",".join(b'"%d":0' % number for number in range(1001)) + b"}", 400, "more than 1000 keys"),
    (b'{"text": "' + b"x" * 262_144 + b'"}', 413, "262144 bytes"),
    (b'{"text": "a\\u0000b"}', 422, "/text: holds a NUL"),
    (b'{"text": "a\\ud800b"}', 422, "/text: holds half of a surrogate pair"),
    (b'{"a\\ud800": 1}', 422, "has a key that holds half"),
    (b'[{"a": ["\\u0000"]}]', 422, "/0/a/0: holds a NUL"),
    (b"[]", 422, "must be a JSON object"),
    (b"null", 422, "must be a JSON object"),
    (b"", 422, "/text: Field required"),
])
def test_json_that_two_readers_could_differ_about_is_refused(operator, body, status, words):
    response = operator.post("/api/notes", body)

    assert response.status_code == status
    assert words in response.json()["detail"]


@pytest.mark.parametrize("body", [
    b'{"text": "\\ud83d\\ude00"}',
    '{"text": "\N{GRINNING FACE} é"}'.encode(),
    b' {"count": 12345678901234567890, "text": ""}\n',
])
def test_json_within_the_rules_is_read(operator, body):
    response = operator.post("/api/notes", body)

    assert response.status_code == 201


def test_exactly_the_allowed_depth_is_read(operator):
    response = operator.post("/api/notes", b'{"text": ' + b"[" * 31 + b"]" * 31 + b"}")

    assert response.json()["errors"] == [{"pointer": "/text", "detail": "Input should be a valid string"}]


def test_a_body_without_its_length_is_not_taken_for_none(operator):
    response = operator.post("/api/notes", {"text": "a"}, Transfer_Encoding="chunked")

    assert response.status_code == 400
    assert "Content-Length" in response.json()["detail"]


@pytest.mark.parametrize(("encoding", "body"), [
    ("gzip", gzip.compress(json.dumps({"text": "a" * 10_000_000}).encode(), mtime=0)),
    ("deflate", zlib.compress(b'{"text": "a"}')),
    ("gzip, identity", gzip.compress(gzip.compress(b'{"text": "a"}', mtime=0), mtime=0)),
    ("br", b"x"),
])
def test_a_compressed_body_is_refused_without_being_opened(operator, encoding, body):
    response = operator.post("/api/notes", body, Content_Encoding=encoding)

    assert (response.status_code, response["Accept-Encoding"]) == (415, "identity")
    assert "without Content-Encoding" in response.json()["detail"]


def test_a_body_that_says_it_is_as_it_is_is_read(operator):
    assert operator.post("/api/notes", {"text": "a"}, Content_Encoding="Identity").status_code == 201
