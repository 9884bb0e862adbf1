"""kombu's connection to Redis, with one fault mended, and with signs of life."""

import logging
from collections.abc import Callable

from kombu.transport import redis, virtual
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

# Called when Redis has answered a worker that asked for messages. It asks every second while it has a free process.
on_poll: list[Callable[[], None]] = []
# Called before each attempt to connect.
on_connect: list[Callable[[], None]] = []


class QoS(redis.QoS):
    """Counts the messages that are under way: a worker takes no more of them than it has processes.

    While Redis is away, a message cannot be acknowledged. kombu goes on counting it for ever: after as many of them as
    there are processes, the worker takes nothing any more, and never looks at its dead connection again. Here it is
    done with, and Redis delivers it once more after the visibility timeout.
    """

    def ack(self, delivery_tag: str) -> None:
        try:
            super().ack(delivery_tag)
        except (RedisError, OSError) as error:
            self._give_up(delivery_tag, error)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        try:
            super().reject(delivery_tag, requeue)
        except (RedisError, OSError) as error:
            self._give_up(delivery_tag, error)

    def _give_up(self, delivery_tag: str, error: Exception) -> None:
        logger.warning("broker away, a message that was done with will come again: %s", error)
        virtual.QoS.ack(self, delivery_tag)


class Channel(redis.Channel):
    QoS = QoS


class Transport(redis.Transport):
    Channel = Channel

    def on_readable(self, fileno: int) -> None:
        for call in on_poll:
            call()
        super().on_readable(fileno)

    def establish_connection(self) -> "Transport":
        for call in on_connect:
            call()
        return super().establish_connection()
