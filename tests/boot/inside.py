"""Asks the parts of a booted stack from inside their containers, where nginx does not stand between."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from handbook import tools
from handbook.stacks import Boot

from .client import wait_for
from .containers import Container

# A connection for each request, so that they come to all processes that listen.
_ASK = """
import http.client, json, sys
for request in map(json.loads, sys.stdin):
    connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=60)
    connection.request(**request)
    answer = connection.getresponse()
    print(json.dumps([answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode()]))
    connection.close()
"""


@dataclass(frozen=True)
class Request:
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str


def ask(container: Container, *requests: Request) -> list[Answer]:
    """Send requests to the service in a container, one after the other, and return the answers."""
    # They come by stdin: a key in a command would be shown to everybody on the host.
    lines = "".join(f"{json.dumps(asdict(request))}\n" for request in requests)
    command = ["docker", "exec", "--interactive", container["Id"], "python", "-c", _ASK]
    asked = tools.run(command, input=lines, timeout=120)
    assert asked.returncode == 0, asked.stderr
    return [Answer(*json.loads(line)) for line in asked.stdout.splitlines()]


_ASK_UNTIL = """
import http.client, json, sys
status, most, request = json.load(sys.stdin)
connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=60)
for number in range(most):
    connection.request(**request)
    answer = connection.getresponse()
    answer.read()
    if answer.status == status:
        break
print(number)
"""


def ask_until(container: Container, request: Request, status: int, most: int) -> int:
    """Send a request again and again until the service answers with a status; return how many answers came before."""
    command = ["docker", "exec", "--interactive", container["Id"], "python", "-c", _ASK_UNTIL]
    asked = tools.run(command, input=json.dumps([status, most, asdict(request)]), timeout=120)
    assert asked.returncode == 0, asked.stderr
    return int(asked.stdout)


def get(container: Container, url: str) -> Answer:
    return ask(container, Request("GET", url))[0]


@contextmanager
def one_off(boot: Boot, settings: Mapping[str, str]) -> Iterator[Container]:
    """Run one more container of the service with other settings, to which nginx sends nothing."""
    name = f"{boot.project}-one-off"
    variables = [f"--env={key}={value}" for key, value in settings.items()]
    try:
        boot.compose("run", "--detach", "--no-deps", "--no-TTY", "--name", name, *variables, "service")
        wait_for(lambda: _inspected(name)["State"]["Health"]["Status"] == "healthy", "it is healthy", 90)
        yield _inspected(name)
    finally:
        tools.run(["docker", "rm", "--force", "--volumes", name])


def _inspected(name: str) -> Container:
    found: Sequence[Container] = json.loads(tools.run(["docker", "inspect", name]).stdout)
    return found[0]


def redis(boot: Boot, service: str, *command: str) -> str:
    """Run a command of Redis in `cache` or `broker`, with the password of the stack, and return what it prints."""
    password = tools.run(["docker", "exec", f"{boot.project}-service-1", "cat", f"/run/secrets/{service}_password"])
    client = ["redis-cli", "-e", "--no-auth-warning", "--user", "assistant", *command]
    ran = tools.run(
        ["docker", "exec", "--env=REDISCLI_AUTH", f"{boot.project}-{service}-1", *client],
        env={"REDISCLI_AUTH": password.stdout.strip()},
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.removesuffix("\n")


def deep_health(container: Container) -> tuple[int, dict[str, Any]]:
    """The status of deep health, and what it says."""
    answer = get(container, "/health/deep")
    return answer.status, json.loads(answer.text)
