"""Asks the service in this container whether it is ready: `python -m assistant.healthcheck` exits with 0 or 1.

It runs every few seconds, so it imports nothing that is slow to load.
"""

import http.client
import os
import sys

TIMEOUT_SECONDS = 2


def main() -> None:
    port = (os.environ.get("GUNICORN_BIND") or "127.0.0.1:8000").rpartition(":")[2]
    try:
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=TIMEOUT_SECONDS)
        connection.request("GET", "/health/ready")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError) as error:
        sys.exit(f"not ready: {error}")
    if status != 200:
        sys.exit(f"not ready: status {status}")


if __name__ == "__main__":
    main()
