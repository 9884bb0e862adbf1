"""apt takes the sources, and each is signed by a key that counts for it alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from handbook.catalog import Catalog
from handbook.checks._docker import engine
from handbook.checks._host import FILE, judge, machine
from handbook.checks._tool import failed
from handbook.findings import Finding
from handbook.host import DOCKERFILE

NEEDS = "docker"

_ERROR = re.compile(r"^[EW]: (?P<message>.*?)\.?$", re.MULTILINE)
_FIELD = re.compile(r"(?P<name>[A-Za-z-]+):\s*(?P<value>.*)$")
_KEYRINGS = "/etc/apt/keyrings/"


def version() -> str:
    return f"apt-get update --print-uris, {engine()}"


def inputs(catalog: Catalog, path: str) -> Iterator[str]:
    yield DOCKERFILE


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Let apt say what it would fetch, without fetching it, and look at what it does not ask for."""
    findings = []
    options = ["-o", "Dir::Etc::SourceList=/dev/null", "-o", f"Dir::Etc::SourceParts={FILE}"]
    with machine() as name:
        for path in paths:
            result = judge(name, root / path, "apt-get", "update", "--print-uris", *options)
            said = [found["message"] for found in _ERROR.finditer(result.stderr)]
            if bool(result.returncode) > bool(said):
                raise failed(result, "apt-get did not say what is wrong")
            findings += [Finding(path, 0, "apt", message) for message in said]
            if not said and "/InRelease'" not in result.stdout:
                findings.append(Finding(path, 0, "empty", "apt would fetch nothing", "add a stanza, or enable it"))
            findings += _trust(path, (root / path).read_text(encoding="utf-8"))
    return findings


def _trust(path: str, text: str) -> Iterator[Finding]:
    """Say what apt takes and should not be asked to: it ignores a field that it does not know."""
    stanza: dict[str, tuple[int, str]] = {}
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if match := _FIELD.match(line):
            stanza[match["name"].lower()] = (number, match["value"])
        if line.strip() or not stanza:
            continue
        first = min(at for at, _ in stanza.values())
        at, value = stanza.get("signed-by", (first, ""))
        if not value.startswith(_KEYRINGS):
            what = f"Signed-By is {value or 'missing'}: the key would count for every source"
            yield Finding(path, at, "signed-by", what, f"name a file in {_KEYRINGS}")
        at, value = stanza.get("uris", (first, ""))
        if not all(uri.startswith("https://") for uri in value.split()):
            yield Finding(path, at, "https", f"URIs is {value or 'missing'}", "fetch it over https")
        stanza = {}
