"""A bulk retry of 10,000 dead letters by real workers: it shows how far it is, is stopped, and outlives its worker."""

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from apps.jobs.lifecycle import Status
from apps.jobs.models import Bulk, Job
from core.audit.models import AuditEntry
from tests.jobs.admin.pressing import press
from tests.support import factories
from tests.support.people import logged_in, person
from tests.support.waiting import until
from tests.support.workers import fleet

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.chaos]
COUNT = 10_000
UNSERVED = "nobody-serves-this"   # what is retried stays queued, and can be counted


@pytest.fixture
def workers():
    with fleet() as made:
        yield made
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE job_worker")   # killed ones live on in their rows


@pytest.fixture
def operator():
    return logged_in(person("operator"))


def begun(client, query):
    """Confirm, as a person does, a retry of all that match; return its row."""
    address = reverse("admin:jobs_bulk_begin", query={"action": "retry", **query})
    page = client.get(address)
    form = {**dict(page.context["hidden"]), "reason": "the bank is back"}
    answer = client.post(address, form)
    assert answer.status_code == 302, answer.content.decode()
    return Bulk.objects.get()


def test_ten_thousand_are_retried_once_each_whatever_happens_meanwhile(operator, workers, echo):
    factories.jobs(COUNT, queue=UNSERVED)
    Job.objects.update(status=Status.DEAD_LETTER, finished_at=timezone.now())
    first = workers.start(queues=["default"])

    bulk = begun(operator, {"queue": UNSERVED})
    address = reverse("admin:jobs_bulk_change", args=[bulk.id])
    until(lambda: Bulk.objects.get().done > 0, timeout=60, message="it did not begin")
    assert f"of {COUNT}" in operator.get(address).content.decode()

    operator.post(address)   # stop
    until(lambda: factories.row(bulk.id).status == Status.CANCELLED, timeout=60, message="it did not stop")
    stopped = Bulk.objects.get()
    assert 0 < stopped.done < COUNT
    assert stopped.done == Job.objects.filter(status=Status.QUEUED, queue=UNSERVED).count()
    assert {"done": stopped.done, "total": COUNT, "note": f"{stopped.done} done, 0 refused"} == factories.row(bulk.id).progress
    assert "It was stopped" in operator.get(address).content.decode()

    assert ["1 was queued again"] == press(operator, "retry", bulk.id)   # go on
    until(lambda: Bulk.objects.get().done > stopped.done, timeout=60, message="it did not go on")
    first.kill()
    workers.start(queues=["default"])
    until(lambda: Bulk.objects.get().ended_at is not None, timeout=120, message="nobody went on after its worker was killed")

    done = Bulk.objects.get()
    assert (COUNT, 0, COUNT) == (done.done, done.refused, done.total)
    assert [(Status.QUEUED, 10)] == list(   # five attempts more than the five that they had: once
        Job.objects.filter(queue=UNSERVED).values_list("status", "max_attempts").distinct().order_by())
    assert ["bulk.begin", "bulk.stop", "bulk.end"] == list(
        AuditEntry.objects.filter(target=f"job:{bulk.id}", action__startswith="bulk.").order_by("id").values_list("action", flat=True))
    assert "All done." in operator.get(address).content.decode()
