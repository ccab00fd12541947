"""The usual ring is one packed command: what it puts is any ticket, and where it cannot go the long way is taken."""

import os

import pytest
import redis
from celery import Celery, current_app

from apps.jobs.publishing import ticket
from apps.jobs.publishing.bell import Bell
from tests.jobs.publishing.test_ticket import shape
from tests.support import brokers
from tests.support.brokers import tickets


@pytest.fixture
def bell(broker):
    """A bell that has rung before, so that it knows the short way."""
    made = Bell(current_app)
    made.put("before", count=1, most=20)
    yield made
    made.close()


@pytest.fixture
def long_way(monkeypatch):
    """The queues whose tickets went the long way."""
    seen, real = [], ticket.put

    def noted(app, connection, queue, **options):
        seen.append(queue)
        return real(app, connection, queue, **options)

    monkeypatch.setattr(ticket, "put", noted)
    return seen


def put(bell, queue="mail", *, count=1, most=20):
    return bell.put(queue, count=count, most=most)


def test_the_short_way_puts_what_the_long_one_puts(broker, bell, long_way):
    assert 1 == put(bell)
    assert [] == long_way
    assert 2 == put(bell, count=2)
    assert ["mail"] == long_way

    [first, second, third] = tickets(broker, "mail")
    assert shape(second) == shape(first)
    ids = {each["headers"]["id"] for each in (first, second, third)}
    assert 3 == len(ids)
    assert [(each["headers"]["id"],) * 3 for each in (first, second)] == [
        (each["headers"]["root_id"], each["properties"]["correlation_id"], each["properties"]["delivery_tag"])
        for each in (first, second)
    ]


def test_each_ticket_of_the_short_way_has_an_id_of_its_own(broker, bell, long_way):
    for _ in range(5):
        put(bell)

    assert [] == long_way
    assert 5 == len({each["properties"]["delivery_tag"] for each in tickets(broker, "mail")})


def test_a_line_is_never_filled_beyond_its_bound(broker, bell, long_way):
    assert [1, 1, 0] == [put(bell, most=2) for _ in range(3)]
    assert 1 == put(bell, most=3)
    assert [] == long_way
    assert 3 == broker.llen("mail")


def test_queues_and_bounds_beyond_what_is_kept_are_packed_anew(broker, bell, long_way, monkeypatch):
    monkeypatch.setattr("apps.jobs.publishing.bell.MOST_COMMANDS", 2)
    for number in range(5):
        put(bell, f"queue-{number}")

    assert [] == long_way
    assert [1] * 5 == [broker.llen(f"queue-{number}") for number in range(5)]


def test_a_broker_that_forgot_the_script_is_told_it_again(broker, bell, long_way):
    broker.script_flush()

    assert [1, 1] == [put(bell), put(bell)]
    assert ["mail"] == long_way
    assert 2 == broker.llen("mail")


def test_a_connection_that_was_closed_meanwhile_is_opened_again(broker, bell, long_way):
    broker.client_kill_filter(_type="normal", skipme=True)

    assert [1, 1] == [put(bell), put(bell)]
    assert ["mail"] == long_way
    assert 2 == broker.llen("mail")


def test_a_key_prefix_is_used_on_both_ways(broker, long_way):
    app = Celery("prefixed", broker=os.environ["BROKER_URL"], set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": "site-a:"}
    bell = Bell(app)
    assert [1, 1] == [put(bell), put(bell)]
    bell.close()
    app.close()

    assert ["mail"] == long_way
    assert 2 == broker.llen("site-a:mail")


def test_where_one_connection_is_all_that_there_may_be_each_ring_takes_it_from_the_pool(broker, long_way):
    app = Celery("narrow", broker=os.environ["BROKER_URL"], set_as_current=False)
    app.conf.broker_transport_options = {"max_connections": 1}
    bell = Bell(app)
    assert [1, 1, 3] == [put(bell), put(bell), put(bell, count=3)]
    bell.close()
    app.close()

    assert 3 == len(long_way)


def test_other_brokers_are_rung_by_kombu_each_time(long_way):
    app = Celery("memory", broker="memory://", set_as_current=False)
    bell = Bell(app)
    assert [1, 1] == [put(bell), put(bell)]
    bell.close()
    app.close()

    assert ["mail", "mail"] == long_way


def test_a_broker_that_does_not_answer_is_not_asked_a_second_time(bell, long_way):
    with brokers.silent() as address:
        bell._wire.disconnect()
        bell._wire.port = int(address.rpartition(":")[2].partition("/")[0])
        with pytest.raises(redis.TimeoutError):
            put(bell)

    assert [] == long_way
    bell.close()
    assert 1 == put(bell)
