"""Joins the bookkeeper to Celery's consumer, and buffers its events."""

import functools
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Thread
from typing import Any

import billiard.pool
import structlog
from celery import Celery, bootsteps, signals
from celery.worker import state
from celery.worker.consumer.gossip import Gossip
from celery.worker.consumer.mingle import Mingle
from django.db import DatabaseError, connections
from kombu import Exchange, Queue
from kombu.common import ignore_errors
from prometheus_client import start_http_server

from apps.jobs import registry, selectors
from apps.jobs.conf import config
from apps.jobs.engine import doorbell, forking, poolside, remains, shelf, stop, turns
from apps.jobs.engine.bookkeeper import Bookkeeper
from apps.jobs.engine.identity import start_facts
from apps.jobs.publishing import ticket
from core.errors import Misconfigured

TICK_SECONDS = 0.5
EVENTS_SECONDS = 0.1
EVENTS_BUFFER = 256
PORTS = 64
FORKING = ("prefork", "processes")
POOLS = (*FORKING, "threads", "thread")

Companion = Callable[[Callable[[], bool]], None]

log = structlog.get_logger(__name__)


class BookStep(bootsteps.StartStopStep):
    """Starts the bookkeeper with the consumer, pauses it while the broker is away, and stops it with the worker."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, c: Any) -> None:
        book: Bookkeeper = c.app.latchwork
        book.pool, book.hub, book.consumer = c.pool, c.hub, c
        orphans = stop.dropped(book) if book.ledger.thread is not None else []
        book.threads = bool(c.pool.body_can_be_buffer)
        if book.threads:
            forking.keep_shared()   # nothing forks, and there is garbage there too
        for queue in c.app.amqp.queues.consume_from:
            book.stock.serve(queue)
            book.stock.lines[queue].rung = True
        if book.ledger.thread is None:   # after the pool's first fork: no child inherits its thread or connection
            facts = start_facts(
                name=c.hostname, pool="threads" if book.threads else "prefork", slots=c.pool.num_processes,
                queues=book.stock.lines, metrics_port=_serve_metrics(),
            )
            book.ledger.start(facts, lambda: book.hub.call_soon(book.take_answers))
            if book.keys is not None:
                book.keys.start()
            finder = functools.partial(remains.look_after, book.config, book.shelf)
            for number, companion in enumerate((finder, *c.app.latchwork_companions)):
                Thread(target=companion, args=(lambda: book.draining,), daemon=True, name=f"companion-{number}").start()
        self.timers = [c.hub.call_repeatedly(TICK_SECONDS, self.tick, book)]
        for request in orphans:          # the broker connection was lost, the claims were not
            state.task_reserved(request)
            c.on_task_request(request)

    def register_with_event_loop(self, c: Any, hub: Any) -> None:
        """Follow what Celery and kombu have registered, when the loop is about to begin."""
        book: Bookkeeper = c.app.latchwork
        turns.gate(hub, c.pool, full=lambda: book.free() <= 0 and not book.draining)

    def tick(self, book: Bookkeeper) -> None:
        book.tick()
        if book.threads and book.lost_slots() >= book.pool.num_processes:
            _start_anew(book)

    def stop(self, c: Any) -> None:
        for timer in getattr(self, "timers", ()):
            timer.cancel()
        if c.blueprint.state == bootsteps.RUN:   # a reconnect
            return
        if c.task_consumer is not None:
            ignore_errors(c, c.task_consumer.cancel)
        if state.should_terminate is None:
            stop.warm(c.app.latchwork, c.hub)
        else:
            stop.close(c.app.latchwork)

    def shutdown(self, c: Any) -> None:          # also when SIGTERM came while the broker was away: no stop() then
        book: Bookkeeper = c.app.latchwork
        if book.ledger.closing:
            return
        if book.ledger.thread is not None and state.should_terminate is None:
            c.pool.register_with_event_loop(c.hub)   # Celery's loop has let go of it with the broker
            stop.warm(book, c.hub)
        else:
            stop.close(book)


class EventsStep(bootsteps.StartStopStep):
    """Sends task events in groups: Celery flushes them at each turn of its loop, which costs more than a job."""

    requires = ("celery.worker.consumer.events:Events", "celery.worker.consumer.tasks:Tasks")

    def start(self, c: Any) -> None:
        if c.event_dispatcher and c.hub:
            c.event_dispatcher.on_send_buffered, c.event_dispatcher.buffer_limit = None, EVENTS_BUFFER
            self.timer = c.hub.call_repeatedly(EVENTS_SECONDS, c.event_dispatcher.flush)

    def stop(self, c: Any) -> None:
        if hasattr(self, "timer"):
            self.timer.cancel()
        if c.event_dispatcher and c.blueprint.state == bootsteps.RUN:   # a reconnect: it would keep what nobody hears
            c.event_dispatcher.enabled = False


def install(app: Celery, companions: Iterable[Companion] = ()) -> None:
    """Make an application's workers run jobs. Call it once the job types are registered.

    Each of `companions` runs in a thread of its own beside the ledger, from the pool's first fork on, and is given a
    function that says when to end.
    """
    if hasattr(app, "latchwork"):
        return
    app.latchwork, app.latchwork_companions = Bookkeeper(config()), tuple(companions)
    poolside.register(app)
    app.task(name=ticket.TASK, Strategy="apps.jobs.engine.strategy:ticket_strategy", ignore_result=True)(_never)
    doorbell.install()
    forking.install()
    signals.worker_init.connect(_put_up_shelf)
    app.conf.worker_consumer = "apps.jobs.engine.away:Consumer"
    app.steps["consumer"].update((BookStep, EventsStep))
    Gossip.compatible_transports = Mingle.compatible_transports = set[str]()   # rows say who lives, and chatter costs
    # Seconds, not half a minute, for each child at a stop: rows make it safe. Before the fork.
    billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = 5


def _put_up_shelf(sender: Any, **_: Any) -> None:
    book: Bookkeeper = sender.app.latchwork
    if (found := shelf.put_up(book.config.shelf_dir, poolside.BOARD, poolside.TRAYS)) is not None:
        book.shelf, book.ledger.sign = found, found.sign


def _never() -> None:
    """Stand for the ticket among Celery's tasks; its strategy wakes the bookkeeper instead of running this."""


