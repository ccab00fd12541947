"""What `/metrics` of a web process tells of all jobs: asked of PostgreSQL at the scrape, from indexes and roll-ups."""

from collections.abc import Iterable

from django.db import connection, transaction
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from apps.jobs import selectors
from core.observability import metrics

SECONDS = 3   # Prometheus waits ten by default


class Jobs:
    """Queues, endings, workers and the dispatcher."""

    def collect(self) -> Iterable[Metric]:
        """Read all of them in one snapshot that may not take long."""
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{SECONDS}s"])
            return [*_jobs(), *_queues(), *_endings(), *_fleet()]


def register() -> None:
    """Have `/metrics` tell of jobs."""
    metrics.register("jobs", Jobs())


def _jobs() -> Iterable[Metric]:
    family = GaugeMetricFamily("latchwork_jobs", "Jobs in each status.", labels=["status"])
    for status, count in selectors.by_status().items():
        family.add_metric([status], count)
    yield family


def _queues() -> Iterable[Metric]:
    waiting = GaugeMetricFamily("latchwork_queue_waiting", "Jobs that are ready.", labels=["queue"])
    running = GaugeMetricFamily("latchwork_queue_running", "Jobs that run.", labels=["queue"])
    paused = GaugeMetricFamily("latchwork_queue_paused", "1 while a queue is paused.", labels=["queue"])
    oldest = GaugeMetricFamily(
        "latchwork_queue_oldest_waiting_seconds", "How long the oldest ready job waits; 0 without one.", labels=["queue"],
    )
    for state in selectors.queues():
        waiting.add_metric([state.name], state.waiting)
        running.add_metric([state.name], state.running)
        paused.add_metric([state.name], float(state.paused))
        oldest.add_metric([state.name], state.oldest_waiting_seconds or 0.0)
    yield from (waiting, running, paused, oldest)


def _endings() -> Iterable[Metric]:
    count = CounterMetricFamily(
        "latchwork_jobs_ended", "Endings of attempts and jobs since the beginning, by what happened.",
        labels=["type", "queue", "event"],
    )
    seconds = CounterMetricFamily(
        "latchwork_jobs_run_seconds", "Run time of the same attempts.", labels=["type", "queue", "event"],
    )
    for ended in selectors.endings():
        labels = [ended.type, ended.queue, ended.event]
        count.add_metric(labels, ended.count)
        seconds.add_metric(labels, ended.seconds)
    yield from (count, seconds)


def _fleet() -> Iterable[Metric]:
    fleet = selectors.fleet()
    yield GaugeMetricFamily("latchwork_workers_alive", "Workers whose lease has not ended.", value=fleet.workers)
    yield GaugeMetricFamily("latchwork_worker_slots", "Their slots.", value=fleet.slots)
    yield CounterMetricFamily(
        "latchwork_stale_writes_refused", "Endings that a fence refused, by the ledger's own numbers.",
        value=fleet.stale_writes,
    )
    if fleet.dispatcher_seconds is not None:
        yield GaugeMetricFamily(
            "latchwork_dispatcher_silent_seconds", "Since the dispatcher's last sign of life.", value=fleet.dispatcher_seconds,
        )
