"""Reads what a service's code tells Celery, and what a command tells a worker."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from handbook.facts import Fact, quantities
from handbook.facts.python import Module
from handbook.facts.values import Source, source

# https://docs.celeryq.dev/en/stable/userguide/configuration.html
SETTINGS = (
    "task_soft_time_limit",
    "task_time_limit",
    "visibility_timeout",
    "worker_concurrency",
)


@lru_cache(maxsize=512)
def of(module: Module) -> Mapping[str, Fact[Source]]:
    """Return the settings of Celery that a module gives a value to, as arguments, in mappings or as attributes."""
    return {name: module.fact(value, source(module, value)) for name, value in _given(module) if name in SETTINGS}


def _given(module: Module) -> Iterator[tuple[str, ast.expr]]:
    for node in module.nodes:
        if isinstance(node, ast.keyword) and node.arg:
            yield node.arg, node.value
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant):
                    yield str(key.value), value
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
            yield node.targets[0].attr, node.value


def role(command: Sequence[Fact[str]]) -> str | None:
    """Return what Celery is told to be by a command, such as `worker` or `beat`; None: the command is not Celery's."""
    words = [word.value for word in command]
    roles = ("worker", "beat")
    return next((word for word in words if word in roles), None) if "celery" in words else None


def concurrency(command: Sequence[Fact[str]]) -> Fact[int] | None:
    """Return how many processes a command lets a worker have, where it says so."""
    for word, below in zip(command, [*command[1:], None], strict=True):
        name, _, value = word.value.partition("=")
        if name == "--concurrency" and value:
            return word.having(value).read(quantities.whole)
        if name in ("--concurrency", "-c") and below:
            return below.read(quantities.whole)
    return None
