"""Rules over facts of several files: plain functions that take facts and return findings.

Each module here holds one theme. A function whose name stands in the module's `CONTRACTS` is a contract; its docstring
says the rule and where it comes from. A contract that finds nothing to compare says so: it never passes in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, NamedTuple

from handbook.facts import Fact
from handbook.facts.deployment import Deployment, Facts
from handbook.findings import Finding

Contract = Callable[[Facts], list[Finding]]


class Wrong(NamedTuple):
    """What a rule objects to: the place, what is wrong there, and what to do."""

    at: Fact[Any]
    message: str
    hint: str


def contract(rule: Callable[[Deployment], Iterator[Wrong]]) -> Contract:
    """Turn a rule over one deployment into a contract: it judges them all, and its findings carry its name."""

    @wraps(rule)
    def judge(facts: Facts) -> list[Finding]:
        return _findings(rule, (wrong for deployment in facts.deployments for wrong in rule(deployment)))

    return judge


def contract_of_all(rule: Callable[[Facts], Iterator[Wrong]]) -> Contract:
    """Turn a rule over all facts into a contract."""

    @wraps(rule)
    def judge(facts: Facts) -> list[Finding]:
        return _findings(rule, rule(facts))

    return judge


def _findings(rule: Callable[..., Any], wrongs: Iterable[Wrong]) -> list[Finding]:
    """Two deployments that share a file have it judged twice: what is said twice is kept once."""
    name = f"{rule.__module__.rpartition('.')[2]}.{rule.__name__}"
    return list(dict.fromkeys(Finding(w.at.path, w.at.line, name, w.message, w.hint) for w in wrongs))


def place(fact: Fact[Any]) -> str:
    """Where a fact stands, for a message."""
    return f"{fact.path}:{fact.line}"


def load() -> dict[str, Contract]:
    """All contracts, by their names: `module.function`."""
    modules = [module.name for module in iter_modules(__path__)]
    return {
        f"{name}.{rule.__name__}": rule for name in modules for rule in import_module(f"{__name__}.{name}").CONTRACTS
    }


def names() -> list[str]:
    """The names of all contracts, as `module.function`."""
    return list(load())


def judge(facts: Facts) -> list[Finding]:
    """Let every contract judge the facts."""
    return sorted(finding for rule in load().values() for finding in rule(facts))
