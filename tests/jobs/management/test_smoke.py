"""The smoke test against a real web server: what it sees when all is well, and that each fault is seen."""

import re

import pytest

from apps.jobs import services as jobs
from apps.jobs.management import smoke
from apps.jobs.models import Job
from tests.support import factories
from tests.support.mail_server import mail_server

__all__ = ["mail_server"]
pytestmark = pytest.mark.django_db(transaction=True)


def holds(said) -> dict[str, bool | None]:
    return {check["name"]: check["holds"] for check in said.facts["checks"]}


def test_a_stack_that_works_holds_in_every_point(typed, stack, worker):
    said = typed("smoke", *stack, "--json")

    assert (0, True, {True}) == (said.status, said.facts["ok"], set(holds(said).values())), said.out
    assert ("http.request", "completed") == (said.facts["job"]["type"], said.facts["job"]["status"])
    assert ["http.request", "image.process", "report.generate"] == sorted(
        Job.objects.filter(tags__contains=["smoke"], status="completed").values_list("type", flat=True))


def test_people_get_a_list_with_marks(typed, stack, worker):
    said = typed("smoke", *stack)

    assert ["✓"] * 12 == [line[0] for line in said.out.splitlines()]
    assert "completed in attempt 1: waited" in said.out


def test_each_type_shows_what_it_made(typed, stack, worker):
    said = typed("smoke", *stack)

    assert re.search(r"✓ image.process +192 x 128 pixels to thumbnail-48.png, 48 x 32, \d+ bytes, no metadata", said.out)
    assert re.search(r"✓ report.generate +jobs_summary-[0-9TZ-]+\.pdf, \d+ bytes", said.out)
    assert not [line for line in said.out.splitlines() if line.startswith("✓ email")]


def test_a_mail_with_everything_goes_out_only_to_whom_the_operator_names(typed, stack, worker, mail_server):
    nobody = typed("smoke", *stack)
    before = len(mail_server.mails)
    named = typed("smoke", *stack, "--mail=ada@example.com")

    assert (0, 0, 0) == (nobody.status, before, named.status)
    (received,) = mail_server.mails
    kinds = [part.get_content_type() for part in received.message.iter_attachments()]
    assert (["ada@example.com"], ["image/png", "application/pdf"]) == (received.recipients, kinds)


BREAKS = {"image.process": "apps.jobs.types.image.handler._processed", "report.generate": "apps.jobs.types.report.handler._read"}


@pytest.mark.parametrize("name", BREAKS)
def test_a_type_that_does_not_work_is_a_check_that_does_not_hold(name, typed, stack, worker, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("broken for the test")

    monkeypatch.setattr(BREAKS[name], fails)

    said = typed("smoke", *stack, "--json")

    assert (1, [name]) == (said.status, [name for name, held in holds(said).items() if not held])
    assert "ended as dead_letter: broken for the test" in said.out


def test_where_inner_addresses_are_closed_it_runs_what_needs_none(typed, stack, worker, settings):
    settings.OUTGOING_ALLOW_PRIVATE = False

    said = typed("smoke", *stack, "--json")

    assert (True, "report.generate", "completed") == (said.facts["ok"], said.facts["job"]["type"], said.facts["job"]["status"])


def test_without_a_worker_the_job_does_not_end_and_the_rest_is_still_checked(typed, stack):
    said = typed("smoke", *stack, "--json", "--timeout=0.3")

    expected = {"runs it": False, "same key, same job": True, "unknown type": True, "metrics": True}
    assert (1, expected) == (said.status, {name: holds(said)[name] for name in expected})
    assert "still queued after 0.3 s: no worker is alive" in said.out


def test_a_paused_queue_is_named_with_who_why_and_how_to_resume_it_and_nothing_is_sent_there(typed, stack, worker):
    jobs.pause("default", by="ann", reason="the mail server moves")

    said = typed("smoke", *stack)

    (line,) = [line for line in said.out.splitlines() if line.startswith("✗")]
    assert (1, 0) == (said.status, Job.objects.count())
    assert "default is paused by ann: the mail server moves." in line
    assert "manage.py queues_resume default" in line
    assert "1 of 12 checks do not hold" in said.err
    jobs.resume("default")
    assert 0 == typed("smoke", *stack).status


def test_a_paused_queue_that_nothing_here_needs_is_in_nobodys_way(typed, stack, worker):
    with factories.registered("other.kind", queue="elsewhere"):
        jobs.pause("elsewhere", reason="tea")

        assert 0 == typed("smoke", *stack).status


def test_a_queue_that_is_paused_meanwhile_is_why_a_job_does_not_end(typed, stack, monkeypatch):
    monkeypatch.setattr(smoke.Smoke, "queues", lambda self: jobs.pause("default", reason="tea") or "as if open")

    said = typed("smoke", *stack, "--timeout=0.3")

    assert "still queued after 0.3 s: its queue default is paused: tea" in said.out


def test_where_writing_is_off_that_is_said_and_what_would_write_is_left_out(typed, stack, worker, settings):
    settings.READ_ONLY = True

    people, machines = typed("smoke", *stack), typed("smoke", *stack, "--json")

    made = {"alive": True, "ready": True, "token": True, "metrics": True}
    assert (0, 0, 0) == (people.status, machines.status, Job.objects.count())
    assert made == {name: held for name, held in holds(machines).items() if held is not None}
    assert ["✓"] * 4 + ["-"] * 8 == [line[0] for line in people.out.splitlines()]
    assert "- unknown type          not tried: writing is off there (READ_ONLY=1)" in people.out
    assert "12 checks, 8 were not made; the others hold" in people.err


def test_a_job_that_fails_is_a_failure(typed, stack, worker, live_server):
    said = typed("smoke", *stack, "--json", f"--call={live_server.url}/no-such-page")

    assert (1, False) == (said.status, holds(said)["runs it"])
    assert "ended as dead_letter: the server answered 404" in said.out


def test_a_wrong_token_is_seen_and_what_needs_it_is_not_tried(typed, stack, tmp_path):
    said = typed("smoke", *stack[:2], "--token=lw_00000000_wrong", "--json")

    checks = holds(said)
    assert (1, True, True, False, None, None) == (
        said.status, checks["alive"], checks["ready"], checks["token"], checks["accepts a job"], checks["metrics"],
    )
    assert "lw_00000000_wrong" not in said.out + said.err


def test_nobody_there_is_one_failed_check(typed, stack):
    said = typed("smoke", "--url=http://127.0.0.1:1", *stack[2:], "--json")

    assert (1, {"alive": False}) == (said.status, {name: held for name, held in holds(said).items() if held is not None})


def test_another_server_is_not_taken_for_the_platform(typed, stack, other_site):
    said = typed("smoke", "--url", other_site, *stack[2:])

    assert 1 == said.status
    assert "/healthz is not the platform's" in said.out


@pytest.fixture
def other_site():
    from tests.support.http_server import Server

    server = Server()
    server.answers("/healthz", 200, b"hello")
    yield server.url
    server.stop()


def test_a_missing_token_and_a_wrong_url_say_what_to_give(typed, settings, tmp_path):
    settings.ENV = settings.ENV.model_copy(update={"DATA_DIR": tmp_path})

    assert (2, True) == (typed("smoke").status, "run `make up`, or give --token" in typed("smoke").err)
    assert "--url must begin with http:// or https://" in typed("smoke", "--url=ftp://h", "--token=t").err
