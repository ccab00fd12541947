"""Rings go over one connection that is kept: the usual one as a packed command, and whatever befell it, once more anew."""

import os

import pytest
import redis
from celery import Celery, current_app

from apps.jobs.publishing import bell as bells
from apps.jobs.publishing.bell import Bell, Wire
from tests.jobs.publishing.test_ticket import shape
from tests.support import brokers
from tests.support.brokers import tickets


@pytest.fixture
def bell(broker):
    """A bell that has rung before, so that the broker knows the script."""
    made = Bell(current_app)
    made.put("before", count=1, most=20)
    yield made
    made.close()


@pytest.fixture
def said(monkeypatch):
    """The first word of each command that was sent."""
    words, real = [], Wire._said

    def noted(wire, command):
        words.append(b"".join(command).split(b"\r\n", 3)[2].decode())
        return real(wire, command)

    monkeypatch.setattr(Wire, "_said", noted)
    return words


def put(bell, queue="mail", *, count=1, most=20):
    return bell.put(queue, count=count, most=most)


def test_one_ticket_is_put_as_several_are(broker, bell, said):
    assert [1, 2] == [put(bell), put(bell, count=2)]
    assert ["EVALSHA", "EVALSHA"] == said

    [first, second, third] = tickets(broker, "mail")
    assert shape(first) == shape(second) == shape(third)
    for each in (first, second, third):
        own = each["headers"]["id"], each["headers"]["root_id"], each["properties"]["correlation_id"], each["properties"]["delivery_tag"]
        assert 1 == len(set(own))


def test_each_ticket_has_an_id_of_its_own(broker, bell):
    for count in (1, 1, 2, 1):
        put(bell, count=count)

    assert 5 == len({each["properties"]["delivery_tag"] for each in tickets(broker, "mail")})


def test_a_line_is_never_filled_beyond_its_bound(broker, bell):
    assert [1, 1, 0] == [put(bell, most=2) for _ in range(3)]
    assert 1 == put(bell, most=3)
    assert 0 == put(bell, count=5, most=3)
    assert 3 == broker.llen("mail")


def test_queues_and_bounds_beyond_what_is_kept_are_packed_anew(broker, bell, monkeypatch):
    monkeypatch.setattr(bells, "MOST_COMMANDS", 2)
    for _ in range(2):
        for number in range(5):
            put(bell, f"queue-{number}")

    assert 2 >= len(bell._wire._packed)
    assert [2] * 5 == [broker.llen(f"queue-{number}") for number in range(5)]


@pytest.mark.parametrize("count", [1, 3])
def test_a_broker_that_forgot_the_script_is_told_it_again(broker, bell, said, count):
    broker.script_flush()

    assert [count, count] == [put(bell, count=count) for _ in range(2)]
    assert ["EVALSHA", "EVAL", "EVALSHA"] == said
    assert 2 * count == broker.llen("mail")


@pytest.mark.parametrize("count", [1, 3])
def test_a_connection_that_was_closed_meanwhile_is_opened_again(broker, bell, said, count):
    broker.client_kill_filter(_type="normal", skipme=True)

    assert [count, count] == [put(bell, count=count) for _ in range(2)]
    assert ["EVALSHA", "EVAL", "EVALSHA"] == said
    assert 2 * count == broker.llen("mail")


def test_where_the_broker_is_is_asked_anew_when_it_refuses(broker, bell, monkeypatch):
    """As a server does that is the master no longer: a Sentinel is asked in `connect`, when nothing is open."""
    asked, connection = [], bell._wire._connection
    real = connection.read_response

    def refused_once(*args, **options):
        answer = real(*args, **options)
        if not asked:
            raise redis.exceptions.ReadOnlyError("You can't write against a read only replica.")
        return answer

    monkeypatch.setattr(connection, "read_response", refused_once)
    connecting = connection.connect
    monkeypatch.setattr(connection, "connect", lambda: (asked.append(1) if not connection.is_connected else None, connecting())[1])

    assert 1 == put(bell)
    assert [1] == asked


def test_all_rings_go_over_one_connection(broker):
    app = Celery("narrow", broker=os.environ["BROKER_URL"], set_as_current=False)
    app.conf.broker_transport_options = {"max_connections": 1}
    bell = Bell(app)
    assert [1, 1, 3] == [put(bell), put(bell), put(bell, count=3)]
    bell.close()
    app.close()

    assert 5 == broker.llen("mail")


def test_a_broker_that_does_not_answer_is_not_asked_a_second_time(bell, said):
    with brokers.silent() as address:
        connection = bell._wire._connection
        connection.disconnect()
        connection.port = int(address.rpartition(":")[2].partition("/")[0])
        with pytest.raises(redis.TimeoutError):
            put(bell)

    assert ["EVALSHA"] == said
    bell.close()
    assert 1 == put(bell)
