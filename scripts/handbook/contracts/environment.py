"""What targets set is what the service reads, and what the pages name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from handbook.contracts import Wrong, contract, contract_of_all, place
from handbook.facts import Fact, postgres
from handbook.facts.deployment import Deployment, Facts
from handbook.facts.settings import Setting

# Read by the interpreter, by libpq and by gunicorn themselves.
_OTHERS = re.compile(r"PATH|TMPDIR|PYTHON\w+|PG\w+|TZ|LANG|LC_\w+|SSL_CERT_\w+|GUNICORN_CMD_ARGS")
_TABLE = re.compile(r"\{\{\s*settings_table\b")
_NAME = re.compile(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=[^`]*)?`")


@contract
def dead(deployment: Deployment) -> Iterator[Wrong]:
    """Every variable that a target or an image sets is read: one with a wrong name changes nothing, without a word."""
    for service in deployment.services:
        code = service.code
        known = {setting.name.value for setting in code.settings} | {lookup.value.name for lookup in code.lookups}
        image = service.dockerfile.environment if service.dockerfile else {}
        for name, value in (*image.items(), *service.workload.environment.items()):
            if name not in known and not _OTHERS.fullmatch(name):
                yield Wrong(value, f"the service reads no {name}", "take it away, or correct its name")
    database = deployment.database.workload.environment if deployment.database else {}
    for name, value in database.items():
        if name not in postgres.VARIABLES:
            yield Wrong(value, f"the image of the database reads no {name}", "take it away, or correct its name")


@contract
def required(deployment: Deployment) -> Iterator[Wrong]:
    """Every setting without a default is set by the target. Secrets are the business of `secrets.mounted`."""
    for service in deployment.services:
        if not service.code.settings:
            yield Wrong(service.code.at, "the service declares no settings", "declare them with pydantic-settings")
        for setting in service.settings:
            name = setting.name.value
            if setting.required and not setting.secret and service.variable(name) is None:
                message = (
                    f"{name} has no default ({place(setting.name)}) and {service.workload.name.value} does not get it"
                )
                yield Wrong(service.workload.name, message, "set it")


@contract
def choices(deployment: Deployment) -> Iterator[Wrong]:
    """A variable with a list of choices has one of them; small and capital letters count as the same."""
    for service in deployment.services:
        for setting in service.code.settings:
            value = service.variable(setting.name.value)
            if value and setting.choices and value.value.lower() not in {choice.lower() for choice in setting.choices}:
                message = f"{setting.name.value} can't be {value.value!r}"
                yield Wrong(value, message, f"write one of {', '.join(setting.choices)}")


@contract
def used(deployment: Deployment) -> Iterator[Wrong]:
    """Every setting that is declared is used by the code: one that is only declared does nothing.

    Those that are named after gunicorn are the business of `environment.server`.
    """
    for setting in deployment.service.code.settings:
        gunicorn = setting.name.value.startswith("GUNICORN_")
        if setting.field not in deployment.service.code.used and not gunicorn:
            yield Wrong(setting.name, f"nothing uses {setting.name.value}", "use it, or take it away")


@contract
def server(deployment: Deployment) -> Iterator[Wrong]:
    """What is named after gunicorn reaches gunicorn: it is in what `gunicorn.conf.py` gives to gunicorn's settings.

    https://gunicorn.org/configure/: the file's own names are the settings.
    """
    code = deployment.service.code
    reached = {field for source in code.gunicorn.values() for field in source.value.fields}
    for setting in code.settings:
        if setting.name.value.startswith("GUNICORN_") and setting.field not in reached:
            message = f"{setting.name.value} does not reach gunicorn: no setting in {code.at.path} is made from it"
            yield Wrong(setting.name, message, "give it to gunicorn there, or take it away")


@contract
def defaults(deployment: Deployment) -> Iterator[Wrong]:
    """A variable that is read in two places has the same default in both."""
    code = deployment.service.code
    known = {setting.name.value: setting.default for setting in code.settings if setting.default}
    for lookup in code.lookups:
        name, default = lookup.value.name, lookup.value.default
        if default is None:
            continue
        first = known.setdefault(name, lookup.having(default))
        if first and str(first.value) != default:
            message = f"without {name} this is {default!r}, and {first.value!r} in {place(first)}"
            yield Wrong(lookup, message, "write the same default in both")


@contract_of_all
def documented(facts: Facts) -> Iterator[Wrong]:
    """Some page shows every setting, and no page names one that is not read.

    A page documents them all by the table that the macro `settings_table` makes, or by naming them.
    """
    settings: dict[str, Setting] = {}
    for deployment in facts.deployments:
        settings |= {setting.name.value: setting for setting in deployment.service.code.settings}
    lookups = {x.value.name for deployment in facts.deployments for x in deployment.service.code.lookups}
    named = {name for text in facts.pages.values() for name in _NAME.findall(text)}
    table = any(_TABLE.search(text) for text in facts.pages.values())
    for name, setting in settings.items():
        if not table and name not in named:
            yield Wrong(setting.name, f"no page names {name}", "call the macro `settings_table` on a page, or name it")
    families = {name.partition("_")[0] for name in settings}
    for path, text in facts.pages.items():
        for number, line in enumerate(text.splitlines(), 1):
            for name in _NAME.findall(line):
                known = name in settings or name in lookups or _OTHERS.fullmatch(name)
                if name.partition("_")[0] in families and not known:
                    at = Fact(name, path, number)
                    yield Wrong(at, f"the page names {name}, which the service does not read", "correct the name")


CONTRACTS = (dead, required, choices, used, server, defaults, documented)
