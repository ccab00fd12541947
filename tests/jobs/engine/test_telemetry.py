"""What a worker says: one JSON object a line, with the request's id, and numbers on its own port."""

import json
import socket

import pytest
import requests

from apps.jobs.lifecycle import Status
from tests.jobs.engine.conftest import ended
from tests.support.waiting import until


def test_the_log_is_one_json_object_a_line(worker, enqueue):
    started = len(worker.lines())   # what Celery prints at the start is for people
    failed = enqueue(worker, "raise", value="with\nseveral\nlines", type_name="scripted.once")
    ended(failed, enqueue(worker, "log", value="also\nwith lines"), enqueue(worker, "die", until_attempt=1)
          if "prefork" in worker.command else enqueue(worker))
    lines = until(lambda: worker.lines()[started:], timeout=30)

    assert [] == [line for line in lines if not _is_json(line)]


def _is_json(line):
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def test_what_a_handler_logs_names_its_job_and_the_request_that_asked_for_it(worker, enqueue):
    (row,) = ended(enqueue(worker, "log", value="hello", request_id="req-4711"))
    (said,) = until(lambda: worker.events("scripted.said", job_id=str(row.id)), timeout=30)

    expected = {"request_id": "req-4711", "type": "scripted.run", "attempt": 1, "fence": row.fence, "value": "hello"}
    assert expected == {name: said[name] for name in expected}


def test_an_attempt_logs_its_end_once(worker, enqueue):
    (row,) = ended(enqueue(worker, request_id="req-4712"))
    (settled,) = until(lambda: worker.events("job.settled", job_id=str(row.id)), timeout=30)

    assert ("completed", "req-4712") == (settled["outcome"], settled["request_id"])


def test_what_a_job_binds_to_the_log_is_gone_for_the_next(threads, enqueue):
    ended(*[enqueue(threads, request_id="req-4713") for _ in range(4)])
    (row,) = ended(enqueue(threads, "log", value="x"))
    (said,) = until(lambda: threads.events("scripted.said", job_id=str(row.id)), timeout=30)

    assert "request_id" not in said


@pytest.mark.parametrize("taken", [False, True])
def test_a_worker_serves_its_metrics_on_a_port_that_its_row_names(workers, enqueue, taken):
    holder = socket.create_server(("127.0.0.1", 0))
    first = holder.getsockname()[1]
    if not taken:
        holder.close()
    worker = workers.start(slots=1, JOBS_METRICS_PORT=str(first))
    rows = ended(*[enqueue(worker) for _ in range(3)])
    port = worker.row()["metrics_port"]
    text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    holder.close()

    assert [Status.COMPLETED] * 3 == [row.status for row in rows]
    assert taken == (port != first)
    assert 'latchwork_worker_attempts_total{outcome="completed",type="scripted.run"} 3.0' in text
    assert f'latchwork_worker_claims_total{{queue="{worker.queue}"}} 3.0' in text
