"""How much a request may ask to keep: at the limit it is taken, one more is refused by name, and nothing is made."""

import json

import pytest

from apps.jobs.models import Job
from apps.jobs.registry import MAX_PAYLOAD_BYTES
from core.api.parsers import StrictJSONParser

pytestmark = pytest.mark.django_db
JOBS = "/api/v1/jobs"
QUOTES = len('{"text":""}')


def job(size=1, **more):
    """Return a job whose payload is stored as so many bytes."""
    return {"type": "test.note", "payload": {"text": "x" * (size - QUOTES)}, **more}


def errors(response):
    return [(error["pointer"], error["detail"]) for error in response.json()["errors"]]


def test_a_body_of_one_job_may_have_so_many_bytes(operator, note):
    room = StrictJSONParser.max_bytes - len(json.dumps(job(QUOTES)))
    fits, exceeds = job(QUOTES + room), job(QUOTES + room + 1)

    assert [StrictJSONParser.max_bytes, StrictJSONParser.max_bytes + 1] == [len(json.dumps(each)) for each in (fits, exceeds)]
    assert [201, 413] == [operator.post(JOBS, each).status_code for each in (fits, exceeds)]
    assert 1 == Job.objects.count()


def test_a_payload_in_a_larger_body_has_the_same_limit(operator, note):
    fits = operator.post(f"{JOBS}/bulk", {"jobs": [job(QUOTES), job(MAX_PAYLOAD_BYTES)]})
    exceeds = operator.post(f"{JOBS}/bulk", {"jobs": [job(QUOTES), job(MAX_PAYLOAD_BYTES + 1)]})

    assert [201, 422] == [fits.status_code, exceeds.status_code]
    assert [("/jobs/1/payload", f"has {MAX_PAYLOAD_BYTES + 1} bytes: at most {MAX_PAYLOAD_BYTES} are stored in a job")] == errors(exceeds)
    assert 2 == Job.objects.count()


@pytest.mark.parametrize(("fits", "exceeds", "at"), [
    ([str(number) for number in range(20)], [str(number) for number in range(21)], "/tags"),
    (["t" * 100], ["t" * 101], "/tags/0"),
])
@pytest.mark.parametrize("bulk", [False, True])
@pytest.mark.usefixtures("note")
def test_tags_are_few_and_short(operator, bulk, fits, exceeds, at):
    def post(tags):
        one = job(QUOTES, tags=tags)
        return operator.post(f"{JOBS}/bulk", {"jobs": [one]}) if bulk else operator.post(JOBS, one)

    taken, refused = post(fits), post(exceeds)

    assert [201, 422] == [taken.status_code, refused.status_code]
    assert [f"/jobs/0{at}" if bulk else at] == [pointer for pointer, _ in errors(refused)]
    assert [fits] == [each.tags for each in Job.objects.all()]
