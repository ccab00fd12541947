import hashlib
import io
from datetime import timedelta

import pytest
from django.db import OperationalError

from apps.jobs.errors import ArtifactTooLarge, InvalidArtifact, UnknownArtifact
from apps.jobs.models import Artifact, LooseFile
from apps.jobs.services import artifacts
from apps.jobs.services.artifacts import saving
from core.ids import uuid7
from tests.support.artifact_files import PNG, stored

pytestmark = pytest.mark.django_db


def read(artifact_id):
    with artifacts.open(artifact_id) as file:
        return file.read()


@pytest.fixture
def before():
    """The files that were in the storage before the test."""
    return stored()


def test_a_file_is_kept_with_its_facts(before):
    saved = artifacts.save("dot.png", PNG)

    row = artifacts.get(saved.id)
    assert (row.name, row.content_type, row.size) == ("dot.png", "image/png", len(PNG))
    assert row.sha256 == hashlib.sha256(PNG).hexdigest()
    assert row.expires_at - row.created_at == timedelta(days=7)
    assert read(saved.id) == PNG
    assert stored() - before == {row.file.name}
    assert not LooseFile.objects.exists()


def test_its_path_says_nothing_of_its_name_or_id(before):
    saved = artifacts.save("secret-plan.txt", b"x")

    assert "secret" not in saved.file.name
    assert saved.id.hex not in saved.file.name
    assert len(saved.file.name) == 41


@pytest.mark.parametrize("kind", ["bytes", "path", "stream", "stream that cannot seek"])
def test_bytes_paths_and_streams_are_taken(kind, tmp_path):
    class Pipe(io.RawIOBase):
        source = io.BytesIO(b"abc" * 100_000)

        def readable(self):
            return True

        def readinto(self, buffer):
            return self.source.readinto(buffer)

    path = tmp_path / "x"
    path.write_bytes(b"abc" * 100_000)
    given = {"bytes": path.read_bytes(), "path": path, "stream": io.BytesIO(path.read_bytes()), "stream that cannot seek": Pipe()}

    saved = artifacts.save("x", given[kind])

    assert read(saved.id) == b"abc" * 100_000


def test_a_stream_is_read_from_where_it_stands_and_stays_open():
    stream = io.BytesIO(b"headbody")
    stream.seek(4)

    saved = artifacts.save("x", stream)

    assert (read(saved.id), stream.closed) == (b"body", False)


def test_the_largest_file_is_kept_and_one_byte_more_leaves_nothing(before, settings):
    settings.JOBS = settings.JOBS.__class__(artifact_max_bytes=1000)
    artifacts.save("x", b"a" * 1000)
    kept = stored()

    with pytest.raises(ArtifactTooLarge, match="larger than 1000 bytes"):
        artifacts.save("y", b"a" * 1001)

    assert (len(kept - before), stored()) == (1, kept)
    assert (Artifact.objects.count(), LooseFile.objects.count()) == (1, 0)


def test_a_job_has_so_many_artifacts_and_no_more(settings):
    settings.JOBS = settings.JOBS.__class__(artifacts_per_job=2)
    job = uuid7()
    artifacts.save("1", b"a", job_id=job)
    artifacts.save("2", b"a", job_id=job)

    with pytest.raises(InvalidArtifact, match="has 2 artifacts already"):
        artifacts.save("3", b"a", job_id=job)
    artifacts.save("2", b"b", job_id=job)       # replaces
    artifacts.save("3", b"a", job_id=uuid7())   # another job's
    artifacts.save("3", b"a")                   # nobody's

    assert sorted(Artifact.objects.filter(job_id=job).values_list("name", flat=True)) == ["1", "2"]


@pytest.mark.django_db(transaction=True)
def test_the_same_name_of_a_job_keeps_its_id_and_gets_the_new_file(before):
    job = uuid7()
    first = artifacts.save("report.csv", b"old", job_id=job)

    second = artifacts.save("report.csv", b"newer", job_id=job)

    assert (second.id, second.size, read(first.id)) == (first.id, 5, b"newer")
    assert stored() - before == {second.file.name}
    assert not LooseFile.objects.exists()


def test_uploads_of_the_same_name_are_two_artifacts():
    assert artifacts.save("x", b"a").id != artifacts.save("x", b"a").id


@pytest.mark.parametrize("keep", [timedelta(0), timedelta(days=-1), timedelta(days=3651)])
def test_how_long_it_is_kept_has_bounds(keep, before):
    with pytest.raises(InvalidArtifact, match="/keep: must be above 0"):
        artifacts.save("x", b"a", keep=keep)

    assert stored() == before


def test_a_text_stream_is_refused_and_leaves_nothing(before):
    with pytest.raises(InvalidArtifact, match="binary mode"):
        artifacts.save("x", io.StringIO("text"))

    assert (stored(), LooseFile.objects.count()) == (before, 0)


def test_what_is_no_file_is_refused(before):
    with pytest.raises(InvalidArtifact, match="is dict: give bytes, a Path or a binary stream"):
        artifacts.save("x", {})

    assert stored() == before


def test_a_stream_that_breaks_leaves_nothing(before):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 100_000:
                raise ConnectionResetError("the other side went away")
            return super().read(size)

    with pytest.raises(ConnectionResetError, match="the other side went away"):
        artifacts.save("x", Broken(b"a" * 300_000))

    assert (stored(), LooseFile.objects.count(), Artifact.objects.count()) == (before, 0, 0)


@pytest.mark.parametrize(("error", "left"), [(OperationalError, 1), (ValueError, 0)])
def test_a_commit_of_which_nobody_knows_leaves_its_file_to_pruning_and_a_refused_one_takes_it_back(before, error, left, monkeypatch):
    def record(self, measured):
        raise error("the reply was lost")

    monkeypatch.setattr(saving._Saving, "_record", record)

    with pytest.raises(error, match="the reply was lost"):
        artifacts.save("x", b"a")
    assert (len(stored() - before), LooseFile.objects.count()) == (left, left)

    LooseFile.objects.update(delete_after="2001-01-01T00:00:00Z")
    artifacts.prune()
    assert stored() == before


def test_a_path_that_is_not_there_leaves_nothing(before, tmp_path):
    with pytest.raises(FileNotFoundError):
        artifacts.save("x", tmp_path / "nothing")

    assert (stored(), LooseFile.objects.count(), Artifact.objects.count()) == (before, 0, 0)


def test_an_artifact_whose_time_is_over_is_unknown():
    saved = artifacts.save("x", b"a")
    Artifact.objects.filter(id=saved.id).update(expires_at=saved.created_at)

    with pytest.raises(UnknownArtifact, match="its time is over"):
        artifacts.get(saved.id)
    with pytest.raises(UnknownArtifact), artifacts.open(saved.id):
        pass
