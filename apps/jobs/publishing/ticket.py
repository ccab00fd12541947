"""A ticket as the broker holds it, and how it gets there unless enough stand in the line.

On Redis and Valkey one script looks at the line and adds what lacks, in kombu's wire format (a contract test compares
it with kombu's own). Tickets have priority 0 and ordinary tasks 5 (`task_default_priority`), so the list that bears
the queue's own name holds tickets alone, and its length is theirs. On other brokers kombu's producer sends them.
"""

import base64
import functools
import json
import uuid
from typing import Any

from celery import Celery
from kombu import Connection

TASK = "jobs.fetch"
_UNNAMED = "@" * 36   # in place of an id, and as long: no queue's name has such a character

_RING = """
local missing = tonumber(ARGV[1]) - redis.call('LLEN', KEYS[1])
for i = 2, math.min(#ARGV, missing + 1) do redis.call('LPUSH', KEYS[1], ARGV[i]) end
return math.max(0, math.min(#ARGV - 1, missing))"""


@functools.lru_cache(1024)
def _template(queue: str) -> str:
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
    return _template(queue).replace(_UNNAMED, str(uuid.uuid4()))


def command(connection: Connection, queue: str, *, most: int) -> tuple[Any, ...]:
    """Return what Redis is told to put one ticket in a queue's line, the id left open, once it knows the script."""
    channel: Any = connection.default_channel
    key = f"{channel.global_keyprefix}{channel._q_for_pri(queue, 0)}"  # noqa: SLF001  the key's form is pinned by a contract test
    return "EVALSHA", _script(channel).sha, 1, key, most, _template(queue)


def named(packed: bytes) -> bytes:
    """Return a packed command with a new ticket's id in it."""
    return packed.replace(_UNNAMED.encode(), str(uuid.uuid4()).encode())


def pool(connection: Connection) -> Any:
    """Return the pool of redis-py's connections behind a broker connection; None on other brokers."""
    channel: Any = connection.default_channel
    return channel.client.connection_pool if hasattr(channel, "_q_for_pri") else None


def put(app: Celery, connection: Connection, queue: str, *, count: int, most: int) -> int:
    """Put up to `count` tickets in a queue's line, so that `most` stand there; the number that went in.

    Raise the connection's own errors; on brokers without a script the line's length is not asked.
    """
    channel: Any = connection.default_channel
    if hasattr(channel, "_q_for_pri"):
        key = channel._q_for_pri(queue, 0)  # noqa: SLF001  the key's form is pinned by a contract test
        script = _script(channel)   # kombu's client adds its `global_keyprefix` to the key itself
        return int(script(keys=[key], args=[most, *(message(queue) for _ in range(count))]))
    producer = app.amqp.Producer(channel, auto_declare=False)   # not the app's pool: its waits are not bounded by us
    for _ in range(count):
        headers = json.loads(message(queue))["headers"]
        producer.publish(
            [[], {}, {}], exchange="", routing_key=queue, headers=headers, serializer="json", delivery_mode=2,
            priority=0, correlation_id=headers["id"], retry=False,
        )
    return count


def _script(channel: Any) -> Any:
    return channel.client.register_script(_RING)
