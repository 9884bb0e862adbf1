"""Asks the service in this container whether it is ready: `python -m assistant.healthcheck` exits with 0 or 1.

It runs every few seconds, so it imports nothing that is slow to load.
"""

import http.client
import os
import socket
import sys
from contextlib import closing

TIMEOUT_SECONDS = 2


class UnixConnection(http.client.HTTPConnection):
    """A connection to the Unix socket whose path stands where the host would."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_SECONDS)
        self.sock.connect(self.host)


def connect(bind: str) -> http.client.HTTPConnection:
    """Return a connection to where gunicorn is bound; to this machine where it is bound to every address."""
    host, _, port = bind.rpartition(",")[2].strip().rpartition(":")
    if host == "unix":
        return UnixConnection(port)
    host = host.strip("[]")
    return http.client.HTTPConnection(
        "127.0.0.1" if host in ("", "0.0.0.0", "::") else host, int(port), timeout=TIMEOUT_SECONDS
    )


def main() -> None:
    bind = os.environ.get("GUNICORN_BIND") or "127.0.0.1:8000"
    try:
        with closing(connect(bind)) as connection:
            connection.request("GET", "/health/ready")
            status = connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError) as error:
        sys.exit(f"not ready: {error}")
    if status != 200:
        sys.exit(f"not ready: status {status}")


if __name__ == "__main__":
    main()
