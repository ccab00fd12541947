"""What an attempt saves: under its fence, once a name, in both kinds of worker."""

import os
import signal
from uuid import UUID

import pytest

from apps.jobs.lifecycle import Status
from apps.jobs.models import Artifact, LooseFile
from apps.jobs.services import artifacts
from tests.jobs.engine.conftest import ended
from tests.support import factories
from tests.support.artifact_files import stored
from tests.support.waiting import until


@pytest.fixture
def before(db):
    return stored()


def test_a_handler_saves_a_file_of_its_job(worker, enqueue, before):
    (row,) = ended(enqueue(worker, "save", value="written"))

    found = artifacts.get(UUID(row.result))
    with artifacts.open(found.id) as file:
        assert file.read() == b"written by attempt 1"
    assert (found.job_id, found.name, found.content_type) == (row.id, "put.txt", "text/plain")
    assert stored() - before == {found.file.name}


def test_a_later_attempt_replaces_what_an_earlier_one_saved(worker, enqueue, before):
    (row,) = ended(enqueue(worker, "save", value="written", seconds=2))

    (found,) = Artifact.objects.filter(job_id=row.id)
    with artifacts.open(found.id) as file:
        assert file.read() == b"written by attempt 2"
    assert (row.attempt, row.result) == (2, str(found.id))
    assert stored() - before == {found.file.name}


def test_what_a_failed_job_saved_stays(worker, enqueue):
    (row,) = ended(enqueue(worker, "save", value="evidence", seconds=2, type_name="scripted.once"))

    assert row.status == Status.DEAD_LETTER
    assert Artifact.objects.filter(job_id=row.id).count() == 1


def test_a_stale_attempt_leaves_neither_row_nor_file(worker, enqueue, desk, before):
    job_id = enqueue(worker, "save", value="late", desk=desk)
    until(lambda: desk.began(job_id))
    until(lambda: stored() - before, message="the file was not begun")
    with factories.own_connection("another claim") as somebody:
        somebody.execute("UPDATE job SET fence = nextval('job_fence') WHERE id = %s", [job_id])
    desk.go()

    until(lambda: stored() == before, message="the stale attempt's file stayed")
    assert not Artifact.objects.exists()
    until(lambda: not LooseFile.objects.exists())


def test_the_same_attempt_that_is_not_stale_leaves_both(worker, enqueue, desk, before):
    job_id = enqueue(worker, "save", value="in time", desk=desk)
    until(lambda: desk.began(job_id))
    until(lambda: stored() - before, message="the file was not begun")
    desk.go()
    ended(job_id)

    assert (Artifact.objects.count(), len(stored() - before), LooseFile.objects.count()) == (1, 1, 0)


def test_the_file_of_a_process_that_was_killed_while_saving_is_found_by_pruning(prefork, enqueue, desk, before):
    job_id = enqueue(prefork, "save", value="again", desk=desk)
    until(lambda: desk.began(job_id))
    until(lambda: stored() - before, message="the file was not begun")
    (begun,) = stored() - before
    os.kill(desk.began(job_id), signal.SIGKILL)
    desk.go()
    (row,) = ended(job_id)

    kept = artifacts.get(UUID(row.result))
    assert (row.rescues, stored() - before) == (1, {begun, kept.file.name})
    assert list(LooseFile.objects.values_list("path", flat=True)) == [begun]
    assert artifacts.prune().loose_files == 0   # it may still be written, for all that anybody knows

    LooseFile.objects.update(delete_after=row.created_at)
    assert artifacts.prune().loose_files == 1
    assert stored() - before == {kept.file.name}
