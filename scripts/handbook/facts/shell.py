"""Reads shell scripts: what walkthroughs ask, and what a script that prepares a stack makes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from handbook.facts import Fact, quantities, text_of
from handbook.facts.health import Request, requests

_EXEC = re.compile(r"\bdocker compose (?:-\S+ )*exec (?P<rest>.*)")
_EXEC_TAKES_VALUE = ("-u", "--user", "-w", "--workdir", "-e", "--env", "--index")
_HOST = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9-]+)*\.[a-z]{2,}"
_HOSTS = re.compile(
    rf"(?:https?://(?P<url>{_HOST})|--resolve (?P<resolve>{_HOST}):\d+|:-(?P<default>{_HOST})\}}"
    rf"|\.sh (?P<argument>{_HOST})(?:\s|$))"
)


@dataclass(frozen=True)
class Made:
    """A file that a script gives an owner and a mode. None: the script leaves it to whoever runs it."""

    file: str
    owner: tuple[int, int] | None
    mode: int


@dataclass
class Script:
    """What a script says."""

    path: str
    requests: list[Fact[Request]] = field(default_factory=list)
    hosts: list[Fact[str]] = field(default_factory=list)
    made: list[Fact[Made]] = field(default_factory=list)


def read(root: Path, path: str) -> Script:
    """Read a script. Commands that go over several lines are joined; lines that start with # are left out."""
    found = Script(path)
    for lines in _logical(text_of(root, path)):
        joined = " ".join(text.rstrip("\\").strip() for _, text in lines)
        inside = _inside(joined)
        for number, text in lines:
            found.requests += [Fact(request, path, number) for request in requests([text], inside)]
            for match in _HOSTS.finditer(text):
                found.hosts.append(Fact(next(group for group in match.groups() if group), path, number))
        made = _made(joined)
        if made:
            found.made.append(Fact(made, path, lines[0][0]))
    return found


def _logical(text: str) -> Iterator[list[tuple[int, str]]]:
    """Yield the lines of each command, with their numbers."""
    command: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not command and (not line.strip() or line.lstrip().startswith("#")):
            continue
        command.append((number, line))
        if not line.endswith("\\"):
            yield command
            command = []
    if command:
        yield command


def _inside(command: str) -> str | None:
    """The service whose container `docker compose exec` runs the command in."""
    match = _EXEC.search(command)
    words = iter(match["rest"].split() if match else ())
    for word in words:
        if word in _EXEC_TAKES_VALUE:
            next(words, None)
        elif not word.startswith("-"):
            return word
    return None


def _made(command: str) -> Made | None:
    """Read a command that gives a file to a user or sets its mode.

    These are `chmod 0444 FILE` and any command with the words `uid:gid mode FILE`. A leading variable (`"$work/..."`)
    is a folder that the file is made in: it is taken off.
    """
    if not re.search(r"\b0?[0-7]{3}\b", command):
        return None
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    if len(words) == 3 and words[0] == "chmod" and re.fullmatch(r"0?[0-7]{3}", words[1]):
        return Made(_plain(words[2]), None, int(words[1], 8))
    for owner, mode, file in zip(words, words[1:], words[2:], strict=False):
        if re.fullmatch(r"\d+:\d+", owner) and re.fullmatch(r"0?[0-7]{3}", mode):
            user, _, group = owner.partition(":")
            return Made(_plain(file), (int(user), int(group)), int(mode, 8))
    return None


def _plain(file: str) -> str:
    return re.sub(r"^\$\{?\w+\}?/", "", file)


def host_of(url: str) -> str | None:
    """The host of a URL that may end in variables (`https://api.example.com$request_uri`)."""
    host = urlsplit(url.partition("$")[0]).hostname
    return host if host and not quantities.is_ip(host) else None
