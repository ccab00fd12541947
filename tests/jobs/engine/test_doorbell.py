"""What a worker writes down at the broker: nothing of a ticket, everything of an ordinary task."""

import pytest
from kombu import Consumer, Queue
from kombu.transport import redis

from apps.jobs.engine import doorbell
from apps.jobs.publishing import bell, ticket
from config.celery import app

QUEUE = "doorbell"


@pytest.fixture
def channel(monkeypatch):
    """A channel as a worker's is; its broker's database is emptied after."""
    monkeypatch.setattr(redis.Channel, "QoS", doorbell.QoS)
    connection = bell.connection(app)
    channel = connection.channel()
    yield channel
    channel.queue_purge(QUEUE)
    connection.release()


def put(channel, task):
    producer = app.amqp.Producer(channel, auto_declare=False)
    producer.publish([[], {}, {}], exchange="", routing_key=QUEUE, headers={"task": task, "id": "x"}, serializer="json")


def taken(channel):
    """Take one message and do not acknowledge it."""
    found = []
    with Consumer(channel, [Queue(QUEUE)], on_message=found.append, prefetch_count=1):
        channel.connection.client.drain_events(timeout=5)
    return found[0]


def receipts(channel):
    return [
        channel.client.hlen(channel.unacked_key), channel.client.zcard(channel.unacked_index_key), len(channel.qos._delivered),
    ]


def test_channels_ask_for_the_class_that_is_replaced(monkeypatch):
    monkeypatch.setattr(redis.Channel, "QoS", doorbell.QoS)
    connection = bell.connection(app)

    assert doorbell.QoS is type(connection.channel().qos)
    connection.release()


def test_a_ticket_leaves_no_receipt_and_counts_towards_what_may_be_taken(channel):
    put(channel, ticket.TASK)
    message = taken(channel)
    before, may_take = receipts(channel), channel.qos.can_consume()
    message.ack()

    assert ([0, 0, 1], False) == (before, may_take)
    assert channel.qos.can_consume()


def test_an_ordinary_task_has_its_receipt_until_it_is_acknowledged(channel):
    put(channel, "plain.task")
    message = taken(channel)
    before = receipts(channel)
    message.ack()

    assert [1, 1, 1] == before
    assert [0, 0] == receipts(channel)[:2]


@pytest.mark.parametrize(("task", "left"), [(ticket.TASK, 0), ("plain.task", 1)])
def test_what_was_not_acknowledged_when_the_channel_closes_comes_back_unless_it_is_a_ticket(channel, task, left):
    put(channel, task)
    taken(channel)
    channel.qos.restore_unacked()

    assert left == channel._size(QUEUE)
    assert [0, 0] == receipts(channel)[:2]