def choose_queues(app: Celery, options: dict[str, Any]) -> None:
    """Serve every queue that a registered type or a queue's row names, unless -Q says otherwise."""
    book: Bookkeeper = app.latchwork
    book.all_queues = not options.get("queues")
    pool = options.get("pool_cls") or options.get("pool") or app.conf.worker_pool
    kind = pool if isinstance(pool, str) else pool.__module__.rpartition(".")[2]
    if kind not in POOLS:
        raise Misconfigured([f"--pool={kind}: jobs run in prefork or threads, whose handlers can be ended or left behind"])
    if kind in FORKING and (method := app.conf.worker_pool_start_method) != "fork":
        problem = f"worker_pool_start_method={method}: such children know no job types and share no memory with their worker"
        raise Misconfigured([f"{problem}; leave it at fork, or take --pool=threads"])
    names = registry.queues() | {app.conf.task_default_queue}
    try:
        names |= set(selectors.queue_names())
    except DatabaseError as exc:
        log.warning("queues.unknown", error=f"{type(exc).__name__}", then="rows of queues are read once the database answers")
    finally:
        connections.close_all()   # before the fork
    app.conf.task_queues = [Queue(name, Exchange(""), routing_key=name) for name in sorted(names)]


def _serve_metrics() -> int | None:
    first = config().metrics_port
    for port in range(first, first + PORTS) if first else ():
        with suppress(OSError):
            start_http_server(port, addr="127.0.0.1")
            return port
    return None


def _start_anew(book: Bookkeeper) -> None:
    """Replace this process by a new one: each of its threads runs something that nobody waits for any more."""
    log.error("worker.restarts", why="every slot is lost to a handler that ran past its end")
    stop.close(book)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  itself, with its own arguments
