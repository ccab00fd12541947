"""What the engine relies on of Celery, kombu and billiard beyond their documentation: one test for each hook.

When one fails after an upgrade, the engine does not do what it says, whatever the other tests say.
"""

import inspect
import threading
from collections import defaultdict
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from billiard.einfo import ExceptionInfo
from celery import Celery, bootsteps, exceptions, signals
from celery.app import trace
from celery.concurrency import asynpool
from celery.fixups.django import DjangoWorkerFixup
from celery.worker import WorkController, loops, state, strategy
from celery.worker import request as worker_request
from celery.worker.consumer import Consumer
from django.db import connection
from kombu import Queue
from kombu.asynchronous import Hub
from kombu.message import Message as KombuMessage

from apps.jobs.engine import poolside
from apps.jobs.engine import strategy as ours_of_it
from apps.jobs.engine.poolside import TRAYS
from apps.jobs.engine.request import JobRequest, Message
from apps.jobs.publishing import bell
from config.celery import app as ours
from tests.jobs.engine.test_stock import rows


class Handle:
    """What a pool returns: Celery keeps only a weak reference to it."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


@pytest.fixture
def app():
    made = Celery("contract", set_as_current=False, broker="memory://")
    made.conf.task_ignore_result = True
    yield made
    ours.set_current()   # Celery's own preparations of a worker make theirs the current one
    ours.set_default()


@pytest.fixture
def task(app):
    @app.task(name="t.t", shared=False)   # a shared one would be made in every other app too
    def nothing():
        pass

    return app.tasks["t.t"]


@pytest.fixture
def consumer(app):
    """As much of a consumer as Celery's strategy looks at."""
    handled = []
    return SimpleNamespace(
        hostname="h@test", connection_errors=(OSError,), event_dispatcher=None, disable_rate_limits=True,
        timer=SimpleNamespace(call_at=None), apply_eta_task=None, task_buckets={}, on_task_request=handled.append,
        _limit_task=None, _limit_post_eta=None, app=app, handled=handled,
        controller=SimpleNamespace(state=SimpleNamespace(revoked=set())),
        pool=SimpleNamespace(apply_async=Handle),
    )


# How a request is made.


def test_create_request_cls_takes_a_trace_function_and_overrides_two_methods_of_its_base(app, task, consumer):
    class Base(worker_request.Request):
        def execute_using_pool(self, pool, **options):
            raise AssertionError("not overridden")

        def on_success(self, failed__retval__runtime, **options):
            raise AssertionError("not overridden")

    def own(*args):
        pass

    made = worker_request.create_request_cls(Base, task, consumer.pool, "h", None, app=app, trace=own)
    request = made(
        Message(rows(1)), app=app, hostname="h", task=task, headers=Message(rows(1)).headers, decoded=True,
        on_ack=Message.done, on_reject=Message.done, body=Message.payload, utc=True,
    )
    handle = request.execute_using_pool(consumer.pool)

    assert "trace" in inspect.signature(worker_request.create_request_cls).parameters
    assert {"execute_using_pool", "on_success"} == {name for name in vars(made) if not name.startswith("__")}
    assert own is handle.args[0]
    expected = {"accept_callback", "timeout_callback", "callback", "error_callback", "timeout", "soft_timeout", "correlation_id"}
    assert expected == set(handle.kwargs) - {"args"}
    name, task_id, request_dict, *_ = handle.kwargs["args"]
    assert ("t.t", rows(1)[0].id, dict) == (name, task_id, type(request_dict))


def test_strategy_default_finds_create_request_cls_among_its_globals_and_calls_back_before_it_hands_over(app, task, consumer):
    order, made = [], []

    def create(base, *args, **kwargs):
        made.append(worker_request.create_request_cls(base, *args, **kwargs))
        return made[-1]

    consumer.on_task_request = lambda request: order.append(("handed over", request.id))
    with patch.object(strategy, "create_request_cls", create):
        handler = strategy.default(task, app, consumer)
    message = Message(rows(1))
    handler(message, None, message.done, message.done, [lambda request: order.append(("called back", request.id))])

    assert 1 == len(made)
    assert [("called back", message.claims[0].id), ("handed over", message.claims[0].id)] == order


def test_a_revoked_id_is_asked_for_before_the_hand_over(app, task, consumer, monkeypatch):
    message = Message(rows(1))
    consumer.controller.state.revoked.add(message.claims[0].id)
    monkeypatch.setattr(state, "revoked", {message.claims[0].id})
    monkeypatch.setattr(worker_request, "revoked_tasks", {message.claims[0].id})
    strategy.default(task, app, consumer)(message, None, message.done, message.done, [])

    assert [] == consumer.handled


@pytest.fixture
def limited(consumer):
    """What a consumer, whose every task has a rate limit, put into its buckets."""
    put = []
    consumer.disable_rate_limits = False
    consumer.task_buckets = defaultdict(lambda: "a bucket")
    consumer._limit_task = lambda request, bucket, tokens: put.append((request.id, bucket, tokens))
    return put


