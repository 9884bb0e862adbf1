"""Reads shell scripts: what walkthroughs ask, and what a script that prepares a stack makes."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from handbook.facts import Fact, quantities, text_of, unreadable
from handbook.facts.health import Request, requests

_EXEC = re.compile(r"\bdocker compose (?:-\S+ )*exec (?P<rest>.*)")
_EXEC_TAKES_VALUE = ("-u", "--user", "-w", "--workdir", "-e", "--env", "--index")
_IMAGE = re.compile(r"\bdocker (?:container )?(?:create|pull|run) (?P<rest>.*)")
# Their flags that take no value: https://docs.docker.com/reference/cli/docker/container/run/
_IMAGE_SWITCHES = {
    *("-d", "--detach", "-i", "--interactive", "-t", "--tty", "-it", "-ti", "-P", "--publish-all", "-q", "--quiet"),
    *("--init", "--privileged", "--read-only", "--rm"),
}
_BUILT = re.compile(r"\bdocker (?:buildx )?build .*?(?:--tag|-t)[ =](?P<image>\S+)")
_LOOP = re.compile(r"for (?P<name>\w+) in (?P<words>[^;$]+); do")
_READS = re.compile(r"(?:.*[;&|]\s*)?while (?:IFS= )?read -r (?P<name>\w+); do")
# What a loop reads: the files below a folder, by their paths in it.
_FOUND = re.compile(r"done < <\(cd (?P<folder>[\w./-]+) && find \. -type f -printf '%P\\n'.*\)")
_PRINTS = re.compile(r"(?:echo|printf)\b(?!.*\|)")
_ENDS = re.compile(r"done\b")
_MAKES_A_NAME = re.compile(r"\bmktemp\b[^)\n]*")
_TEST = re.compile(r"\[\[ .*? \]\]")
# At the begin of a word, or behind the folder that a variable or a command names.
_BESIDE = re.compile(
    r"(?:(?<![\w./-])|(?<=[)}\"']/)|(?<=\$)\w+/)(?P<path>(?:\.\./)+(?:[^\s\"'`;&|()<>]|[\"'](?=[\w$/.{*]))*)"
)
_SECRET = re.compile(
    r"(?:/run/secrets|(?P<variable>\$\{?(?:SECRETS_DIR|CREDENTIALS_DIRECTORY)\}?))/(?P<name>[\w.-]*\w)"
)
# A user by number, or whoever runs the script.
_OWNER = re.compile(r"\d+:\d+|\$\{?EUID\}?")
_MODE = re.compile(r"0?[0-7]{3}")
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
    for lines, joined, loops in commands(text_of(root, path)):
        inside = _inside(joined)
        for number, text in lines:
            found.requests += [Fact(request, path, number) for request in requests([text], inside)]
            # What is only printed is asked by nobody.
            for match in () if _PRINTS.match(joined) else _HOSTS.finditer(text):
                found.hosts.append(Fact(next(group for group in match.groups() if group), path, number))
        if made := _made(joined):
            found.made += [Fact(replace(made, file=file), path, lines[0][0]) for file in _expanded([made.file], loops)]
    return found


def beside(root: Path, path: str) -> list[Fact[str]]:
    """Return what a script names by a path that begins with `../`, as paths in the repository: files and folders.

    It is taken to run in its own folder, or to put that folder before the path: `"$here/../nginx"`. Of a pattern the
    folder is returned that it looks into; what it only tests for, `[[ -e ../nginx ]]`, what `mktemp` makes, and what
    stands among the words of a message is none. Raises HandbookError for a variable in a path whose values no loop
    lists.
    """
    folder, found = posixpath.dirname(path), []
    for lines, _, loops in commands(text_of(root, path)):
        for number, text in lines:
            text = _MAKES_A_NAME.sub("", _TEST.sub("", text))
            for match in _BESIDE.finditer(text):
                if _is_said(text, match):
                    continue
                for named in _expanded(braces(re.sub(r"[\"']", "", match["path"])), loops):
                    if "$" in named:
                        message = f"{named} depends on a variable, and no loop lists its values; write the path out"
                        raise unreadable(path, number, message)
                    place = re.sub(r"(?:/|^)[^/]*[*?\[].*", "", named)
                    found.append(Fact(posixpath.normpath(posixpath.join(folder, place)), path, number))
    return found


def _is_said(line: str, match: re.Match[str]) -> bool:
    """Whether a match stands between quotes with words beside it, and not in a command that stands between them."""
    before = line[: match.start()]
    _, _, inside = before.rpartition('"')
    is_quoted = before.count('"') % 2 == 1 and "$(" not in inside
    return is_quoted and (" " in inside or line[match.end() :].startswith(" "))


def braces(text: str) -> list[str]:
    """What bash makes of a word with braces: `{cache,broker}.conf`."""
    match = re.search(r"(?<!\$)\{([^{}]*,[^{}]*)\}", text)
    if not match:
        return [text]
    words = (text[: match.start()] + word + text[match.end() :] for word in match[1].split(","))
    return [each for word in words for each in braces(word)]


def _expanded(files: list[str], loops: list[tuple[str, list[str]]]) -> list[str]:
    """The files that some stand for in which the variables of loops stand."""
    for name, words in loops:
        if not name or any("*" in word for word in words):
            continue
        variable = re.compile(rf"\$(?:{name}\b|\{{{name}\}})")
        files = [variable.sub(word, each) for each in files for word in (words if variable.search(each) else [""])]
    return files


def images(root: Path, path: str) -> list[Fact[str]]:
    """Return the images that `docker run`, `create` and `pull` are told to take; not those that a variable names."""
    found = []
    for lines in _logical(text_of(root, path)):
        match = _IMAGE.search(" ".join(text.rstrip("\\").strip() for _, text in lines))
        words = iter(match["rest"].split() if match else ())
        for word in words:
            if not word.startswith("-"):
                number = next(number for number, text in lines if word in text)
                found += [Fact(word, path, number)] if "$" not in word else []
                break
            if "=" not in word and word not in _IMAGE_SWITCHES:
                next(words, None)
    return found


def built(root: Path, path: str) -> list[str]:
    """Return the images that `docker build` makes and names."""
    commands = (" ".join(text.rstrip("\\").strip() for _, text in lines) for lines in _logical(text_of(root, path)))
    return [match["image"] for command in commands for match in _BUILT.finditer(command)]


def secrets(root: Path, paths: Iterable[str], folder: str = "/run/secrets") -> list[Fact[str]]:
    """Return the paths of secrets that stand in files outside of comments, which begin with # or --.

    `folder` is what the variables hold by which a script may name the folder of its secrets.
    """
    return [
        Fact(f"{folder}/{match['name']}" if match["variable"] else match[0], path, number)
        for path in paths
        for number, line in enumerate(text_of(root, path).splitlines(), 1)
        if not line.lstrip().startswith(("#", "--"))
        for match in _SECRET.finditer(line)
    ]


def makes(scripts: Iterable[Script], path: str) -> bool:
    """Whether one of the scripts makes the file at `path`, or one below the folder at `path`."""
    made = (PurePosixPath(fact.value.file) for script in scripts for fact in script.made)
    places = {str(place) for file in made for place in (file, *file.parents)} - {"."}
    return any(path.endswith(f"/{place}") for place in places)


def commands(text: str) -> Iterator[tuple[list[tuple[int, str]], str, list[tuple[str, list[str]]]]]:
    """Yield the lines of each command, the command in one line, and the loops around it: variable and values.

    A loop that does not say its values has no name here; one over all files below a folder has the pattern `FOLDER/**`.
    """
    found = [(lines, " ".join(line.rstrip("\\").strip() for _, line in lines)) for lines in _logical(text)]
    loops: list[tuple[str, list[str]]] = []
    for index, (lines, joined) in enumerate(found):
        if loop := _LOOP.fullmatch(joined):
            loops.append((loop["name"], loop["words"].split()))
        elif _opens(joined):
            loops.append(_reading(joined, [below for _, below in found[index + 1 :]]))
        elif loops and _ENDS.match(joined):
            loops.pop()
        yield lines, joined, loops


def _opens(command: str) -> bool:
    """Whether a command begins a loop."""
    return re.search(r"(?:^|[;&|]\s*)(?:for|while|until)\b.*\bdo$", command) is not None


def _reading(command: str, below: list[str]) -> tuple[str, list[str]]:
    """The variable and the values of a loop that reads what stands behind its end. `below` are the commands below."""
    opened = 1
    for end in below:
        opened += _opens(end) - bool(_ENDS.match(end))
        if not opened:
            reads, files = _READS.fullmatch(command), _FOUND.fullmatch(end)
            return (reads["name"], [f"{files['folder']}/**"]) if reads and files else ("", [])
    return "", []


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

    These are `chmod 0444 FILE`, any command with the words `uid:gid mode FILE`, and a line `FILE uid:gid mode` that a
    loop reads. A leading variable (`"$work/..."`) is a folder that the file is made in: it is taken off.
    """
    if not re.search(r"\b0?[0-7]{3}\b", command):
        return None
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    if len(words) == 3 and words[0] == "chmod" and _MODE.fullmatch(words[1]):
        return Made(_plain(words[2]), None, int(words[1], 8))
    if len(words) == 3 and _OWNER.fullmatch(words[1]) and _MODE.fullmatch(words[2]):
        words = [words[1], words[2], words[0]]
    for owner, mode, file in zip(words, words[1:], words[2:], strict=False):
        if _OWNER.fullmatch(owner) and _MODE.fullmatch(mode):
            user, _, group = owner.partition(":")
            numbers = (int(user), int(group)) if group else None
            return Made(_plain(file), numbers, int(mode, 8))
    return None


def _plain(file: str) -> str:
    return re.sub(r"^\$\{?\w+\}?/", "", file)


def host_of(url: str) -> str | None:
    """The host of a URL that may end in variables (`https://api.example.com$request_uri`)."""
    host = urlsplit(url.partition("$")[0]).hostname
    return host if host and not quantities.is_ip(host) else None
