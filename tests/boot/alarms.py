"""Takes the messages that a machine sends when a unit fails, as the chat program would that is told."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .machine import CREDENTIALS, Machine

_PORT = 9911
_TAKEN = "/run/alarms"
_SERVER = f"""
import http.server
class Alarms(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with open("{_TAKEN}", "a") as taken:
            taken.write(body + "\\n")
        self.send_response(204)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", {_PORT}), Alarms).serve_forever()
"""


class Alarms:
    """What has arrived so far."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._since = time.time()

    def of(self, unit: str) -> list[str]:
        """The texts that tell about a unit."""
        lines = self._machine.run(f"cat {_TAKEN}").stdout.splitlines()
        texts = [str(json.loads(line)["text"]) for line in lines]
        return [text for text in texts if text.startswith(f"{unit} has failed")]

    def in_journal(self, unit: str) -> list[str]:
        """The texts that tell about a unit in the journal, with the priority that wakes people."""
        command = f"journalctl --no-pager --priority=alert..alert --output=cat --since=@{self._since:.3f}"
        lines = self._machine.run(command).stdout.splitlines()
        return [line for line in lines if line.startswith(f"{unit} has failed")]


@contextmanager
def taken(machine: Machine) -> Iterator[Alarms]:
    """Let a machine send its alarms to a server in it while a `with` block runs."""
    machine.run(f"cat >/run/alarms.py <<'END'\n{_SERVER}\nEND\n: >{_TAKEN}")
    machine.run("systemd-run --quiet --unit=alarms --property=Restart=no python3 /run/alarms.py")
    machine.run(f"until (exec 3<>/dev/tcp/127.0.0.1/{_PORT}) 2>/dev/null; do sleep 0.05; done")
    machine.run(f"echo http://127.0.0.1:{_PORT}/hook >{CREDENTIALS}/alert_url")
    try:
        yield Alarms(machine)
    finally:
        machine.run(f": >{CREDENTIALS}/alert_url; systemctl stop alarms.service; rm /run/alarms.py {_TAKEN}")
