import re
from contextlib import closing

import pytest
from django.urls import reverse

from apps.jobs.lifecycle import Status
from apps.jobs.models import Job, JobAttempt
from apps.jobs.services import artifacts
from tests.support import factories

pytestmark = pytest.mark.django_db


def page(client, model, key):
    answer = client.get(reverse(f"admin:jobs_{model}_change", args=[key]))
    assert answer.status_code == 200
    return answer.content.decode()


def links(text):
    return set(re.findall(r'href="([^"]+)"', text))


def test_a_job_leads_to_all_that_belongs_to_it(viewer, settings):
    settings.FLOWER_URL = "https://flower.example/base/"
    job_id = factories.job_in(Status.RUNNING)
    artifacts.save("a.txt", b"text", job_id=job_id)

    found = links(page(viewer, "job", job_id))

    worker = factories.row(job_id).worker_id
    assert {
        reverse("admin:jobs_worker_change", args=[worker]),
        f"{reverse('admin:jobs_jobattempt_changelist')}?job={job_id}",
        f"{reverse('admin:jobs_artifact_changelist')}?job={job_id}",
        f"https://flower.example/base/task/{job_id}",
    } <= found
    assert "https://flower.example/base/worker/worker%40test" in links(page(viewer, "worker", worker))


def test_without_an_address_of_flower_nothing_leads_there(viewer, settings):
    settings.FLOWER_URL = ""

    assert "in Flower" not in page(viewer, "job", factories.job())


def test_the_artifacts_of_a_job_are_listed_and_fetched_through_the_api(viewer):
    made = artifacts.save("a.txt", b"text", job_id=factories.job())

    listed = viewer.get(reverse("admin:jobs_artifact_changelist"), {"job": made.job_id}).context["cl"].result_list
    (address,) = [each for each in links(page(viewer, "artifact", made.id)) if "/api/" in each]

    assert [made.id] == [row.id for row in listed]
    assert reverse("artifact", args=[made.id]) == address
    with closing(viewer.get(address)) as answer:
        assert (200, "attachment") == (answer.status_code, answer.headers["Content-Disposition"].partition(";")[0])


def test_an_attempt_shows_its_error_and_leads_to_its_job(viewer):
    job_id = factories.job_in(Status.RETRYING)
    attempt = JobAttempt.objects.get()

    text = page(viewer, "jobattempt", attempt.pk)

    assert "Cancelled: by a test" in text
    assert reverse("admin:jobs_job_change", args=[job_id]) in links(text)


def test_a_waiting_job_says_why(viewer):
    assert "no worker is alive" in page(viewer, "job", factories.job())


def test_a_page_of_a_job_has_nothing_to_save(operator):
    job_id = factories.job()

    text = page(operator, "job", job_id)

    assert 'name="_save"' not in text
    assert 403 == operator.post(reverse("admin:jobs_job_change", args=[job_id]), {"type": "other"}).status_code


def test_a_long_value_is_cut_where_nobody_reads_on(viewer):
    job_id = factories.job()
    Job.objects.update(payload={"text": "x" * 60_000})

    text = page(viewer, "job", job_id)

    assert "characters more" in text
    assert len(text) < 80_000


@pytest.mark.parametrize("key", ["not-an-id", "01900000-0007-7000-8000-000000000000", "%00", "a" * 500])
def test_a_row_that_is_not_there_leads_back(key, viewer):
    for model in ("job", "worker", "artifact", "queue", "jobattempt", "stalewrite"):
        assert viewer.get(reverse(f"admin:jobs_{model}_change", args=[key])).status_code in {302, 404}


def test_lists_do_not_read_payloads(viewer, django_assert_max_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    factories.jobs(3)
    with CaptureQueriesContext(connection) as seen:
        viewer.get(reverse("admin:jobs_job_changelist"))

    assert [] == [query["sql"] for query in seen if '"payload"' in query["sql"] or '"error"' in query["sql"]]
    with django_assert_max_num_queries(15):   # whatever the number of rows
        viewer.get(reverse("admin:jobs_job_changelist"))
