"""A ticket as the broker holds it, and how it gets there unless enough stand in the line.

On Redis and Valkey one script looks at the line and adds what lacks, in kombu's wire format (a contract test compares
it with kombu's own). Tickets have priority 0 and ordinary tasks 5 (`task_default_priority`), so the list that bears
the queue's own name holds tickets alone, and its length is theirs. On other brokers kombu's producer sends them.
"""

import base64
import functools
import hashlib
import json
import uuid
from typing import Any

from celery import Celery
from kombu import Connection

TASK = "jobs.fetch"
_UNNAMED = "@" * 36   # in place of an id, and as long: no queue's name has such a character

SCRIPT = """
local missing = tonumber(ARGV[1]) - redis.call('LLEN', KEYS[1])
for i = 2, math.min(#ARGV, missing + 1) do redis.call('LPUSH', KEYS[1], ARGV[i]) end
return math.max(0, math.min(#ARGV - 1, missing))"""
"""Puts messages in a line, so that so many stand there; the number that went in."""
SCRIPT_SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


@functools.lru_cache(1024)
def unnamed(queue: str) -> str:
    """Return a ticket for a queue as kombu's Redis transport stores it, its id left open."""
    headers = {
        "lang": "py", "task": TASK, "id": _UNNAMED, "root_id": _UNNAMED, "parent_id": None, "group": None, "argsrepr": "",
        "kwargsrepr": "", "origin": "latchwork", "retries": 0, "eta": None, "expires": None,
        "timelimit": [None, None], "ignore_result": True,
    }
    body = json.dumps([[], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    return json.dumps({
        "body": base64.b64encode(body.encode()).decode(), "content-encoding": "utf-8",
        "content-type": "application/json", "headers": headers,
        "properties": {
            "correlation_id": _UNNAMED, "reply_to": "", "delivery_mode": 2, "priority": 0, "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": queue}, "delivery_tag": _UNNAMED,
        },
    })


def message(queue: str) -> str:
    """Return a new ticket for a queue, as kombu's Redis transport stores it."""
    return unnamed(queue).replace(_UNNAMED, str(uuid.uuid4()))


def named(packed: bytes) -> bytes:
    """Return a packed command with a new ticket's id in it."""
    return packed.replace(_UNNAMED.encode(), str(uuid.uuid4()).encode())


def key(channel: Any, queue: str) -> str:
    """Return the key of the list in which a queue's tickets stand, on a channel of kombu's Redis transport."""
    return f"{channel.global_keyprefix}{channel._q_for_pri(queue, 0)}"  # noqa: SLF001  pinned by a contract test


def send(app: Celery, connection: Connection, queue: str, *, count: int) -> int:
    """Send tickets by kombu's producer, on a broker that has no script; return their number."""
    producer = app.amqp.Producer(connection.default_channel, auto_declare=False)   # not the app's pool: its waits are not bounded by us
    for _ in range(count):
        headers = json.loads(message(queue))["headers"]
        producer.publish(
            [[], {}, {}], exchange="", routing_key=queue, headers=headers, serializer="json", delivery_mode=2,
            priority=0, correlation_id=headers["id"], retry=False,
        )
    return count
