"""Reads Dockerfiles with the parser of BuildKit."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import dockerfile

from handbook.facts import Fact, quantities, text_of, unreadable
from handbook.facts.health import HealthCheck


@dataclass
class Dockerfile:
    """What a Dockerfile says about its last stage, and the images that its stages start from."""

    path: str
    bases: list[Fact[str]] = field(default_factory=list)
    environment: dict[str, Fact[str]] = field(default_factory=dict)
    exposed: list[Fact[int]] = field(default_factory=list)
    user: Fact[str] | None = None
    health: HealthCheck | None = None


def read(root: Path, path: str) -> Dockerfile:
    """Read a Dockerfile. Raises HandbookError when BuildKit's parser refuses it."""
    text = text_of(root, path)
    try:
        commands = dockerfile.parse_string(text)
    except dockerfile.GoParseError as error:
        line = re.search(r"line (\d+)", str(error))
        raise unreadable(path, int(line[1]) if line else 0, str(error)) from None
    found = Dockerfile(path)
    stages: dict[str, Dockerfile] = {}
    arguments: dict[str, str] = {}
    for command in commands:
        line, words = command.start_line, command.value
        name = command.cmd.upper()
        if name == "FROM":
            if not words:
                raise unreadable(path, line, "FROM names no image")
            image = _substitute(words[0], arguments, path, line)
            parent = stages.get(image.lower(), Dockerfile(path))
            found = Dockerfile(
                path, found.bases, dict(parent.environment), list(parent.exposed), parent.user, parent.health
            )
            if image.lower() not in stages and image != "scratch":
                found.bases.append(Fact(image, path, line))
            if len(words) == 3:
                stages[words[2].lower()] = found
        elif name == "ARG":
            for word in words:
                argument, given, default = word.partition("=")
                if given:
                    arguments[argument] = default
        elif name == "ENV":
            for variable, value in zip(words[::2], words[1::2], strict=True):
                found.environment[variable] = Fact(
                    value.strip("\"'"), path, _line_of(text.splitlines(), command, variable)
                )
        elif name == "EXPOSE":
            for word in words:
                port = Fact(_substitute(word, arguments, path, line), path, line)
                found.exposed.append(port.read(lambda text: quantities.whole(text.partition("/")[0])))
        elif name == "USER":
            found.user = Fact(words[0], path, line)
        elif name == "HEALTHCHECK":
            found.health = _health(command, path)
    return found


def _line_of(lines: list[str], command: dockerfile.Command, variable: str) -> int:
    """The line of a variable in an ENV that goes over several lines."""
    for number in range(command.start_line, command.end_line + 1):
        if re.search(rf"(^|\s){re.escape(variable)}[= ]", lines[number - 1]):
            return number
    return int(command.start_line)


def _substitute(text: str, arguments: dict[str, str], path: str, line: int) -> str:
    """Put the defaults of ARG in. Raises HandbookError for one without a default."""

    def value(match: re.Match[str]) -> str:
        name = match["braced"] or match["plain"]
        default = match["default"]
        if name not in arguments and default is None:
            raise unreadable(path, line, f"{text!r} needs ARG {name}, which has no default")
        return arguments.get(name) or default or ""

    return re.sub(r"\$(?:\{(?P<braced>\w+)(?::-(?P<default>[^}]*))?\}|(?P<plain>\w+))", value, text)


def _health(command: dockerfile.Command, path: str) -> HealthCheck | None:
    at = Fact(None, path, command.start_line)
    words = tuple(command.value)
    if words[0].upper() == "NONE":
        return None
    flags = dict(flag.removeprefix("--").split("=", 1) for flag in command.flags)
    return HealthCheck(
        test=at.having(words[1:]),
        interval_seconds=at.having(flags.get("interval", "30s")).read(quantities.seconds),
        timeout_seconds=at.having(flags.get("timeout", "30s")).read(quantities.seconds),
    )
