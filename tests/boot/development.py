"""The stack for development, asked on 127.0.0.1 and edited while it runs."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from handbook import tools
from handbook.stacks import Boot

from .client import wait_for


def ask_on_loopback(boot: Boot) -> None:
    """Let curl go to the free ports where a walkthrough says http://127.0.0.1:8000."""
    with (boot.scratch / ".curlrc").open("a", encoding="utf-8") as curlrc:
        for port, free in boot.ports.items():
            curlrc.write(f'connect-to = "127.0.0.1:{port}:127.0.0.1:{free}"\n')


def client_of(port: int, secrets: Path, *, timeout: float = 60) -> httpx.Client:
    """Return a client of the service on a port of 127.0.0.1, with the key of a prepared stack."""
    headers = {"Authorization": f"Bearer {(secrets / 'api_key').read_text().strip()}"}
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=timeout)


def version(client: httpx.Client) -> str:
    """The version that the service tells."""
    answer = client.get("/version")
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["version"]
    return found


def answers_as(client: httpx.Client, expected: str) -> None:
    """Wait until the code of a version answers."""
    wait_for(lambda: version(client) == expected, f"version {expected} answers", 60)


@contextlib.contextmanager
def edited(path: Path, old: str, new: str) -> Iterator[None]:
    """Put `new` where `old` stands in a file of the copy, as an editor saves it, and take it back at the end."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1, f"{path.name} has no {old!r}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")


def log_from_now(boot: Boot, service: str) -> Callable[[], str]:
    """Return what reads all that the container of a service writes from now on."""
    command = ["docker", "logs", boot.containers(service)[0]["Id"]]
    before = tools.run(command)

    def read() -> str:
        now = tools.run(command)
        return now.stdout[len(before.stdout) :] + now.stderr[len(before.stderr) :]

    return read


def run_of(boot: Boot, service: str) -> tuple[str, str, int]:
    """What changes when a container is made or started again."""
    container = boot.containers(service)[0]
    return container["Id"], container["State"]["StartedAt"], container["RestartCount"]


def stream(client: httpx.Client, question: str, meanwhile: Callable[[], None]) -> list[str]:
    """Ask a question, call `meanwhile` once the answer has begun, and return the lines that come until it ends."""
    lines: list[str] = []
    # A stream that is cut off is one way to end.
    with (
        contextlib.suppress(httpx.RemoteProtocolError),
        client.stream("POST", "/v1/answers", json={"question": question}) as answer,
    ):
        assert answer.status_code == 200, answer.read()
        for line in answer.iter_lines():
            if line == "event: token" and line not in lines:
                meanwhile()
            lines.append(line)
    return lines


def is_open(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True
