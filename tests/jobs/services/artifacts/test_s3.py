"""The same over S3: the storage that django-storages makes of ARTIFACTS_URL, against an S3 that moto plays."""

import io
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from django.core.files.storage import storages
from moto import mock_aws

from apps.jobs.errors import ArtifactsUnavailable, ArtifactTooLarge, VanishedArtifact
from apps.jobs.models import Artifact, LooseFile
from apps.jobs.services import artifacts
from apps.jobs.services.artifacts import files
from config.settings.artifacts import storage
from core.ids import uuid7
from tests.support.artifact_files import PNG, file_part, upload
from tests.support.caller import operator

__all__ = ["operator"]

pytestmark = pytest.mark.django_db
BUCKET, PREFIX = "kept", "of/latchwork"


@pytest.fixture
def bucket(settings):
    """A bucket, and the settings that name it."""
    with mock_aws():
        made = boto3.resource("s3", region_name="us-east-1").create_bucket(Bucket=BUCKET)
        url = f"s3://key:se%2Fcret@{BUCKET}/{PREFIX}?region=us-east-1"
        settings.STORAGES = {**settings.STORAGES, "artifacts": storage(url, data_dir=Path("/nowhere"))}
        yield made


def keys(bucket):
    return {each.key for each in bucket.objects.all()}


def test_the_address_becomes_the_storage(bucket):
    found = storages["artifacts"]

    assert (found.bucket_name, found.location, found.access_key, found.secret_key) == (BUCKET, PREFIX, "key", "se/cret")
    assert (found.region_name, found.signature_version) == ("us-east-1", "s3v4")


def test_a_file_is_kept_under_the_prefix_and_read_again(bucket):
    saved = artifacts.save("dot.png", PNG)

    assert keys(bucket) == {f"{PREFIX}/{saved.file.name}"}
    assert (saved.content_type, saved.size) == ("image/png", len(PNG))
    with artifacts.open(saved.id) as file:
        assert file.read() == PNG


def test_a_file_of_several_parts_is_kept_whole(bucket):
    large = bytes(range(256)) * 40_000   # above the 8 MiB at which an upload is divided

    saved = artifacts.save("large", io.BytesIO(large))

    with artifacts.open(saved.id) as file:
        assert file.read() == large
    assert saved.size == len(large)


def test_too_many_bytes_leave_no_object(bucket, settings):
    settings.JOBS = settings.JOBS.__class__(artifact_max_bytes=9 * 1024 * 1024)

    with pytest.raises(ArtifactTooLarge):
        artifacts.save("x", io.BytesIO(b"a" * (9 * 1024 * 1024 + 1)))

    assert (keys(bucket), LooseFile.objects.count()) == (set(), 0)


def test_a_replaced_and_an_expired_file_go_with_pruning(bucket):
    job = uuid7()
    artifacts.save("x", b"old", job_id=job)
    second = artifacts.save("x", b"new", job_id=job)
    over = artifacts.save("over", b"x")
    Artifact.objects.filter(id=over.id).update(expires_at=datetime(2001, 1, 1, tzinfo=UTC))

    pruned = artifacts.prune()

    assert (pruned.artifacts, pruned.loose_files) == (1, 2)   # in a test's transaction nothing is deleted after a commit
    assert keys(bucket) == {f"{PREFIX}/{second.file.name}"}


def test_strays_are_found_below_the_prefix_alone(bucket, monkeypatch):
    stray = files.new_path()
    for key in (f"{PREFIX}/{stray}", stray, f"{PREFIX}/others.txt"):
        bucket.put_object(Key=key, Body=b"x")
    kept = artifacts.save("kept", b"x")
    assert artifacts.prune().stray_files == 0   # too young

    now = datetime.now(UTC)
    monkeypatch.setattr("core.clock.now", lambda: now + timedelta(days=2))

    assert artifacts.prune().stray_files == 1
    assert keys(bucket) == {stray, f"{PREFIX}/others.txt", f"{PREFIX}/{kept.file.name}"}


def test_an_object_that_vanished_and_a_bucket_that_did_are_told_apart(bucket, operator):
    saved = artifacts.save("x", b"x")
    for each in bucket.objects.all():
        each.delete()
    with pytest.raises(VanishedArtifact), artifacts.open(saved.id):
        pass

    bucket.delete()
    with pytest.raises(ArtifactsUnavailable, match="did not take a file"):
        artifacts.save("x", b"x")
    assert upload(operator, file_part(b"x")).status_code == 503
    assert operator.get(f"/api/v1/artifacts/{uuid.uuid4()}").status_code == 404


def test_a_download_streams_from_it(bucket, operator):
    saved = artifacts.save("x.txt", b"from afar")

    response = operator.get(f"/api/v1/artifacts/{saved.id}")

    assert b"".join(response.streaming_content) == b"from afar"
    assert response["Content-Length"] == "9"
