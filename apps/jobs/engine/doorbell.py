"""Tickets are taken from a Redis broker without a receipt: a lost one costs a look, and a receipt two round trips.

kombu writes down each message that it delivers, and strikes it out when it is acknowledged, so that it can be delivered
again when its taker dies. A ticket says nothing that the rows do not say, and when its taker dies the dispatcher looks.
Ordinary tasks keep their receipts.
"""

from typing import Any

from kombu.transport import redis, virtual

from apps.jobs.publishing import ticket


class QoS(redis.QoS):
    """kombu's notes of what is delivered and not acknowledged; of a ticket only this process's own, which limit its take."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._tickets: set[str] = set()

    def append(self, message: Any, delivery_tag: str) -> None:
        if message.headers.get("task") == ticket.TASK:
            self._tickets.add(delivery_tag)
            virtual.QoS.append(self, message, delivery_tag)
        else:
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        if delivery_tag in self._tickets:
            self._tickets.discard(delivery_tag)
            virtual.QoS.ack(self, delivery_tag)
        else:
            super().ack(delivery_tag)


def install() -> None:
    """Let this process's consumers take tickets so; channels look it up when they are made."""
    redis.Channel.QoS = QoS
