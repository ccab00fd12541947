import json
import uuid
from datetime import timedelta

import pytest

from apps.jobs import services as jobs
from apps.jobs.lifecycle import FINISHED, Status
from apps.jobs.models import Job, Queue
from core.ids import uuid7

pytestmark = pytest.mark.django_db
PAYLOAD = {"method": "GET", "url": "https://example.com/"}


def enqueue(**options) -> uuid.UUID:
    return jobs.enqueue("http.request", PAYLOAD, **options)


def ended(status: Status, *, days_ago: float = 0) -> uuid.UUID:
    """Make a job that has ended, as if a worker had settled it."""
    from django.db.models.functions import Now

    job_id = enqueue()
    at = Now() - timedelta(days=days_ago)
    error = {"class": "Boom", "message": "it \x1b[31m broke", "traceback": "line 1\nline 2"}
    changes = {"status": status, "finished_at": at, "started_at": at, "attempt": 1, "fence": 7, "worker_id": uuid7()}
    Job.objects.filter(id=job_id).update(**changes, error=None if status == Status.COMPLETED else error)
    return job_id


def test_enqueue_prints_the_id_alone(typed):
    said = typed("jobs_enqueue", "http.request", json.dumps(PAYLOAD))

    job = Job.objects.get()
    assert (f"{job.id}\n", "", 0) == (said.out, said.err, said.status)
    assert ("http.request", PAYLOAD) == (job.type, job.payload)


def test_enqueue_takes_every_option_of_a_job(typed):
    said = typed(
        "jobs_enqueue", "http.request", json.dumps(PAYLOAD), "--json", "--priority=2", "--max-attempts=3", "--timeout=90s",
        "--delay=2h", "--unique-key=k", "--tag=a", "--tag=b", "--queue=default",
    )

    job = Job.objects.get()
    assert (str(job.id), True) == (said.facts["id"], said.facts["created"])
    assert (2, 3, 90.0, "k", ["a", "b"]) == (
        job.priority, job.max_attempts, job.timeout_seconds, job.unique_key, job.tags,
    )
    assert (Status.SCHEDULED, timedelta(hours=2)) == (job.status, round_to_second(job.run_at - job.created_at))


def round_to_second(length: timedelta) -> timedelta:
    return timedelta(seconds=round(length.total_seconds()))


def test_enqueue_reads_the_payload_from_standard_input(typed, monkeypatch):
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(PAYLOAD)))
    typed("jobs_enqueue", "http.request", "-")

    assert PAYLOAD == Job.objects.get().payload


def test_enqueue_on_a_dry_run_checks_everything_and_stores_nothing(typed):
    said = typed("jobs_enqueue", "http.request", json.dumps(PAYLOAD), "--dry-run")
    refused = typed("jobs_enqueue", "http.request", "{}", "--dry-run")

    assert "would enqueue http.request in the queue default, queued\n" == said.out
    assert 2 == refused.status
    assert 0 == Job.objects.count()


@pytest.mark.parametrize(("words", "complaint"), [
    (("http.requets", "{}"), "'http.requets' is not a job type; known are "),
    (("http.request", "{}"), "/payload/url: Field required"),
    (("http.request", "{"), "is not JSON"),
    (("http.request", "{}", "--delay=soon"), "is no length of time: write seconds, or 500ms"),
    (("http.request", "{}", "--run-at=2030-01-31T09:00:00"), "write it with its zone"),
    (("http.request", "{}", "--priority=10"), "is not a whole number from 0 to 9"),
    (("http.request", json.dumps(PAYLOAD), "--queue=nowhere"), "'nowhere' is not a queue; known are"),
])   # fmt: skip
def test_enqueue_says_what_is_wrong_with_its_input(words, complaint, typed):
    said = typed("jobs_enqueue", *words)

    assert complaint in said.err
    assert ("", 0) == (said.out, Job.objects.count())


def test_enqueue_refuses_a_taken_unique_key_and_names_the_other(typed):
    other = enqueue(unique_key="k")
    words = ("jobs_enqueue", "http.request", json.dumps(PAYLOAD), "--unique-key=k")

    assert (1, f"job {other} is unfinished and has the unique_key 'k'") == (typed(*words).status, typed(*words).err)
    assert f"{other}\n" == typed(*words, "--on-conflict=return_existing").out


def test_wait_gives_up_in_time_and_says_why_the_job_waits(typed):
    said = typed("jobs_enqueue", "http.request", json.dumps(PAYLOAD), "--wait=50ms")

    job = Job.objects.get()
    assert (f"{job.id}\n", 1) == (said.out, said.status)
    assert f"job {job.id} is still queued after 0.05 s: no worker is alive" == said.err


def test_list_is_narrowed_by_each_filter(typed):
    plain, tagged, late = enqueue(), enqueue(tags=["x"]), enqueue(delay=timedelta(hours=1))

    def listed(*words):
        return {item["id"] for item in typed("jobs_list", "--json", *words).facts}

    assert {str(plain), str(tagged), str(late)} == listed()
    assert {str(tagged)} == listed("--tag=x")
    assert {str(late)} == listed("--status=scheduled")
    assert {str(plain), str(tagged), str(late)} == listed("--status=scheduled", "--status=queued")
    assert set() == listed("--type=other.type")
    assert set() == listed("--queue=other")
    assert set() == listed("--created-before=2020-01-01T00:00:00Z")
    assert 3 == len(listed("--created-after=2020-01-01T00:00:00Z"))
    assert {str(late)} == listed("--limit=1")


