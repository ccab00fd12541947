"""image.process as jobs: what becomes of the row, and whose the files are."""

from apps.jobs import services as jobs
from apps.jobs.models import Artifact, Job
from apps.jobs.services import artifacts
from apps.jobs.testing import drain
from tests.jobs.types.image.pictures import corners, file
from tests.support.http_server import Server


def ran(source: dict, *operations: dict) -> Job:
    made = jobs.enqueue("image.process", {"source": source, "operations": list(operations)})
    drain()
    return Job.objects.get(id=getattr(made, "id", made))


def test_a_job_keeps_its_pictures_as_artifacts_of_its_own():
    source = artifacts.save("picture", file(corners(60, 40)))

    job = ran({"artifact": str(source.id)}, {"op": "resize", "width": 30}, {"op": "thumbnails", "sizes": [16]})

    kept = {artifact.name: str(artifact.id) for artifact in Artifact.objects.filter(job_id=job.id)}
    assert "completed" == job.status
    assert {item["name"]: item["id"] for item in job.result["artifacts"]} == kept


def test_a_wrong_picture_is_a_dead_letter_after_one_attempt_with_field_and_reason():
    source = artifacts.save("photo.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>")

    job = ran({"artifact": str(source.id)})

    assert ("dead_letter", 1, "InvalidImage") == (job.status, job.attempt, job.error["class"])
    assert job.error["message"].startswith("/payload/source: is an SVG drawing")
    assert not Artifact.objects.filter(job_id=job.id).exists()


def test_a_source_that_is_away_is_tried_again_and_found(settings):
    settings.OUTGOING_ALLOW_PRIVATE = True
    server = Server()
    url = server.answers("/", 503)
    job = ran({"url": url})

    server.answers("/", body=file(corners()))
    drain(with_scheduled=True)
    server.stop()

    again = Job.objects.get(id=job.id)
    assert [("retrying", 1), ("completed", 2)] == [(each.status, each.attempt) for each in (job, again)]
