"""Runs the service on the machine of who works on it: `python -m assistant`, with `--reload` while its code changes.

The server is uvicorn, which requirements-development.txt brings. Elsewhere gunicorn runs the service. Both take the
address, the number of processes and the time for a stop from the same settings.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from assistant import logs
from assistant.settings import ServerSettings, Settings, SettingsError, load

# A reload waits for the requests that are open, and a stream may be open for a minute.
RELOAD_WAITS_SECONDS = 1


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m assistant", description="Run the service on your machine.")
    parser.add_argument("--reload", action="store_true", help="start it again when a file of the package changes")
    reload = parser.parse_args().reload
    try:
        import uvicorn
    except ModuleNotFoundError:
        sys.exit("uvicorn is not installed; run: pip install --require-hashes -r requirements-development.txt")
    try:
        server = load(ServerSettings)
        load(Settings)
    except SettingsError as error:
        logs.refuse("assistant", error)
    configure(server)
    uvicorn.run(
        "assistant.__main__:app",
        factory=True,
        **address(server.gunicorn_bind),
        workers=server.gunicorn_workers or server.web_concurrency,
        reload=reload,
        reload_dirs=[str(Path(__file__).parent)] if reload else None,
        timeout_graceful_shutdown=RELOAD_WAITS_SECONDS if reload else server.gunicorn_graceful_timeout,
        forwarded_allow_ips=server.forwarded_allow_ips,
        # The application writes the access lines, and the root logger has the only handler.
        log_config=None,
        access_log=False,
    )


def app() -> FastAPI:
    """Make the application in the process that serves it, which has to write the log in the same format."""
    # At the top, the process that only watches the files would import it, too.
    from assistant.app import create_app

    configure(load(ServerSettings))
    return create_app()


def configure(server: ServerSettings) -> None:
    logs.configure(server.log_format, server.log_level)


def address(bind: str) -> dict[str, Any]:
    """Return where gunicorn would listen, in uvicorn's words."""
    host, _, port = bind.rpartition(":")
    if host == "unix":
        return {"uds": port}
    return {"host": host.strip("[]") or "0.0.0.0", "port": int(port)}


if __name__ == "__main__":
    main()
