"""A message that would run code when it is read is not read: the broker is trusted to ring, and with nothing else."""

import pickle
from pathlib import Path

from kombu import Connection

from apps.jobs.lifecycle import Status
from config.celery import app
from tests.jobs.engine.conftest import ended


class Evil:
    """Leaves a note wherever it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickled_message_is_thrown_away_and_the_worker_goes_on(worker, enqueue, tmp_path):
    there, here = tmp_path / "read-by-the-worker", tmp_path / "read-here"
    pickle.loads(pickle.dumps(Evil(here)))  # noqa: S301  to show that it would have left its note

    with Connection(app.conf.broker_url) as broker:
        for body in (Evil(there), ((Evil(there),), {}, {})):
            broker.Producer().publish(
                body, serializer="pickle", routing_key=worker.queue, exchange="",
                headers={"task": "ordinary.touch", "id": "evil", "lang": "py"},
            )
        for serializer in ("yaml", "application/x-python-serialize"):
            broker.Producer().publish(
                "!!python/object/apply:os.system ['touch x']", routing_key=worker.queue, exchange="",
                content_type=f"application/x-{serializer}", content_encoding="utf-8", headers={"task": "ordinary.touch", "id": "e"},
            )
    rows = ended(*[enqueue(worker, seconds=0.005) for _ in range(20)])

    assert {(Status.COMPLETED, 1)} == {(row.status, row.attempt) for row in rows}
    assert (here.exists(), there.exists()) == (True, False)
    assert app.conf.accept_content == ["json"]
