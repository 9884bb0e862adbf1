"""nginx configurations have no hole that gixy knows: forged hosts, split headers, traversals, lost headers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import crossplane

from handbook import tools
from handbook.catalog import Catalog
from handbook.checks._compose import Service, hosts, services, stack_of
from handbook.checks._tool import expect, failed, read_json, unjudged, wheel
from handbook.findings import Finding, HandbookError

NEEDS = "nothing"

_MAIN = "/etc/nginx/nginx.conf"


def version() -> str:
    return wheel("gixy-ng", "gixy")


def inputs(catalog: Catalog, path: str) -> Iterator[str]:
    return stack_of(catalog, path)


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Judge each nginx.conf together with what it includes, laid out as its stack mounts it; the others alone.

    gixy says nothing of a file that it can't parse and ends with 0, so crossplane reads every file first. Where it
    can't read one, what belongs together is not judged, and each file of it is a finding.
    """
    findings: set[Finding] = set()
    origin: dict[str, str] = {}
    mains: list[str] = []
    covered: set[str] = set()
    with TemporaryDirectory(prefix="bootproof-check-") as scratch:
        for number, service in enumerate((*services(root), *hosts(root))):
            main = service.host_path(_MAIN)
            if main and main in paths:
                folder = Path(scratch) / str(number)
                copies = _lay_out(root, service, folder)
                origin |= copies
                seen = folder / _MAIN.lstrip("/")
                read, errors = _parse(seen, origin, whole=True)
                if errors:
                    read |= set(copies.values())
                    wrong = {finding.path for finding in errors}
                    findings.update(errors, (unjudged(path, main, errors) for path in read - wrong))
                else:
                    mains.append(str(seen))
                covered |= read
        for path in paths:
            if path not in covered:
                origin[str(root / path)] = path
                _, errors = _parse(root / path, origin, whole=path.endswith("nginx.conf"))
                findings.update(errors)
                mains += [] if errors else [str(root / path)]
        findings.update(_judge(mains, origin))
    return sorted(finding for finding in findings if finding.path in paths)


def _lay_out(root: Path, service: Service, folder: Path) -> dict[str, str]:
    """Copy what a service mounts to where it sees it, below `folder`; map each copy to the path it came from.

    Only what git tracks or would track: secrets that somebody has made in this checkout are nobody's business.
    """
    origin = {}
    for target, source in service.mounts.items():
        for file in Catalog(root).files:
            if PurePosixPath(file).is_relative_to(source):
                copy = folder / target.lstrip("/") / PurePosixPath(file).relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(root / file, copy)
                origin[str(copy)] = file
    return origin


def _parse(main: Path, origin: dict[str, str], *, whole: bool) -> tuple[set[str], list[Finding]]:
    """Return the files that crossplane reads from `main` on, and what it can't understand in them.

    `origin` maps copies back. A file that is not `whole` is meant to be included: it has no `http` around it.
    """
    parsed = crossplane.parse(str(main), check_ctx=whole)
    findings = [
        Finding(origin[error["file"]], error["line"] or 0, "syntax", error["error"].partition(" in /")[0])
        for error in parsed["errors"]
        if error["file"] in origin
    ]
    if bool(findings) != (parsed["status"] == "failed"):
        said = "; ".join(f"{error['file']}:{error['line']}: {error['error']}" for error in parsed["errors"])
        raise HandbookError(f"{origin[str(main)]}: crossplane can't read what belongs to it: {said or 'nothing said'}")
    return {origin[config["file"]] for config in parsed["config"] if config["file"] in origin}, findings


def _judge(mains: Sequence[str], origin: dict[str, str]) -> Iterator[Finding]:
    """Yield what gixy says about `mains` and what they include."""
    if not mains:
        return
    result = tools.run(["gixy", "--format", "json", "--", *mains])
    expect(result, {0, 1})
    if result.stderr:
        raise failed(result, "wrote to stderr, which it does of a file that it leaves out")
    report = read_json(result)
    if bool(report) != bool(result.returncode):
        raise failed(result, f"exit code {result.returncode}, but {len(report)} findings")
    for item in report:
        name = origin.get(item["file"])
        if name is None:
            raise failed(result, f"speaks of {item['file']}, which was not given")
        reason = item["reason"] or item["summary"]
        yield Finding(name, item["line"] or 0, item["plugin"], f"{reason} ({item['severity'].lower()})")
