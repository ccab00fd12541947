"""What a turn of Celery's loop leaves out while every slot works, and that Celery and kombu still call it so."""

from collections import deque
from types import CodeType, SimpleNamespace

from celery.concurrency.asynpool import AsynPool
from kombu.transport import redis

from apps.jobs.engine import turns


def nested(function, name):
    return [
        (function.__module__, const.co_qualname)
        for const in function.__code__.co_consts if isinstance(const, CodeType) and const.co_name == name
    ]


def named(name, calls):
    def callback():
        calls.append(name)

    callback.__module__, callback.__qualname__ = name
    return callback


def loop(*names, outbound=()):
    calls = []
    hub = SimpleNamespace(on_tick={named(name, calls) for name in names}, consolidate=set())
    pool = SimpleNamespace(_pool=SimpleNamespace(outbound_buffer=deque(outbound)))
    return hub, pool, calls


def turn(hub):
    for callback in set(hub.on_tick):
        callback()


def test_kombu_and_celery_register_what_is_gated_under_these_names():
    assert [turns.BROKER] == nested(redis.Transport.register_with_event_loop, "on_poll_start")
    assert [turns.PIPES] == nested(AsynPool._create_write_handlers, "on_poll_start")


def test_the_pool_has_what_a_request_is_written_with():
    names = AsynPool._create_write_handlers.__code__.co_names

    assert set() == {"_all_inqueues", "_busy_workers", "_active_writes", "outbound_buffer", "consolidate_callback"} - set(names)


def test_the_broker_is_looked_after_at_each_turn_with_a_free_slot_and_seldom_without_one():
    full = True
    hub, pool, calls = loop(turns.BROKER)
    turns.gate(hub, pool, full=lambda: full)

    for _ in range(5):
        turn(hub)
    seldom = len(calls)
    full = False
    for _ in range(5):
        turn(hub)

    assert (1, 6) == (seldom, len(calls))


def test_full_slots_do_not_keep_the_broker_from_being_looked_after_for_long(monkeypatch):
    moments = iter([100.0, 100.001, 100.0 + 2 * turns.BROKER_SECONDS])
    monkeypatch.setattr(turns, "time", SimpleNamespace(monotonic=lambda: next(moments)))
    hub, pool, calls = loop(turns.BROKER)
    turns.gate(hub, pool, full=lambda: True)

    for _ in range(3):
        turn(hub)

    assert 2 == len(calls)


def test_pipes_are_looked_after_while_something_waits_or_is_still_watched():
    hub, pool, calls = loop(turns.PIPES)
    turns.gate(hub, pool, full=lambda: True)

    turn(hub)
    idle = len(calls)
    pool._pool.outbound_buffer.append("a request")
    turn(hub)
    pool._pool.outbound_buffer.clear()
    hub.consolidate.add(7)
    turn(hub)

    assert (0, 2) == (idle, len(calls))


def test_other_callbacks_are_left_alone_and_a_gate_is_put_once():
    hub, pool, calls = loop(("somebody", "else.on_poll_start"), turns.PIPES)

    turns.gate(hub, pool, full=lambda: True)
    first = set(hub.on_tick)
    turns.gate(hub, pool, full=lambda: True)
    turn(hub)

    assert first == hub.on_tick
    assert [("somebody", "else.on_poll_start")] == calls


def test_a_request_is_written_at_once_to_children_that_are_idle():
    written = []
    hub = SimpleNamespace(consolidate_callback=written.append)
    pool = SimpleNamespace(_pool=SimpleNamespace(
        outbound_buffer=deque(["a request"]), _all_inqueues={1, 2, 3}, _busy_workers={1}, _active_writes={2},
    ))

    turns.write(hub, pool)
    pool._pool.outbound_buffer.clear()
    turns.write(hub, pool)

    assert [[3]] == written


def test_whoever_removes_its_callback_from_the_loop_finds_it_under_the_gate():
    """As kombu does with a lost connection's: it would be called for ever, and one more after each reconnect."""
    hub, pool, _ = loop(turns.BROKER, turns.PIPES)
    callbacks = set(hub.on_tick)
    turns.gate(hub, pool, full=lambda: False)
    for callback in callbacks:
        hub.on_tick.remove(callback)

    assert set() == hub.on_tick