@pytest.mark.parametrize("disabled", [False, True])
def test_whether_rates_are_limited_is_read_once_when_the_handler_is_made(app, task, consumer, limited, disabled):
    message, told = Message(rows(1)), []
    consumer.disable_rate_limits = disabled
    handler = strategy.default(task, app, consumer)
    consumer.disable_rate_limits = not disabled
    handler(message, None, message.done, message.done, [told.append])

    kept = [] if disabled else [(message.claims[0].id, "a bucket", 1)]
    assert (kept, int(disabled), int(disabled)) == (limited, len(told), len(consumer.handled))


@pytest.mark.parametrize(("made", "count"), [(ours_of_it.job_strategy, 1), (ours_of_it.together_strategy, 3)])
def test_a_hand_over_of_jobs_waits_in_no_bucket_and_the_bookkeeper_is_told(task, consumer, limited, made, count):
    app = consumer.app
    app.latchwork = SimpleNamespace(handlers={}, keys=None)
    message, told = Message(rows(count)), []
    made(task, app, consumer)
    app.latchwork.handlers["t.t"](message, None, message.done, message.done, [told.append])

    for request in told:   # its places and its tray are lent
        for attempt in request.attempts:
            attempt.close()
        if count > 1:
            TRAYS.put(request.tray_number, needed=bool)

    assert [] == limited
    assert [[claim.id for claim in message.claims]] == [[attempt.claim.id for attempt in request.attempts] for request in told]
    assert told == consumer.handled
    assert not consumer.disable_rate_limits   # of ordinary tasks, whose handlers are made by the same consumer


def test_a_request_has_what_ours_adds_to(app, task):
    message = Message(rows(1))
    made = worker_request.Request(message, app=app, task=task, headers=message.headers, decoded=True, body=message.payload)

    assert (None, None, False, False) == (made.time_start, made.worker_pid, made._already_cancelled, made._already_revoked)
    assert dict is type(made._request_dict)
    assert (message.claims[0].timeout_seconds, None) == tuple(made.time_limits)
    names = ("on_failure", "on_timeout", "on_accepted", "terminate", "_announce_revoked", "revoked")
    assert [] == [name for name in names if not callable(getattr(made, name, None))]
    assert ["reason", "terminated", "signum", "expired"] == list(inspect.signature(made._announce_revoked).parameters)
    overridden = {name for name in vars(JobRequest) if callable(getattr(worker_request.Request, name, None)) and not name.startswith("__")}
    assert {"execute_using_pool", "on_success", "on_failure", "on_timeout", "_announce_revoked"} == overridden


def test_the_state_says_whether_the_worker_is_to_stop():
    assert (None, None) == (state.should_stop, state.should_terminate)


# What runs in the pool.


def test_localized_holds_the_tasks_the_content_types_and_the_name(app, task):
    trace.setup_worker_optimizations(app, "h@test")
    try:
        tasks, _, hostname = trace._localized
    finally:
        trace.reset_worker_optimizations(app)

    assert (task, "h@test") == (tasks["t.t"], hostname)


@pytest.mark.parametrize(("error", "failed"), [
    (None, False), (ValueError("x"), True), (MemoryError(), True),
    (exceptions.Ignore(), True), (exceptions.Reject("x"), True), (exceptions.Retry("x"), True),
])
def test_a_trace_returns_value_failure_seconds_and_text(app, error, failed):
    @app.task(name="t.traced", shared=False)
    def traced():
        if error:
            raise error

    value, info, seconds, text = trace.build_tracer("t.traced", traced, app=app)("id", (), {}, {"delivery_info": {}})

    assert failed == bool(info)
    assert (ExceptionInfo if failed else type(None)) is type(value)
    assert (not failed) == isinstance(text, str)
    assert failed or seconds >= 0


@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt()])
def test_a_trace_lets_the_end_of_the_process_through(app, error):
    @app.task(name="t.traced", shared=False)
    def traced():
        raise error

    with pytest.raises(type(error)):
        trace.build_tracer("t.traced", traced, app=app)("id", (), {}, {"delivery_info": {}})


def test_the_request_of_the_stack_is_the_one_that_the_tracer_was_given(app):
    seen = []

    @app.task(name="t.traced", bind=True, shared=False)
    def traced(self):
        seen.append((self.request.job, self.request.report))

    report = []
    trace.build_tracer("t.traced", traced, app=app)("id", (), {}, {"job": "work", "report": report, "delivery_info": {}})

    assert "work" == seen[0][0]
    assert report is seen[0][1]


def test_fast_trace_task_has_the_signature_of_ours():
    theirs = list(inspect.signature(trace.fast_trace_task).parameters)[:3]
    ours = list(inspect.signature(poolside.execute).parameters)[:3]

    assert (3, 3) == (len(theirs), len(ours))
    assert "request" == theirs[2] == ours[2]


# The consumer and its loop.


