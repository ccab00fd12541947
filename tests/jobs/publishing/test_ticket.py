"""Our ticket against kombu's own message: what the script writes must be what any Celery worker reads."""

import base64
import json
import os
import uuid

import pytest
from celery import Celery, current_app
from kombu import Connection, Queue

from apps.jobs.publishing import bell, ticket
from tests.support.brokers import tickets

OWN = ("id", "root_id", "correlation_id", "delivery_tag", "reply_to", "origin", "argsrepr", "kwargsrepr", "ignore_result")


@pytest.fixture
def connection(broker):
    opened = bell.connection(current_app)
    yield opened
    bell.close(opened)


def put(*, queue="mail", count=1, most=20):
    made = bell.Bell(current_app)
    try:
        return made.put(queue, count=count, most=most)
    finally:
        made.close()


def nothing():
    """Do what an ordinary task may do."""


def shape(message):
    """Return a message with its body read, and without what differs from one to the next or is only shown."""

    def plain(value):
        if isinstance(value, dict):
            return {key: "its own" if key in OWN else plain(each) for key, each in value.items()}
        return value

    body = json.loads(base64.b64decode(message["body"]))
    return {**plain(message), "body": body}


def test_a_ticket_is_what_celery_itself_would_send(broker):
    """Both are sent for real; stamps, replaced tasks and the like that Celery adds when they are used are absent in both."""
    put(queue="ours")
    theirs = Celery("theirs", broker=os.environ["BROKER_URL"], set_as_current=False)
    with theirs.connection_for_write() as other:
        theirs.send_task(ticket.TASK, queue="theirs", priority=0, connection=other)
    theirs.close()

    [ours], [kombus] = tickets(broker, "ours"), tickets(broker, "theirs")
    ours["properties"]["delivery_info"]["routing_key"] = "theirs"
    optional = {"shadow", "group_index", "replaced_task_nesting", "stamped_headers", "stamps"}
    expected = shape(kombus)
    expected["headers"] = {name: value for name, value in expected["headers"].items() if name not in optional}
    assert expected == shape(ours)
    assert [] == [name for name in optional if kombus["headers"].get(name)]


def test_the_list_of_priority_0_bears_the_queues_own_name(connection):
    channel = connection.default_channel

    assert "mail" == channel._q_for_pri("mail", 0)
    assert "mail" != channel._q_for_pri("mail", 5)


def test_an_ordinary_task_stands_in_another_list_than_the_tickets(broker, connection):
    app = Celery("ordinary", broker=os.environ["BROKER_URL"], set_as_current=False)
    app.conf.task_default_priority = current_app.conf.task_default_priority
    app.task(nothing, name="test.ordinary").apply_async(queue="mail", connection=connection)
    app.close()
    put()

    assert ["jobs.fetch"] == [each["headers"]["task"] for each in tickets(broker, "mail")]
    assert {b"mail\x06\x163", b"mail"} <= set(broker.keys("mail*"))


def test_kombus_consumer_reads_a_ticket_and_acknowledges_it(broker):
    put()
    read = []
    with Connection(os.environ["BROKER_URL"]) as other:
        queue = Queue("mail", exchange="", routing_key="mail")
        with other.Consumer(queue, accept=["json"], callbacks=[lambda body, message: read.append((body, message))]):
            other.drain_events(timeout=5)
        [(body, message)] = read
        message.ack()

    assert [[], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}] == body
    assert ("jobs.fetch", "json") == (message.headers["task"], message.content_type.removeprefix("application/"))
    assert 0 == broker.llen("mail") + broker.hlen("unacked") + broker.zcard("unacked_index")


def test_each_ticket_has_ids_of_its_own(broker):
    put(count=3)

    seen = tickets(broker, "mail")
    assert 3 == len({each["properties"]["delivery_tag"] for each in seen})
    assert 3 == len({each["headers"]["id"] for each in seen})
    assert all(each["headers"]["id"] == each["headers"]["root_id"] == each["properties"]["correlation_id"] for each in seen)
    assert all(uuid.UUID(each["headers"]["id"]) for each in seen)


@pytest.mark.parametrize(("standing", "count", "expected"), [(0, 1, 1), (0, 50, 20), (19, 5, 1), (20, 5, 0), (30, 5, 0)])
def test_a_line_is_filled_up_to_its_bound_and_never_beyond(standing, count, expected, broker):
    put(count=standing, most=100)

    assert expected == put(count=count, most=20)
    assert max(standing, min(20, standing + count)) == broker.llen("mail")


def test_the_lines_of_two_queues_do_not_count_for_each_other(broker):
    put(queue="full", count=20)

    assert 1 == put(queue="empty")


def test_the_script_is_loaded_anew_after_the_broker_forgot_it(broker):
    put()
    broker.script_flush()

    assert 1 == put()


def test_a_key_prefix_is_used_as_kombu_uses_it(broker):
    app = Celery("prefixed", broker=os.environ["BROKER_URL"], set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": "site-a:"}
    made, opened = bell.Bell(app), bell.connection(app)
    made.put("mail", count=1, most=20)
    made.put("mail", count=2, most=20)
    app.send_task(ticket.TASK, queue="mail", priority=0, connection=opened)   # as kombu does it
    made.close()
    bell.close(opened)
    app.close()

    assert 4 == broker.llen("site-a:mail")


def test_a_broker_that_has_no_script_gets_tickets_from_kombus_producer():
    app = Celery("memory", broker="memory://", set_as_current=False)
    made = bell.Bell(app)

    assert 3 == made.put("mail", count=3, most=20)
    with app.connection_for_read() as reading:
        messages = [reading.default_channel.basic_get("mail", no_ack=True) for _ in range(4)]
    made.close()
    app.close()

    assert ["jobs.fetch"] * 3 == [each.headers["task"] for each in messages if each]
