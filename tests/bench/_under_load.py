"""Changes a stack again and again while it is used, until enough requests were sent, and counts what went wrong."""

import time
from collections.abc import Callable, Iterator

from handbook.findings import HandbookError
from tests.boot.load import Load, stored_texts
from tests.boot.releases import Ran

REQUESTS = 100_000
LONGEST_SECONDS = 1800
_WARM_SECONDS = 10


def measure(load: Load, rounds: Iterator[int], ask: Callable[[str], str]) -> dict[str, float]:
    """Go through `rounds`, each of which says how many changes it made; return what was seen, warming up left out.

    `ask` returns what a statement of the database yields. Raises HandbookError when that takes too long.
    """
    changes = 0
    with load:
        time.sleep(_WARM_SECONDS)
        began = time.monotonic()
        for made in rounds:
            changes += made
            seen = load.result.between(began, time.monotonic())
            print(f"{changes} done: {seen}", flush=True)
            if len(seen.seen) >= REQUESTS:
                break
            if time.monotonic() > began + LONGEST_SECONDS:
                raise HandbookError(f"{len(seen.seen)} of {REQUESTS} requests in {LONGEST_SECONDS} s")
    usual = load.result.between(began - _WARM_SECONDS + 1, began)
    stored = stored_texts(ask, load)
    return {
        "requests": len(seen.seen),
        "streams": sum(one.kind == "stream" for one in seen.seen),
        "changes": changes,
        "failed": len(seen.failed),
        "cut": len(seen.cut),
        "doubled": len(stored) - len(set(stored)),
        "seconds": round(max(0.0, seen.slowest - usual.slowest), 2),
    }


def well(ran: Ran) -> None:
    """Raises HandbookError, with what it said, when a command has failed."""
    if ran.code:
        raise HandbookError(f"ended with {ran.code}:\n{ran.said}")
