"""email.send from the API to the server, with real workers in between."""

import pytest
from django.db import connection

from apps.jobs import selectors
from apps.jobs import services as jobs
from apps.jobs.lifecycle import FINISHED, Status
from apps.jobs.services import artifacts
from tests.support.caller import Caller
from tests.support.mail_server import MailServer
from tests.support.waiting import until
from tests.support.workers import fleet

pytestmark = pytest.mark.django_db(transaction=True)
CONTENT = bytes(range(256)) * 1000 + b"\r\n.\r\n"
MAIL = {"subject": "Your files", "text": "Here they are.\n"}


@pytest.fixture
def server():
    with MailServer() as made:
        yield made


@pytest.fixture
def workers(server):
    """Workers that send through the server, and give the rows of their jobs up soon after they are killed."""
    with fleet() as made:
        def start(**options):
            worker = made.start(
                slots=1, modules=(), lease_seconds=2.0, EMAIL_URL=f"{server.url}?timeout=20", EMAIL_FROM="Shop <shop@example.com>",
                **options)
            with connection.cursor() as cursor:
                cursor.execute(
                    "INSERT INTO job_queue (name, paused_by, paused_reason) VALUES (%s, '', '') ON CONFLICT DO NOTHING",
                    [worker.queue])
            return worker
        yield start


def ended(job_id, *, timeout=60):
    until(lambda: selectors.job(job_id).status in FINISHED, timeout=timeout, message="the job did not end")
    return selectors.job(job_id)


def test_a_mail_goes_from_the_api_through_a_worker_to_the_server_byte_for_byte(server, workers):
    artifact = artifacts.save("Straße.bin", CONTENT)
    worker = workers()
    payload = {**MAIL, "to": ["Ada <ada@example.com>"], "bcc": ["unseen@example.com"], "attachments": [str(artifact.id)]}
    answer = Caller.of("operator").post("/api/v1/jobs", {"type": "email.send", "payload": payload, "queue": worker.queue})
    job = ended(answer.json()["id"])

    assert (201, Status.COMPLETED, 1) == (answer.status_code, job.status, job.attempt)
    (received,) = server.mails
    (part,) = received.message.iter_attachments()
    assert ("Straße.bin", CONTENT) == (part.get_filename(), part.get_payload(decode=True))
    assert ("shop@example.com", ["ada@example.com", "unseen@example.com"]) == (received.sender, received.recipients)
    assert f"<{job.id}@example.com>" == received.message["message-id"] == job.result["message_id"]
    assert b"unseen@" not in received.content


def test_an_answer_that_is_lost_makes_a_repeat_with_the_same_message_id(server, workers):
    server.answers(stops_at="TAKEN", times=1)
    worker = workers()
    job_id = jobs.enqueue("email.send", {**MAIL, "to": ["ada@example.com"]}, queue=worker.queue)
    until(lambda: selectors.job(job_id).status == Status.RETRYING, timeout=30)
    jobs.run(job_id)
    job = ended(job_id)

    assert (Status.COMPLETED, 2) == (job.status, job.attempt)
    assert [f"<{job_id}@example.com>"] * 2 == [received.message["message-id"] for received in server.mails]
    first = selectors.attempts(job_id)[0].error
    assert ("Unreachable", True) == (first["class"], "closed the connection" in first["message"])


def test_a_worker_that_is_killed_while_the_server_answers_leaves_a_repeat_with_the_same_message_id(server, workers):
    server.answers(stops_at="HELD", times=1)
    first = workers()
    job_id = jobs.enqueue("email.send", {**MAIL, "to": ["ada@example.com"]}, queue=first.queue)
    until(lambda: server.mails, timeout=30)
    first.kill()
    workers(queues=first.queues)
    job = ended(job_id)

    assert (Status.COMPLETED, 1) == (job.status, job.rescues)
    assert [f"<{job_id}@example.com>"] * 2 == [received.message["message-id"] for received in server.mails]


def test_a_refusal_is_a_dead_letter_with_the_servers_words_and_no_second_attempt(server, workers):
    server.answers(recipients={"no@example.com": "550 5.1.1 no such user here"})
    worker = workers()
    job_id = jobs.enqueue("email.send", {**MAIL, "to": ["no@example.com"]}, queue=worker.queue)
    job = ended(job_id)

    assert (Status.DEAD_LETTER, 1, 1) == (job.status, job.attempt, server.tried)
    assert ("Rejected", "no recipient was taken: no@example.com: 550 5.1.1 no such user here") == (
        job.error["class"], job.error["message"])
