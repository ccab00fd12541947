"""What is kept no longer goes, what is in use stays, whoever else is at work."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from apps.jobs.errors import (
    ArtifactsUnavailable,
    Cancelled,
    InvalidArtifact,
    UnknownArtifact,
    VanishedArtifact,
)
from apps.jobs.models import Artifact, LooseFile, artifact_storage
from apps.jobs.services import artifacts
from apps.jobs.services.artifacts import files
from core.ids import uuid7
from tests.support.artifact_files import stored
from tests.support.waiting import until

LONG_AGO = "2001-01-01T00:00:00Z"


def expired(count=1):
    made = [artifacts.save(f"{number}", b"x") for number in range(count)]
    Artifact.objects.filter(id__in=[each.id for each in made]).update(expires_at=LONG_AGO)
    return made


def stray(*, age=timedelta(days=2), path=None):
    """A file that nothing names, as a restored database would leave it."""
    path = path or files.new_path()
    whole = Path(artifact_storage().path(path))
    whole.parent.mkdir(parents=True, exist_ok=True)
    whole.write_bytes(b"stray")
    old = whole.stat().st_mtime - age.total_seconds()
    os.utime(whole, (old, old))
    return path


@pytest.fixture
def before(db):
    """The files before the test; those of its rows, which it takes back, are removed after it."""
    found = stored()
    yield found
    for path in stored() - found:
        artifact_storage().delete(path)


def counts(pruned):
    return pruned.artifacts, pruned.loose_files, pruned.stray_files


def test_expired_rows_go_with_their_files_and_the_rest_stays(before):
    expired(3)
    kept = artifacts.save("kept", b"x")

    assert counts(artifacts.prunable()) == (3, 3, 0)
    assert counts(artifacts.prune()) == (3, 3, 0)
    assert set(Artifact.objects.values_list("id", flat=True)) == {kept.id}
    assert stored() - before == {kept.file.name}
    assert counts(artifacts.prune()) == (0, 0, 0)


def test_it_goes_on_in_batches_and_asks_between_them(before):
    expired(5)
    asked = []

    assert counts(artifacts.prune(batch=2, between=lambda: asked.append(Artifact.objects.count()))) == (5, 5, 0)
    assert asked[:2] == [3, 1]


def test_a_run_that_is_ended_between_two_batches_is_finished_by_the_next(before):
    expired(4)

    def cancelled():
        raise Cancelled("this")

    with pytest.raises(Cancelled):
        artifacts.prune(batch=2, between=cancelled)
    assert len(stored() - before) == 4
    assert counts(artifacts.prune()) == (2, 4, 0)
    assert stored() == before


def test_the_file_of_a_save_that_never_ended_goes_when_its_time_is_over(before):
    path = stray()
    LooseFile.objects.create(path=path, delete_after=Now() + timedelta(hours=1))
    assert counts(artifacts.prune()) == (0, 0, 0)
    assert path in stored()

    LooseFile.objects.filter(path=path).update(delete_after=Now())
    assert counts(artifacts.prune()) == (0, 1, 0)
    assert path not in stored()


def test_a_save_whose_path_was_given_up_meanwhile_keeps_nothing(before):
    class Slow:
        def __init__(self):
            self.left = [b"a" * 1000, b"b" * 1000, b""]

        def read(self, size=-1):
            if len(self.left) == 2:
                LooseFile.objects.update(delete_after=LONG_AGO)
                artifacts.prune()
            return self.left.pop(0)

    with pytest.raises(ArtifactsUnavailable):
        artifacts.save("slow", Slow())

    assert (stored(), Artifact.objects.count(), LooseFile.objects.count()) == (before, 0, 0)


def test_a_save_whose_file_is_pruned_before_its_row_keeps_nothing(before, monkeypatch):
    write = files.write

    def written_and_pruned(path, content):
        write(path, content)
        LooseFile.objects.update(delete_after=LONG_AGO)
        artifacts.prune()

    monkeypatch.setattr(files, "write", written_and_pruned)

    with pytest.raises(ArtifactsUnavailable, match="the file was given up"):
        artifacts.save("slow", b"x")
    assert (stored(), Artifact.objects.count(), LooseFile.objects.count()) == (before, 0, 0)


def test_stray_files_of_our_form_go_when_they_are_a_day_old(before):
    old, young = stray(), stray(age=timedelta(hours=23))
    others = [stray(path=path) for path in ("notes.txt", "ab/readme", "zz/" + "a" * 38, "abc/" + "a" * 38)]

    assert counts(artifacts.prunable()) == (0, 0, 1)
    assert counts(artifacts.prune()) == (0, 0, 1)
    assert stored() - before == {young, *others}
    assert old not in stored()


def test_an_old_file_that_a_row_or_a_loose_path_names_is_no_stray(before):
    named, loose = artifacts.save("x", b"x"), stray()
    LooseFile.objects.create(path=loose, delete_after=Now() + timedelta(days=1))
    old = Path(named.file.path)
    os.utime(old, (0, 0))

    assert counts(artifacts.prune()) == (0, 0, 0)
    assert {named.file.name, loose} <= stored()


def test_a_file_that_is_gone_already_is_no_obstacle(before):
    (one,) = expired()
    Path(one.file.path).unlink()

    assert counts(artifacts.prune()) == (1, 1, 0)
    assert not LooseFile.objects.exists()


def test_a_file_that_the_storage_does_not_delete_is_left_for_later_and_the_others_go(before):
    stuck, other = expired(2)
    Path(stuck.file.path).unlink()
    (Path(stuck.file.path) / "in the way").mkdir(parents=True)   # a folder that is not empty cannot be deleted

    assert counts(artifacts.prune()) == (2, 1, 0)
    assert list(LooseFile.objects.values_list("path", flat=True)) == [stuck.file.name]
    assert LooseFile.objects.filter(delete_after__gt=Now()).exists()
    assert other.file.name not in stored()

    (Path(stuck.file.path) / "in the way").rmdir()
    LooseFile.objects.update(delete_after=LONG_AGO)
    assert counts(artifacts.prune()) == (0, 1, 0)


def test_a_vanished_file_is_told_from_an_unknown_artifact(before):
    saved = artifacts.save("x", b"x")
    Path(saved.file.path).unlink()

    assert artifacts.get(saved.id).id == saved.id
    with pytest.raises(VanishedArtifact, match="is gone"), artifacts.open(saved.id):
        pass
    with pytest.raises(UnknownArtifact, match="there is no artifact"):
        artifacts.get(uuid7())


def threads(*work):
    """Run all at once, each with its connection, and return what they return."""
    ready = threading.Barrier(len(work))

    def one(task):
        try:
            ready.wait(10)
            return task()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(work)) as pool:
        return [each.result(60) for each in [pool.submit(one, task) for task in work]]


@pytest.mark.django_db(transaction=True)
def test_many_prune_at_once_and_each_thing_goes_once():
    before = stored()
    expired(40)
    kept = artifacts.save("kept", b"x")

    found = threads(*[lambda: artifacts.prune(batch=7)] * 4)
    artifacts.prune()   # a batch of which others held a part ends a run early: the next one has the rest

    assert sum(each.artifacts for each in found) <= 40
    assert (Artifact.objects.count(), LooseFile.objects.count()) == (1, 0)
    assert stored() - before == {kept.file.name}


@pytest.mark.django_db(transaction=True)
def test_saves_go_on_while_others_prune():
    before = stored()
    job = uuid7()

    def save():
        return [artifacts.save(f"{number % 3}", str(number).encode() * 1000, job_id=job).id for number in range(30)]

    def prune():
        for _ in range(10):
            artifacts.prune()
        return []

    threads(save, save, prune, prune)

    rows = list(Artifact.objects.all())
    assert sorted(row.name for row in rows) == ["0", "1", "2"]
    assert stored() - before == {row.file.name for row in rows}
    assert not LooseFile.objects.exists()
    for row in rows:
        with artifacts.open(row.id) as file:
            assert len(file.read()) == row.size


@pytest.mark.django_db(transaction=True)
def test_of_many_who_want_a_jobs_last_places_as_many_get_one_as_there_are(settings):
    settings.JOBS = settings.JOBS.__class__(artifacts_per_job=3)
    job = uuid7()

    def save(name):
        try:
            return artifacts.save(name, b"x", job_id=job).id
        except InvalidArtifact as exc:
            return exc

    found = threads(*[lambda name=str(number): save(name) for number in range(8)])

    assert Artifact.objects.filter(job_id=job).count() == 3
    assert sum(isinstance(each, Exception) for each in found) == 5
    assert all("has 3 artifacts already" in str(each) for each in found if isinstance(each, Exception))


@pytest.mark.django_db(transaction=True)
def test_whoever_reads_while_the_file_is_replaced_gets_one_of_both_whole():
    job = uuid7()
    first = artifacts.save("x", b"a" * 50_000, job_id=job).id
    over = threading.Event()

    def replace():
        for number in range(40):
            artifacts.save("x", (b"b" if number % 2 else b"a") * 50_000, job_id=job)
        over.set()

    def read():
        seen = set()
        while not over.is_set():
            with artifacts.open(first) as file:
                seen.add((len(content := file.read()), len(set(content))))
        return seen

    found = threads(replace, read, read)

    assert {(50_000, 1)} in found[1:]
    assert found[1] | found[2] == {(50_000, 1)}


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_is_taken_back_keeps_the_file_before():
    job = uuid7()
    first = artifacts.save("x", b"old", job_id=job)

    with transaction.atomic():
        artifacts.save("x", b"new", job_id=job)
        transaction.set_rollback(True)

    with artifacts.open(first.id) as file:
        assert file.read() == b"old"


@pytest.mark.django_db(transaction=True)
def test_a_prune_waits_for_nobody_who_holds_a_row():
    one, two = expired(2)
    held, go = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            Artifact.objects.select_for_update().get(id=one.id)
            held.set()
            go.wait(30)

    def prune():
        held.wait(10)
        try:
            return artifacts.prune()
        finally:
            go.set()

    _, pruned = threads(hold, prune)

    assert pruned.artifacts == 1
    assert list(Artifact.objects.values_list("id", flat=True)) == [one.id]
    until(lambda: two.file.name not in stored())