def test_list_is_aligned_for_people(typed):
    enqueue()

    title, line = typed("jobs_list").out.splitlines()
    assert title.index("STATUS") == line.index("queued")
    assert title.index("QUEUE") == line.index("default")


def test_show_says_all_of_a_job_and_why_it_waits(typed):
    Queue.objects.create(name="default")
    jobs.pause("default", reason="deploy")
    job_id = enqueue()

    people, machines = typed("jobs_show", job_id), typed("jobs_show", job_id, "--json")

    assert "its queue default is paused: deploy" in people.out
    assert '"url": "https://example.com/"' in people.out
    assert ("its queue default is paused: deploy", []) == (machines.facts["why_waiting"], machines.facts["attempts"])


def test_show_keeps_a_jobs_words_from_the_terminal(typed):
    job_id = ended(Status.DEAD_LETTER)

    assert "Boom: it \\x1b[31m broke\n  line 1\n  line 2" in typed("jobs_show", job_id).out


@pytest.mark.parametrize(("command", "complaint", "status"), [
    ("jobs_show", "there is no job", 1),
    ("jobs_retry", "there is no job", 1),
    ("jobs_cancel", "there is no job", 1),
    ("jobs_run", "there is no job", 1),
    ("jobs_discard", "there is no job", 1),
])   # fmt: skip
def test_an_unknown_job_is_refused_and_a_wrong_id_explained(command, complaint, status, typed):
    unknown = uuid7()

    said = typed(command, unknown)
    assert (f"{complaint} {unknown}", status) == (said.err, said.status)
    assert "'seven' is no id of a job" in typed(command, "seven").err


ACTIONS = [
    ("jobs_retry", Status.COMPLETED, Status.QUEUED, "retry"),
    ("jobs_retry", Status.DEAD_LETTER, Status.QUEUED, "retry"),
    ("jobs_discard", Status.DEAD_LETTER, Status.CANCELLED, "discard"),
    ("jobs_cancel", Status.QUEUED, Status.CANCELLED, "cancel"),
    ("jobs_run", Status.SCHEDULED, Status.QUEUED, "run"),
]


def made(status: Status) -> uuid.UUID:
    if status in FINISHED:
        return ended(status)
    return enqueue(delay=timedelta(hours=1) if status == Status.SCHEDULED else None)


@pytest.mark.parametrize(("command", "before", "after", "verb"), ACTIONS)
def test_an_action_moves_its_job_and_a_dry_run_does_not(command, before, after, verb, typed):
    job_id = made(before)

    dry = typed(command, job_id, "--dry-run")
    assert (f"would {verb} {job_id}\n", before) == (dry.out, Job.objects.get().status)

    (would,) = typed(command, job_id, "--dry-run", "--json").facts["jobs"]
    assert {"id": str(job_id), "done": False, "refused": False, "detail": f"would {verb}"} == would

    (done,) = typed(command, job_id, "--json").facts["jobs"]
    assert (True, False, after) == (done["done"], done["refused"], Job.objects.get().status)


def test_a_refused_action_changes_nothing_and_does_the_others(typed):
    waiting, finished = enqueue(), ended(Status.COMPLETED)

    said = typed("jobs_retry", waiting, finished)

    complaint = f"job {waiting} is queued: retry is for completed, cancelled, dead_letter"
    assert (1, complaint, f"retried {finished}\n") == (said.status, said.err, said.out)
    assert {Status.QUEUED} == set(Job.objects.values_list("status", flat=True))


def test_a_dry_run_meets_the_refusals_of_the_real_one(typed):
    waiting = enqueue()

    assert typed("jobs_discard", waiting).err == typed("jobs_discard", waiting, "--dry-run").err != ""

    printed = typed("jobs_discard", waiting, "--dry-run", "--json").out.splitlines()[0]
    (refused,) = json.loads(printed)["jobs"]
    assert (False, True, True) == (refused["done"], refused["refused"], "discard is for" in refused["detail"])


def test_cancel_stores_its_reason(typed):
    job_id = enqueue()

    typed("jobs_cancel", job_id, "--reason=not needed")

    assert "not needed" == Job.objects.get().error["message"]


def test_stats_count_by_status_and_queue(typed):
    enqueue(), enqueue(delay=timedelta(hours=1))

    facts = typed("jobs_stats", "--json").facts
    assert (1, 1, 2) == (facts["by_status"]["queued"], facts["by_status"]["scheduled"], facts["total_jobs"])
    assert 1 == facts["queues"]["default"]["waiting"]
    assert "queued" in typed("jobs_stats").out


def test_prune_deletes_what_is_old_and_keeps_dead_letters(typed):
    old, young, dead = ended(Status.COMPLETED, days_ago=9), ended(Status.COMPLETED), ended(Status.DEAD_LETTER, days_ago=9)

    dry = typed("jobs_prune", "--json", "--dry-run")
    assert (1, 3) == (dry.facts["jobs"], Job.objects.count())

    done = typed("jobs_prune", "--json")
    assert (1, {young, dead}) == (done.facts["jobs"], set(Job.objects.values_list("id", flat=True)))
    assert old not in {young, dead}
    assert 1 == typed("jobs_prune", "--json", "--older-than=0s").facts["jobs"]


def test_prune_goes_on_until_nothing_is_left():
    from apps.jobs.services import retention

    for _ in range(5):
        ended(Status.CANCELLED, days_ago=9)

    assert 5 == retention.prune(keep=timedelta(days=7), batch=2).jobs
    assert 0 == Job.objects.count()