def test_a_loop_beside_celerys_knows_the_pool_the_timers_and_what_other_threads_ask_for():
    """A worker works on in one while its broker is away."""
    celerys = Hub()
    before = loops._timer_entries(celerys.timer)
    beside, called = Hub(timer=celerys.timer), []
    beside.call_repeatedly(3600, called.append, "timer")
    added = loops._timer_entries(celerys.timer) - before
    celerys.call_soon(called.append, "asked")
    [item() for item in celerys._pop_ready()]
    loops._cancel_timer_entries(celerys.timer, added)

    assert (1, ["asked"], set()) == (len(added), called, {entry for entry in added if not entry.canceled})
    assert hasattr(celerys, "_waker")
    assert callable(celerys._on_wakeup)
    assert "consolidate_callback" in asynpool.AsynPool._create_write_handlers.__code__.co_names
    assert "on_poll_start" in asynpool.AsynPool.register_with_event_loop.__code__.co_names


def test_a_worker_makes_its_consumer_by_a_setting_and_reaches_its_broker_through_a_method_of_it():
    assert "worker_consumer" in WorkController.setup_defaults.__code__.co_consts
    assert ["self", "conn"] == list(inspect.signature(Consumer.ensure_connected).parameters)
    assert "ensure_connected" in Consumer.connection_for_read.__code__.co_names


def test_a_hub_is_woken_by_another_thread():
    hub = Hub()
    hub.timer.call_after(3600, lambda: None)   # else it wakes each second by itself
    called = threading.Event()
    loop = hub.create_loop()
    done = threading.Event()

    def turn():
        hub._loop_thread = threading.get_ident()
        while not done.is_set():
            next(loop)

    turning = threading.Thread(target=turn, daemon=True)
    turning.start()
    answered = []
    for _ in range(3):   # the first may come before it sleeps
        called.clear()
        hub.call_soon(called.set)
        answered.append(called.wait(5))
    done.set()
    hub.call_soon(lambda: None)
    turning.join(30)
    hub.close()

    assert [True] * 3 == answered


def test_events_are_sent_when_the_buffer_is_full_and_not_before(app):
    broker = bell.connection(ours)
    sent = []
    dispatcher = app.events.Dispatcher(broker, hostname="h@test", buffer_group={"task"}, buffer_limit=3)
    dispatcher.on_send_buffered = None
    with patch.object(dispatcher, "_publish", lambda events, *_, **__: sent.append(len(events))):
        for _ in range(2):
            dispatcher.send("task-received", uuid="x")
        before = list(sent)
        dispatcher.send("task-received", uuid="x")
        full = list(sent)
        dispatcher.send("task-received", uuid="x")
        dispatcher.flush()
    bell.close(broker)

    assert ([], [3], [3, 1]) == (before, full, sent)


def test_the_queues_that_a_worker_consumes_from_stand_here(app):
    app.conf.task_queues = [Queue("a"), Queue("b")]
    everything = set(app.amqp.queues.consume_from)
    app.amqp.queues.select(["b"])

    assert {"a", "b"} == everything
    assert {"b"} == set(app.amqp.queues.consume_from)


def test_a_consumer_has_what_the_bookkeeper_calls():
    assert ["queue", "exchange", "exchange_type", "routing_key"] == list(inspect.signature(Consumer.add_task_queue).parameters)[1:5]
    assert "on_task_request" in inspect.signature(Consumer.__init__).parameters
    assert isinstance(bootsteps.RUN, int)
    assert callable(KombuMessage.ack_log_error)


def test_celeryd_init_is_given_the_options_and_lets_only_the_end_of_the_process_through():
    got = []

    def note(options, **_):
        got.append(set(options))

    def refuse(**_):
        raise SystemExit("no")

    def fail(**_):
        raise ValueError("swallowed")

    options = {"queues": None, "pool_cls": "prefork"}
    for receiver in (note, fail):
        signals.celeryd_init.connect(receiver, weak=False, sender="contract")
    try:
        signals.celeryd_init.send(sender="contract", instance=None, conf=None, options=options)
        signals.celeryd_init.connect(refuse, weak=False, sender="contract")
        with pytest.raises(SystemExit, match="no"):
            signals.celeryd_init.send(sender="contract", instance=None, conf=None, options=options)
    finally:
        for receiver in (note, fail, refuse):
            signals.celeryd_init.disconnect(receiver, sender="contract")

    assert {"queues", "pool_cls"} == got[0]


def test_connections_are_kept_between_tasks_by_our_setting(db):
    kept, closed = DjangoWorkerFixup(ours), DjangoWorkerFixup(Celery("other", set_as_current=False))
    connection.ensure_connection()
    kept.close_database()
    still_open = connection.connection is not None
    closed.close_database()

    assert still_open
    assert connection.connection is None


def test_kombu_keeps_each_priority_in_a_list_of_its_own_and_tickets_have_the_one_with_the_queues_name():
    broker = bell.connection(ours)
    channel = broker.default_channel
    keys = [channel._q_for_pri("q", priority) for priority in (0, 3, 6, 9)]
    bell.close(broker)

    assert "q" == keys[0]
    assert 4 == len(set(keys))
