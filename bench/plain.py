"""Plain Celery beside it: the same broker, processes and slots; acknowledged on receipt, no result, JSON, no events.

That is Celery at its fastest and its least safe: a message is gone from the broker before its task has run.
"""

import os

from celery import Celery

from bench import stamps

QUEUE = "plain"

# Without fixups: Celery would load Django in its workers, and look after its connections around each task.
app = Celery("plain", broker=os.environ.get("BROKER_URL"), set_as_current=False, fixups=[])
app.conf.update(
    task_default_queue=QUEUE, task_ignore_result=True, task_acks_late=False, task_serializer="json",
    accept_content=["json"], broker_connection_retry_on_startup=True, worker_prefetch_multiplier=4,
    beat_schedule_filename=os.path.join(os.environ.get("DATA_DIR", "."), "plain-beat"),  # noqa: PTH118
)


@app.task(name="plain.job")
def run(number: int, enqueued: float, length_ms: float, _padding: str = "") -> None:
    """Stamp the moment it starts."""
    stamps.body(number, enqueued, length_ms)
