from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.core.management import get_commands, load_command_class

from apps.jobs.management import output
from apps.jobs.management.actions import JobAction
from apps.jobs.management.output import MutatingCommand, PlatformCommand

OURS = sorted(name for name, app in get_commands().items() if app == "apps.jobs")


def test_a_table_is_aligned_and_numbers_stand_at_the_right():
    rows = [{"a": "x", "n": 5}, {"a": "longer", "n": 1000}]

    assert ["A          N", "x          5", "longer  1000"] == output.table(rows, columns={"a": "A", "n": "N"}).splitlines()


def test_times_are_shown_in_utc_and_said_to_machines_with_their_offset():
    at = datetime(2030, 1, 31, 9, tzinfo=timezone(timedelta(hours=2)))

    assert "2030-01-31 07:00:00Z" == output.shown(at)
    assert '"2030-01-31T07:00:00+00:00"' == output.in_json(at.astimezone(UTC))


@pytest.mark.parametrize(("seconds", "said"), [
    (0.0042, "4 ms"), (2.34, "2.3 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (90_000, "1 d 1 h"),
])   # fmt: skip
def test_a_duration_is_said_in_two_units(seconds, said):
    assert said == output.duration(seconds)


@pytest.mark.parametrize("name", OURS)
def test_every_command_explains_itself_and_answers_in_json(name):
    help_text = load_command_class("apps.jobs", name).create_parser("manage.py", name).format_help()

    assert "--json" in help_text
    assert "Exit status" in help_text


@pytest.mark.parametrize("name", [
    "jobs_enqueue", "jobs_retry", "jobs_cancel", "jobs_run", "jobs_discard", "jobs_prune", "queues_pause", "queues_resume",
    "artifacts_prune",
])   # fmt: skip
def test_every_command_that_changes_something_has_a_dry_run(name):
    assert "--dry-run" in load_command_class("apps.jobs", name).create_parser("manage.py", name).format_help()


@pytest.mark.parametrize(("kind", "work"), [(PlatformCommand, "act"), (MutatingCommand, "act"), (JobAction, "apply")])
def test_a_command_that_forgets_its_work_cannot_be_made(kind, work):
    with pytest.raises(TypeError, match=f"abstract method '?{work}"):
        type("Command", (kind,), {"verb": "x", "done": "x"})()
    assert type("Command", (kind,), {"verb": "x", "done": "x", work: print})()
