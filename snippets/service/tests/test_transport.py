from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty
from types import SimpleNamespace
from typing import Any

import pytest
from kombu.transport import virtual
from redis.exceptions import ConnectionError as RedisConnectionError

from assistant import transport
from assistant.transport import Channel, QoS, Transport


@contextmanager
def no_connection(client: Any = None) -> Iterator[Any]:
    raise RedisConnectionError("Connection refused")
    yield


def nothing_came(fileno: int) -> None:
    raise Empty


@pytest.fixture
def full() -> QoS:
    """A worker with two processes and two messages, and a broker that is away."""
    qos = QoS(SimpleNamespace(conn_or_acquire=no_connection, do_restore=False), prefetch_count=2)
    for tag in ("one", "two"):
        virtual.QoS.append(qos, SimpleNamespace(), tag)
    assert not qos.can_consume()
    return qos


@pytest.mark.parametrize("settle", ["ack", "reject"])
def test_what_cannot_be_acknowledged_makes_room_all_the_same(
    full: QoS, settle: str, caplog: pytest.LogCaptureFixture
) -> None:
    getattr(full, settle)("one")
    assert full.can_consume()
    (line,) = caplog.messages
    assert line.endswith("will come again: Connection refused")


def test_celery_uses_it() -> None:
    assert Transport.Channel is Channel
    assert Channel.QoS is QoS


def test_answers_and_attempts_are_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    signs: list[str] = []
    monkeypatch.setattr(transport, "on_poll", [lambda: signs.append("poll")])
    monkeypatch.setattr(transport, "on_connect", [lambda: signs.append("connect")])
    link = Transport(SimpleNamespace(transport_options={}))
    monkeypatch.setattr(link, "create_channel", lambda connection: SimpleNamespace())
    monkeypatch.setattr(link, "cycle", SimpleNamespace(on_readable=nothing_came))
    with pytest.raises(Empty):
        link.on_readable(7)
    assert signs == ["poll"]
    link.establish_connection()
    assert signs == ["poll", "connect"]
