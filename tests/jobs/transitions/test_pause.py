"""Queues stop and start for everybody at once."""

import pytest

from apps.jobs.models import Queue
from apps.jobs.transitions import pause
from apps.jobs.transitions.statement import on_django

pytestmark = pytest.mark.django_db


def test_a_pause_says_since_when_by_whom_and_why():
    pause.pause(on_django(), name="mail", by="ada", reason="relay is down")

    found = Queue.objects.get(name="mail")
    assert ("ada", "relay is down") == (found.paused_by, found.paused_reason)
    assert found.paused_at is not None


def test_pausing_again_keeps_the_first_moment_and_the_last_reason():
    pause.pause(on_django(), name="mail", by="ada", reason="first")
    since = Queue.objects.get(name="mail").paused_at

    pause.pause(on_django(), name="mail", by="bob", reason="second")

    found = Queue.objects.get(name="mail")
    assert (since, "bob", "second") == (found.paused_at, found.paused_by, found.paused_reason)


def test_a_resumed_queue_keeps_nothing_of_its_pause():
    pause.pause(on_django(), name="mail", by="ada", reason="why")

    assert pause.resume(on_django(), name="mail").get()
    found = Queue.objects.get(name="mail")
    assert (None, "", "") == (found.paused_at, found.paused_by, found.paused_reason)


def test_resuming_what_is_not_paused_says_so():
    assert not pause.resume(on_django(), name="mail").get()

    pause.pause(on_django(), name="mail", by="", reason="")

    assert [True, False] == [pause.resume(on_django(), name="mail").get() for _ in range(2)]
