import pytest
from prometheus_client.parser import text_string_to_metric_families

from apps.jobs import services
from apps.jobs.api.metrics import Jobs
from apps.jobs.lifecycle import Status
from tests.support import factories

pytestmark = pytest.mark.django_db


def samples(client) -> dict:
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").content.decode()) for sample in family.samples
    }


def test_the_web_process_tells_of_all_jobs(client):
    factories.worker()
    factories.jobs(3, queue="busy")
    factories.job_in(Status.COMPLETED)
    factories.job_in(Status.DEAD_LETTER)
    services.pause("default")

    found = samples(client)

    assert found["latchwork_collector_failed", "jobs"] == 0
    assert (found["latchwork_queue_waiting", "busy"], found["latchwork_queue_running", "busy"]) == (3, 0)
    assert (found["latchwork_queue_paused", "default"], found["latchwork_queue_paused", "busy"]) == (1, 0)
    assert found["latchwork_queue_oldest_waiting_seconds", "busy"] > 0
    assert (found["latchwork_jobs", "completed"], found["latchwork_jobs", "queued"]) == (1, 3)
    assert found["latchwork_jobs_ended_total", "completed", "default", factories.TYPE] == 1
    assert found["latchwork_jobs_ended_total", "dead_letter", "default", factories.TYPE] == 1
    assert (found["latchwork_workers_alive",], found["latchwork_worker_slots",]) == (3, 3)


def test_a_refused_ending_is_counted_also_when_the_ledger_was_pruned(client):
    from apps.jobs.models import Job, StaleWrite

    worker_id, job_id = factories.worker(), factories.job()
    stale = factories.claim(worker_id)
    Job.objects.filter(id=job_id).update(fence=stale.fence + 1)
    before = samples(client)["latchwork_stale_writes_refused_total",]
    factories.settled(worker_id, factories.end(stale))
    StaleWrite.objects.all().delete()

    assert samples(client)["latchwork_stale_writes_refused_total",] - before == 1


def test_a_worker_whose_lease_ended_is_not_alive(client):
    factories.worker()
    factories.worker(lease_seconds=0)

    assert samples(client)["latchwork_workers_alive",] == 1


def test_the_dispatchers_silence_is_told(client):
    from apps.jobs.transitions import presence
    from apps.jobs.transitions.statement import on_django

    absent = ("latchwork_dispatcher_silent_seconds",) in samples(client)
    presence.sign(on_django(), name=presence.DISPATCH, by="test")

    assert (absent, samples(client)["latchwork_dispatcher_silent_seconds",] < 60) == (False, True)


def test_names_of_metrics_follow_the_conventions():
    assert all(family.name.startswith("latchwork_") and family.documentation.endswith(".") for family in Jobs().collect())


def test_no_label_carries_an_id_or_anything_that_callers_choose(client):
    factories.worker()
    job_id = factories.job(unique_key="order-7", tags=["customer-7"])
    text = client.get("/metrics").content.decode()
    labels = {name for family in text_string_to_metric_families(text) for sample in family.samples for name in sample.labels}

    assert set() == labels - {
        "collector", "event", "generation", "implementation", "le", "major", "method", "minor", "outcome", "patchlevel", "queue",
        "route", "status", "type", "version", "answer", "change", "how", "why",   # these four, of locks, have a few words each
    }
    assert [] == [word for word in (str(job_id), "order-7", "customer-7") if word in text]
