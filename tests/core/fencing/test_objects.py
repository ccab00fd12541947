from pathlib import Path

import boto3
import pytest
from django.core.files.storage import FileSystemStorage, InMemoryStorage, storages
from moto import mock_aws

from config.settings.artifacts import storage as configured
from core.fencing import StaleToken
from core.fencing.objects import NoPrecondition, fenced_put


@pytest.fixture
def bucket(settings):
    with mock_aws():
        boto3.resource("s3", region_name="us-east-1").create_bucket(Bucket="kept")
        url = "s3://key:secret@kept/of/latchwork?region=us-east-1"
        settings.STORAGES = {**settings.STORAGES, "artifacts": configured(url, data_dir=Path("/nowhere"))}
        yield storages["artifacts"]


@pytest.fixture(params=["bucket", "folder"])
def store(request, tmp_path):
    return FileSystemStorage(location=tmp_path) if request.param == "folder" else request.getfixturevalue("bucket")


def content(store, name):
    with store.open(name) as file:
        return file.read()


def test_a_stale_writer_changes_nothing(store, tokens):
    fenced_put(store, "a/b.txt", b"first", token=tokens.stale)
    fenced_put(store, "a/b.txt", b"second", token=tokens.fresh)

    with pytest.raises(StaleToken) as caught:
        fenced_put(store, "a/b.txt", b"late", token=tokens.stale)

    assert (tokens.fresh, b"second") == (caught.value.seen, content(store, "a/b.txt"))


def test_a_holder_writes_as_often_as_it_wants(store, tokens):
    for text in (b"one", b"two", b"two"):
        fenced_put(store, "a.txt", text, token=tokens.fresh)

    assert b"two" == content(store, "a.txt")


def test_an_object_that_somebody_else_wrote_between_reading_and_writing_is_compared_anew(bucket, tokens, monkeypatch):
    client = bucket.connection.meta.client
    looked = client.head_object

    def overtaken(**where):
        seen = looked(**where)
        monkeypatch.setattr(client, "head_object", looked)
        fenced_put(bucket, "a.txt", b"fresh", token=tokens.fresh)
        return seen

    fenced_put(bucket, "a.txt", b"first", token=tokens.stale)
    monkeypatch.setattr(client, "head_object", overtaken)

    with pytest.raises(StaleToken):
        fenced_put(bucket, "a.txt", b"late", token=tokens.stale)
    assert b"fresh" == content(bucket, "a.txt")


def test_an_object_that_somebody_else_made_meanwhile_is_compared_too(bucket, tokens, monkeypatch):
    client = bucket.connection.meta.client
    looked = client.head_object

    def overtaken(**where):
        monkeypatch.setattr(client, "head_object", looked)
        try:
            return looked(**where)
        finally:
            fenced_put(bucket, "a.txt", b"fresh", token=tokens.fresh)

    monkeypatch.setattr(client, "head_object", overtaken)

    with pytest.raises(StaleToken):
        fenced_put(bucket, "a.txt", b"late", token=tokens.stale)


def test_a_storage_that_cannot_compare_is_refused(tokens):
    with pytest.raises(NoPrecondition, match="InMemoryStorage"):
        fenced_put(InMemoryStorage(), "a.txt", b"x", token=tokens.fresh)
