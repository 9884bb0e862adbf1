"""Rules over facts of several files: plain functions that take facts and return findings.

Each module here holds one theme. A function whose name stands in the module's `CONTRACTS` is a contract; its docstring
says the rule and where it comes from. A rule names the parts of a deployment that it is about as parameters, and
deployments without one of them are left out. A contract that finds nothing to compare says so: it never passes in
silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from functools import wraps
from importlib import import_module
from inspect import signature
from pkgutil import iter_modules
from typing import Any, NamedTuple

from handbook.facts import Fact
from handbook.facts.deployment import Facts
from handbook.findings import Finding

_FOLDER = "scripts/handbook/contracts"
_READERS = "scripts/handbook/facts/*.py"

Contract = Callable[[Facts], list[Finding]]


class Wrong(NamedTuple):
    """What a rule objects to: the place, what is wrong there, and what to do."""

    at: Fact[Any]
    message: str
    hint: str


def contract(rule: Callable[..., Iterator[Wrong]]) -> Contract:
    """Turn a rule over one deployment into a contract: it judges them all, and its findings carry its name.

    The rule takes the deployment and may take parts of it by their names there, such as `proxy`: it judges only the
    deployments where none of them is None. When that is no deployment at all, the contract finds just this.
    """
    parts = [name for name in signature(rule).parameters if name != "deployment"]

    @wraps(rule)
    def judge(facts: Facts) -> list[Finding]:
        return _findings(rule, _judged(rule, parts, facts))

    return judge


def _judged(rule: Callable[..., Iterator[Wrong]], parts: list[str], facts: Facts) -> Iterator[Wrong]:
    compared = False
    for deployment in facts.deployments:
        given = {name: getattr(deployment, name) for name in parts}
        if None not in given.values():
            compared = True
            yield from rule(deployment, **given)
    if not compared:
        yield nothing(facts, f"no deployment has {' and '.join(parts)}" if parts else "there is no deployment")


def nothing(facts: Facts, reason: str) -> Wrong:
    """What a contract finds when there is nothing that it could compare."""
    at = facts.deployments[0].at if facts.deployments else Fact("", "snippets", 0)
    return Wrong(at, f"{reason}, so there is nothing to compare", "add one, or take the contract away")


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


def modules() -> dict[str, str]:
    """The module that each contract stands in, as a path in the repository, by the contract's name."""
    return {name: f"{_FOLDER}/{name.partition('.')[0]}.py" for name in names()}


def inputs(name: str, facts: Facts) -> tuple[str, ...]:
    """Return the files that decide whether the contract named `name` is kept.

    These are the files that deployments use, what reads the facts in them, and the contract's own code. A rule over all
    facts may read the pages, too.
    """
    readers = (file for file in facts.files if fnmatchcase(file, _READERS))
    pages = facts.pages if "facts" in signature(load()[name]).parameters else ()
    return tuple(sorted({f"{_FOLDER}/__init__.py", modules()[name], *readers, *facts.used, *pages}))


def judge(facts: Facts) -> list[Finding]:
    """Let every contract judge the facts."""
    return sorted(finding for rule in load().values() for finding in rule(facts))
