"""What a target mounts, for tests that read configuration of one that is not there yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping


def mapped(mounts: Mapping[str, str]) -> Callable[[str], str | None]:
    """Return a lookup for files that a target puts elsewhere: the path that nginx sees -> the repository's."""

    def lookup(path: str) -> str | None:
        for seen in sorted(mounts, key=len, reverse=True):
            if path == seen or path.startswith(f"{seen}/"):
                return mounts[seen] + path.removeprefix(seen)
        return None

    return lookup
