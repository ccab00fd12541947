import uuid

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.jobs.lifecycle import AttemptOutcome, Status
from apps.jobs.models import Job, JobAttempt, Queue, StaleWrite, Worker
from tests.support import factories

pytestmark = pytest.mark.django_db
JOBS = "admin:jobs_job_changelist"
MODELS = (Job, Queue, Worker, StaleWrite)


@pytest.fixture
def operator(client):
    someone = User.objects.create_user("operator", is_staff=True)
    someone.groups.add(Group.objects.get_or_create(name="operator")[0])
    client.force_login(someone)
    return client


@pytest.fixture
def boss(client):
    client.force_login(User.objects.create_superuser("boss"))
    return client


def listed(client, **query) -> list[uuid.UUID]:
    return [job.pk for job in client.get(reverse(JOBS), query).context["cl"].result_list]


def act(client, action: str, *job_ids: uuid.UUID) -> list[str]:
    answer = client.post(reverse(JOBS), {"action": action, "_selected_action": list(job_ids)}, follow=True)
    return [str(message) for message in answer.context["messages"]]


@pytest.mark.parametrize("model", MODELS)
def test_staff_sees_every_list_and_can_add_change_and_delete_nothing(model, operator):
    name = model._meta.model_name
    factories.job()
    Queue.objects.create(name="q")

    assert 200 == operator.get(reverse(f"admin:jobs_{name}_changelist")).status_code
    assert 403 == operator.get(reverse(f"admin:jobs_{name}_add")).status_code


def test_a_job_is_shown_with_its_attempts_and_cannot_be_changed_or_deleted(operator):
    job_id = factories.job_in(Status.RETRYING)
    address = reverse("admin:jobs_job_change", args=[job_id])

    page = operator.get(address).content.decode()

    assert "failed" in page
    assert "by a test" in page
    assert 'name="_save"' not in page
    assert 403 == operator.post(address, {"type": "other"}).status_code
    assert 403 == operator.post(reverse("admin:jobs_job_delete", args=[job_id]), {"post": "yes"}).status_code
    assert factories.TYPE == Job.objects.get().type
    assert 1 == JobAttempt.objects.count()


def test_a_waiting_job_says_why(operator):
    job_id = factories.job()

    assert "no worker is alive" in operator.get(reverse("admin:jobs_job_change", args=[job_id])).content.decode()


def test_others_do_not_come_in(client):
    client.force_login(User.objects.create_user("viewer"))

    assert 302 == client.get(reverse(JOBS)).status_code


def test_a_job_is_found_by_its_whole_id_alone(operator):
    wanted, _ = factories.jobs(2)

    assert [wanted] == listed(operator, q=str(wanted))
    assert [wanted] == listed(operator, q=f" {str(wanted).upper()} ")
    assert [] == listed(operator, q=str(wanted)[:8])
    assert [] == listed(operator, q="%")


def test_a_late_write_is_found_by_its_job(operator):
    from django.utils import timezone

    wanted = uuid.uuid4()
    for job_id in (wanted, uuid.uuid4()):
        StaleWrite.objects.create(job_id=job_id, fence=1, outcome=AttemptOutcome.COMPLETED, at=timezone.now())

    answer = operator.get(reverse("admin:jobs_stalewrite_changelist"), {"q": str(wanted)})
    assert [wanted] == [row.job_id for row in answer.context["cl"].result_list]


def test_lists_are_narrowed_by_indexed_fields(operator):
    waiting, dead = factories.job(), factories.job_in(Status.DEAD_LETTER, queue="other")
    Queue.objects.create(name="other")

    assert [dead, waiting] == listed(operator)
    assert [dead] == listed(operator, status__exact="dead_letter")
    assert [dead] == listed(operator, queue="other")
    assert [] == listed(operator, type="http.request")


def test_the_order_is_the_indexs_whatever_is_asked(operator):
    first, second = factories.job(priority=1), factories.job(priority=9)

    assert [second, first] == listed(operator, o="5")
    assert [second, first] == listed(operator, o="-5")


def test_no_list_counts_its_table(operator):
    factories.jobs(3)
    for model in MODELS:
        with CaptureQueriesContext(connection) as seen:
            operator.get(reverse(f"admin:jobs_{model._meta.model_name}_changelist"))

        assert [] == [query["sql"] for query in seen if "COUNT(" in query["sql"].upper()]


def test_a_long_list_has_its_first_pages(operator, monkeypatch):
    from apps.jobs import admin

    monkeypatch.setattr(admin, "MOST_PAGES", 2)
    monkeypatch.setattr(admin.JobAdmin, "list_per_page", 2)
    ids = factories.jobs(7)

    assert ids[-1:-3:-1] == listed(operator)
    assert ids[-3:-5:-1] == listed(operator, p="2")
    assert 2 == operator.get(reverse(JOBS)).context["cl"].paginator.num_pages


@pytest.mark.parametrize(("action", "before", "after", "said"), [
    ("retry", Status.COMPLETED, Status.QUEUED, "1 was queued again"),
    ("cancel", Status.QUEUED, Status.CANCELLED, "1 was cancelled, or asked to stop"),
    ("run", Status.SCHEDULED, Status.QUEUED, "1 was made ready"),
])   # fmt: skip
def test_an_operator_acts_on_jobs(action, before, after, said, operator):
    job_id = factories.job_in(before)

    assert [said] == act(operator, action, job_id)
    assert after == factories.row(job_id).status


def test_what_is_refused_is_said_and_the_others_are_done(operator):
    waiting, ended = factories.job(), factories.job_in(Status.COMPLETED)

    said = act(operator, "retry", waiting, ended)

    assert {f"job {waiting} is queued: retry is for completed, cancelled, dead_letter", "1 was queued again"} == set(said)
    assert Status.QUEUED == factories.row(ended).status


def test_an_action_says_that_it_took_the_first_only(operator, monkeypatch):
    from apps.jobs import admin

    monkeypatch.setattr(admin, "MOST_PAGES", 1)
    monkeypatch.setattr(admin.JobAdmin, "list_per_page", 2)
    ids = factories.jobs(3)

    answer = operator.post(
        reverse(JOBS), {"action": "cancel", "_selected_action": [ids[0]], "select_across": "1"}, follow=True,
    )

    assert "There were more: the first 2 were taken." in [str(message) for message in answer.context["messages"]]
    assert 2 == Job.objects.filter(status=Status.CANCELLED).count()


def test_only_an_admin_discards(client, operator):
    job_id = factories.job_in(Status.DEAD_LETTER)

    act(operator, "discard", job_id)
    assert Status.DEAD_LETTER == factories.row(job_id).status

    client.force_login(User.objects.create_superuser("boss"))
    assert ["1 was put away"] == act(client, "discard", job_id)
    assert Status.CANCELLED == factories.row(job_id).status


def test_a_cancellation_names_who_asked(boss):
    job_id = factories.job()

    act(boss, "cancel", job_id)

    assert "cancelled by boss" == factories.row(job_id).error["message"]


def test_queues_are_paused_and_resumed(operator):
    Queue.objects.create(name="q")
    address = reverse("admin:jobs_queue_changelist")

    operator.post(address, {"action": "pause", "_selected_action": ["q"]})
    assert "operator" == Queue.objects.get().paused_by

    operator.post(address, {"action": "resume", "_selected_action": ["q"]})
    assert Queue.objects.get().paused_at is None
