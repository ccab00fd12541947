"""artifacts_list and artifacts_prune."""

import uuid

import pytest

from apps.jobs.models import Artifact
from apps.jobs.services import artifacts
from core.audit.models import AuditEntry
from tests.support import factories
from tests.support.artifact_files import stored
from tests.support.caller import Caller

pytestmark = pytest.mark.django_db
LONG_AGO = "2001-01-01T00:00:00Z"


def test_a_list_tells_what_the_api_tells_newest_first(typed):
    job = factories.job()
    first, second = (artifacts.save(name, b"x", job_id=job) for name in ("a.txt", "b.txt"))
    artifacts.save("of nobody", b"x")

    there = Caller.of("viewer").get(f"/api/v1/jobs/{job}/artifacts").json()["items"]
    here = typed("artifacts_list", "--json", "--job", job)

    assert [str(second.id), str(first.id)] == [item["id"] for item in here.facts]
    assert [item["sha256"] for item in reversed(there)] == [item["sha256"] for item in here.facts]
    assert list(there[0]) == list(here.facts[0])


def test_a_list_for_people_shows_names_that_a_terminal_does_not_obey(typed):
    artifacts.save("plain.txt", b"x")
    Artifact.objects.update(name="\x1b[31mred")   # no service stores it; a table may hold it

    answered = typed("artifacts_list")

    assert "\\x1b[31mred" in answered.out
    assert "\x1b" not in answered.out
    assert "there may be more" in typed("artifacts_list", "--limit", 1).err


def test_a_list_of_nothing_says_so_and_of_an_unknown_job_refuses(typed):
    assert typed("artifacts_list").out.strip() == "there are no artifacts"
    assert typed("artifacts_list", "--job", uuid.uuid4()).status == 1


def test_a_dry_run_counts_and_deletes_nothing(typed):
    old, new = artifacts.save("old", b"x"), artifacts.save("new", b"x")
    Artifact.objects.filter(id=old.id).update(expires_at=LONG_AGO)

    dry = typed("artifacts_prune", "--json", "--dry-run")

    assert dry.facts == {"artifacts": 1, "loose_files": 1, "stray_files": 0, "dry_run": True}
    assert {old.file.name, new.file.name} <= stored()
    assert Artifact.objects.count() == 2
    assert not AuditEntry.objects.exists()


def test_pruning_deletes_what_is_over_and_is_told_to_the_audit(typed):
    old, new = artifacts.save("old", b"x"), artifacts.save("new", b"x")
    Artifact.objects.filter(id=old.id).update(expires_at=LONG_AGO)

    done = typed("artifacts_prune", "--json")

    assert done.facts == {"artifacts": 1, "loose_files": 1, "stray_files": 0, "dry_run": False}
    assert old.file.name not in stored()
    assert new.file.name in stored()
    assert "deleted" in typed("artifacts_prune").out
    assert ["artifacts.prune"] * 2 == list(AuditEntry.objects.values_list("action", flat=True))
