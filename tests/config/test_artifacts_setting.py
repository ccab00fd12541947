"""ARTIFACTS_URL and the limits: what is wrong is refused by name at the start, what is right becomes a storage."""

from pathlib import Path

import pytest

from config.settings import artifacts, env
from config.settings.artifacts import storage
from core.errors import Misconfigured


@pytest.mark.parametrize(("name", "value", "words"), [
    ("ARTIFACTS_URL", "/srv/files", "must be file:///folder or s3://bucket"),
    ("ARTIFACTS_URL", "file://srv/files", "must name a whole path"),
    ("ARTIFACTS_URL", "s3:///prefix", "must be file:///folder or s3://bucket"),
    ("ARTIFACTS_URL", "gs://bucket", "must be file:///folder or s3://bucket"),
    ("ARTIFACTS_URL", "s3://bucket?regoin=eu", "has the option 'regoin'; known are endpoint, region, addressing"),
    ("ARTIFACTS_URL", "s3://bucket?addressing=both", "takes addressing=auto, path or virtual"),
    ("ARTIFACT_MAX_BYTES", "0", "greater than or equal to 1"),
    ("ARTIFACT_MAX_BYTES", "50M", "integer"),
    ("ARTIFACTS_PER_JOB", "0", "greater than or equal to 1"),
    ("ARTIFACT_KEEP_DAYS", "4000", "less than or equal to 3650"),
])
def test_a_wrong_value_is_refused_with_its_name(name, value, words):
    with pytest.raises(Misconfigured, match=name) as refused:
        env.read({name: value})

    assert words in str(refused.value)


def test_a_wrong_address_does_not_show_its_key():
    with pytest.raises(Misconfigured) as refused:
        env.read({"ARTIFACTS_URL": "s3://key:hush@bucket?regoin=eu"})

    assert "hush" not in str(refused.value)


def test_s3_without_its_libraries_is_refused_at_the_start(monkeypatch):
    monkeypatch.setattr(artifacts, "find_spec", lambda name: None)

    with pytest.raises(Misconfigured, match=r"pip install -r requirements/s3\.txt"):
        env.read({"ARTIFACTS_URL": "s3://bucket"})


def test_without_an_address_files_are_in_the_data_folder_and_open_to_nobody_else():
    found = storage(env.read({}).ARTIFACTS_URL, data_dir=Path("/data"))

    assert found["OPTIONS"]["location"] == "/data/artifacts"
    assert (found["OPTIONS"]["file_permissions_mode"], found["OPTIONS"]["base_url"]) == (0o640, None)


def test_a_folder_may_be_anywhere():
    assert storage("file:///srv/a%20b", data_dir=Path("/data"))["OPTIONS"]["location"] == "/srv/a b"


def test_an_address_of_s3_is_taken_apart():
    url = "s3://key:s%2Fcret@bucket/a/b/?endpoint=https://minio:9000&region=eu&addressing=path"
    found = storage(env.read({"ARTIFACTS_URL": url}).ARTIFACTS_URL, data_dir=Path("/data"))

    assert found["BACKEND"] == "storages.backends.s3.S3Storage"
    assert {name: found["OPTIONS"][name] for name in (
        "bucket_name", "location", "access_key", "secret_key", "endpoint_url", "region_name", "addressing_style",
    )} == {
        "bucket_name": "bucket", "location": "a/b", "access_key": "key", "secret_key": "s/cret",
        "endpoint_url": "https://minio:9000", "region_name": "eu", "addressing_style": "path",
    }


def test_without_a_key_boto3_looks_where_it_always_does():
    assert not {"access_key", "secret_key"} & set(storage("s3://bucket", data_dir=Path("/data"))["OPTIONS"])
