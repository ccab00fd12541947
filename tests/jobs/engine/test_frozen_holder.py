"""A worker that stands still for longer than the lease of its job's lock: its late writes are refused, and so is its ending."""

import json
import uuid

import pytest

from apps.jobs import registry, selectors
from apps.jobs import services as jobs
from apps.jobs.lifecycle import Status
from apps.jobs.models import StaleWrite
from tests.jobs.engine.conftest import ended, known
from tests.support import factories
from tests.support.cassandra import tables
from tests.support.three import CASSANDRA_TABLE, Three, all_said, make_table
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(420)
MODULES = ("tests.support.frozen_jobs",)


@pytest.fixture
def three(db, ring):
    make_table()
    tables.make(ring, CASSANDRA_TABLE)
    key = f"account:{uuid.uuid4().hex}"
    made = Three(key, cassandra=tables.address(ring))
    yield made
    made.close()


def test_what_a_thawed_worker_writes_is_refused_by_all_and_its_ending_stands_in_the_ledger(ring, three, workers, desk):
    from tests.support import frozen_jobs

    registry._types["frozen.writes"] = frozen_jobs.TYPE   # until the end of `db`
    address = tables.address(ring)
    options = {"pool": "threads", "slots": 1, "lease_seconds": 2, "modules": MODULES, "LOCKS_URL": address}
    victim = workers.start(**options)
    known(victim.queue)
    payload = {"key": three._key, "address": address, "desk": str(desk.folder)}
    job_id = jobs.enqueue("frozen.writes", payload, queue=victim.queue)
    until(lambda: desk.began(job_id), timeout=60)
    fence = factories.row(job_id).fence
    victim.freeze()
    heir = workers.start(**options, queues=[victim.queue])
    until(lambda: desk.began(job_id, attempt=2), timeout=90, message="nobody took it over")
    desk.go()
    (row,) = ended(job_id)
    victim.thaw()
    late, fresh = (json.loads(until(lambda n=n: said(desk, n), timeout=60, message=f"attempt {n} never ended")) for n in (1, 2))
    until(lambda: StaleWrite.objects.filter(job_id=job_id).exists(), timeout=60, message="no late ending was refused")

    assert [all_said("written"), all_said("refused")] == late["said"]
    assert [all_said("written"), all_said("written")] == fresh["said"]
    assert late["token"] < fresh["token"] == row.result
    assert all_said("last of 2") == three.read()
    assert (Status.COMPLETED, 2, heir.id()) == (row.status, row.attempt, row.worker_id)
    assert {fence} == set(StaleWrite.objects.filter(job_id=job_id).values_list("fence", flat=True))
    assert [late["token"], fresh["token"]] == [each.lock_token for each in selectors.attempts(job_id)]


def said(desk, attempt):
    note = desk.folder / f"said.{attempt}"
    return note.read_text() if note.exists() else ""
