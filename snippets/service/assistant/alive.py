"""Signs of life of programs that listen nowhere: each touches a file, and a health check looks how old it is.

`python -m assistant.alive FILE SECONDS` exits with 0, or with 1 when the file is older or is not there.
"""

import logging
import os
import sys
import time
from pathlib import Path
from threading import Thread

logger = logging.getLogger(__name__)


class Watchdog:
    """Ends the process with status 1 when nobody touches it for so many seconds: whoever started it starts it again."""

    def __init__(self, seconds: float, pause: float = 5) -> None:
        self._seconds = seconds
        self._pause = pause
        self._touched = time.monotonic()

    def touch(self) -> None:
        self._touched = time.monotonic()

    def start(self) -> None:
        """Watch from now on, in a thread that keeps no process alive."""
        self.touch()
        Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        late = 0
        # Twice: a machine that stood still wakes all its threads at once.
        while late < 2:
            time.sleep(self._pause)
            late = late + 1 if time.monotonic() - self._touched > self._seconds else 0
        logger.critical("no sign of life for %s seconds, the process ends", self._seconds)
        # Whatever hangs must not hang this, too.
        os._exit(1)


def age(path: Path) -> float | None:
    """Return for how many seconds nobody has touched the file; None when it is not there."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except FileNotFoundError:
        return None


def main() -> None:
    path, seconds = Path(sys.argv[1]), float(sys.argv[2])
    last = age(path)
    if last is None:
        sys.exit(f"no sign of life yet: {path}")
    if last > seconds:
        sys.exit(f"no sign of life for {last:.0f} seconds")


if __name__ == "__main__":
    main()
