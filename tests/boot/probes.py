"""What a stack does as a whole: logs, replicas, the database away and back. Each probe raises AssertionError."""

import json
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from handbook.stacks import Boot

from .client import Client
from .containers import Container, outputs
from .edge import line_of, live_and_ready_are_green


def is_json_line_by_line(name: str, text: str) -> list[dict[str, Any]]:
    """Return the objects of a log in which every line is one, with a time."""
    lines = []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            raise AssertionError(f"{name}: not JSON: {line!r}") from None
        assert isinstance(lines[-1], dict), f"{name}: not an object: {line!r}"
        assert "time" in lines[-1], f"{name}: no time: {line!r}"
        assert "\ufffd" not in line, f"{name}: not UTF-8: {line!r}"
    assert lines, f"{name}: no lines"
    return lines


def database_is_missed_where_it_is_needed(client: Client, deep: Callable[[], tuple[int, dict[str, Any]]]) -> None:
    """The service stays up; what needs the database says so at once and when to ask again. `deep` asks from inside."""
    live_and_ready_are_green(client)
    started = time.monotonic()
    answer = client.get("/v1/search", params={"q": "something that nobody has asked yet"})
    assert answer.status_code == 503, answer.status_code
    assert int(answer.headers["retry-after"]) > 0
    assert time.monotonic() - started < 8, "the answer took longer than the pool and connect timeouts"
    status, state = deep()
    assert (status, state["state"]) == (503, "down"), state
    states = {name: dependency["state"] for name, dependency in state["dependencies"].items()}
    away = {"postgresql": "down", "pgvector": "down"}
    assert states == {**away, "cache": "up", "broker": "up", "provider": "not asked"}, states


def nginx_answers_for_it(client: Client) -> None:
    """With no replica there, nginx itself answers in the service's format and says when to ask again."""
    answer = client.get("/version")
    assert answer.status_code == 503, answer.status_code
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def all_is_well(client: Client, deep: Callable[[], tuple[int, dict[str, Any]]]) -> None:
    live_and_ready_are_green(client)
    answer = client.get("/v1/search", params={"q": "anything"})
    assert answer.status_code == 200, answer.status_code
    status, state = deep()
    assert (status, state["state"]) == (200, "up"), state
    for name in ("postgresql", "pgvector", "cache", "broker"):
        dependency = state["dependencies"][name]
        assert dependency["state"] == "up", name
        assert dependency["version"], name
        assert dependency["latency_ms"] >= 0, name


Logs = Callable[[str], list[dict[str, Any]]]
"""The lines that all containers of a service have written."""


def logs_of(boot: Boot) -> Logs:
    """Return what reads the log of a service, each line of which has to be JSON."""

    def read(service: str) -> list[dict[str, Any]]:
        return [line for text in outputs(boot, service) for line in is_json_line_by_line(service, text)]

    return read


@dataclass
class Served:
    """Which addresses answered a number of requests, as nginx logged them."""

    statuses: set[int] = field(default_factory=set)
    upstreams: set[str] = field(default_factory=set)

    @property
    def addresses(self) -> set[str]:
        """Those of TCP, without their ports."""
        return {upstream.rpartition(":")[0] for upstream in self.upstreams}


def who_answers(client: Client, logs: Callable[[str], list[dict[str, Any]]], requests: int = 12) -> Served:
    served, identities = Served(), set()
    for _ in range(requests):
        answer = client.get("/version")
        served.statuses.add(answer.status_code)
        identities.add(answer.headers["x-request-id"])
    line_of(logs, "nginx", answer.headers["x-request-id"])
    lines = [line for line in logs("nginx") if line["request_id"] in identities]
    served.upstreams = {re.split(r", | : ", line["upstream"])[-1] for line in lines}
    return served


def all_replicas_answer(
    client: Client, logs: Callable[[str], list[dict[str, Any]]], replicas: Iterable[Container]
) -> None:
    """Every replica serves, and no request fails."""
    there = {
        network["IPAddress"]
        for container in replicas
        for name, network in container["NetworkSettings"]["Networks"].items()
        if name.endswith("_app")
    }
    served = who_answers(client, logs, 4 * len(there))
    assert served.statuses == {200}, served
    assert served.addresses == there, f"{served.addresses} of {there}"
