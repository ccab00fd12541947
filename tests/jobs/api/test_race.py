import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from apps.jobs.models import Job
from tests.support.caller import Caller

COUNT = 100
BODY = {"type": "test.note", "payload": {"text": "a"}}


@pytest.mark.django_db(transaction=True)
def test_a_hundred_concurrent_requests_with_one_key_make_one_job(operator, note):
    gate = threading.Barrier(COUNT)

    def ask(_: int) -> tuple[int, str]:
        caller = Caller(operator.headers)
        gate.wait(60)
        try:
            response = caller.post("/api/v1/jobs", BODY, Idempotency_Key="one")
            return response.status_code, response.json().get("id", "")
        finally:
            connection.close()

    with ThreadPoolExecutor(COUNT) as pool:
        answers = list(pool.map(ask, range(COUNT)))
    last = operator.post("/api/v1/jobs", BODY, Idempotency_Key="one")

    statuses = Counter(status for status, _ in answers)
    [job_id] = map(str, Job.objects.values_list("id", flat=True))
    assert statuses[201] == 1
    assert set(statuses) <= {201, 200, 409}
    assert {found for status, found in answers if status != 409} == {job_id}
    assert (last.status_code, last.json()["id"]) == (200, job_id)


@pytest.mark.django_db(transaction=True)
def test_without_the_key_each_of_them_makes_a_job(operator, note):
    def ask(_: int) -> int:
        try:
            return Caller(operator.headers).post("/api/v1/jobs", BODY).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(ask, range(20)))

    assert statuses == [201] * 20
    assert Job.objects.count() == 20
