"""A chart of Helm passes its linter, every template makes something, and what comes out fits Kubernetes.

The linter says nothing of a value that no template reads, or that a template reads and nobody sets: that is compared
here. A chart is rendered with its own values, and with each file of values that lies beside it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, NamedTuple

import yaml

from handbook import helm
from handbook.catalog import Catalog
from handbook.checks import _kubeconform
from handbook.checks._lines import line_of
from handbook.checks._tool import failed
from handbook.findings import Finding, HandbookError
from handbook.schemas import Loader

NEEDS = "nothing"

_VALUES = "values.yaml"
_SCHEMA = "values.schema.json"
_MESSAGE = re.compile(
    r"^\[(?P<level>[A-Z]+)\] (?P<place>[^\n]*?): (?P<said>.*?)(?=^\[|^\d+ chart|^Error: |\Z)", re.M | re.S
)
_PLACE = re.compile(r"(?:^|[\s(])[^/\s(]+/(?P<file>templates/[^:\s)]+)(?::(?P<line>\d+))?")
_REFUSED = re.compile(r"- at '(?P<place>[^']*)': (?:additional properties '(?P<key>[^']+)')?")
_READ = re.compile(r"\.Values((?:\.\w+)+)")
_DEFINED = re.compile(r"\{\{-?\s*define\s+\"([^\"]+)\"")
_USED = re.compile(r"\b(?:include|template)\s+\"([^\"]+)\"")
# Helm wishes for a picture.
_PASSED = ("INFO",)


class Place(NamedTuple):
    """A file of a chart, as a path in it, and a line; 0: the file as a whole."""

    file: str
    line: int = 0


Problem = tuple[Place, str, str, str]
"""Where something is wrong, by which rule, what it is, and what to do."""


def version() -> str:
    return f"{helm.version()}, {_kubeconform.version()}"


def inputs(catalog: Catalog, path: str) -> set[str]:
    """All of the chart, or of the charts beside a file of values, and the pins of both programs."""
    chart = _chart(catalog, path)
    charts = [chart] if chart else _beside(catalog, path)
    found = {file for each in charts for file in helm.files(catalog, each)}
    return {*found, *helm.pins(), *_kubeconform.pins()}


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Judge the charts that `paths` are parts of, and the files of values among them.

    What is wrong in a file of a chart that is not given is told of one that is.
    """
    catalog = Catalog(root)
    charts: dict[str, list[str]] = {}
    found = []
    for path in paths:
        chart, beside = _chart(catalog, path), _beside(catalog, path)
        if chart:
            charts.setdefault(chart, []).append(path)
        elif beside:
            found += [finding for other in beside for finding in _given(root, other, path)]
        else:
            found.append(Finding(path, 0, "chart", f"neither above nor beside it is a {helm.FILE}", "move it to one"))
    for chart, given in charts.items():
        for place, rule, message, hint in _problems(root, chart, helm.files(catalog, chart)):
            path = f"{chart}/{place.file}"
            if path in given:
                found.append(Finding(path, place.line, rule, message, hint))
            else:
                found.append(Finding(given[0], 0, rule, f"{path}:{place.line}: {message}", hint))
    return sorted(set(found))


def _beside(catalog: Catalog, path: str) -> list[str]:
    """Return the charts in the folder of a file of values."""
    folder = Path(path).parent
    charts = (Path(file).parent for file in catalog.files if Path(file).name == helm.FILE)
    return [chart.as_posix() for chart in charts if chart.parent == folder]


def _given(root: Path, chart: str, path: str) -> Iterator[Finding]:
    """Yield what is wrong when a chart gets the values of a file."""
    text = (root / path).read_text(encoding="utf-8")
    try:
        rendered = helm.render(root, chart, values=text)
    except HandbookError as error:
        if "the end of its output" in str(error):
            raise
        said = _said(error)
        yield Finding(path, _refused(text, said), "values", f"{Path(chart).name}: {_line(said)}", "mend the value")
        return
    for place, rule, message, hint in _unfit(helm.sources(rendered.text)):
        yield Finding(path, 0, rule, f"{place.file} {message}", hint)
    yield from (Finding(path, 0, "warning", remark) for remark in rendered.warnings)


def _chart(catalog: Catalog, path: str) -> str | None:
    """Return the folder of the chart that a file is a part of."""
    folders = (folder.as_posix() for folder in Path(path).parents)
    return next((folder for folder in folders if f"{folder}/{helm.FILE}" in catalog.files), None)


def _problems(root: Path, chart: str, files: Sequence[str]) -> list[Problem]:
    texts = {file.removeprefix(f"{chart}/"): (root / file).read_text(encoding="utf-8") for file in files}
    linted = helm.lint(root, chart)
    if found := _linted(linted, texts.get(_VALUES, "")):
        return found
    try:
        rendered = helm.render(root, chart)
    except HandbookError as error:
        if "the end of its output" in str(error):
            raise
        said = _said(error)
        return [(_place(helm.FILE, said), "render", _line(said), "run `helm template` on the chart")]
    templates = helm.sources(rendered.text)
    remarks = {*rendered.warnings, *filter(None, linted.stderr.splitlines())}
    return [
        *((Place(helm.FILE), "warning", remark, "") for remark in sorted(remarks)),
        *_unguarded(texts),
        *_idle(texts, templates),
        *_compared(texts),
        *_unfit(templates),
    ]


def _linted(result: CompletedProcess[str], values: str) -> list[Problem]:
    """Return what the linter says. Silence is an error of the run."""
    said = result.stdout + "\n" + result.stderr
    if result.returncode not in (0, 1) or "1 chart(s) linted" not in said:
        raise failed(result, "it linted no chart")
    matches = [match for match in _MESSAGE.finditer(said) if match["level"] not in _PASSED]
    if bool(matches) != bool(result.returncode):
        raise failed(result, f"it ended with {result.returncode} and told {len(matches)} problems")
    # What makes a file wrong keeps the whole chart from being loaded, which is told once more.
    named = [match for match in matches if Path(_place(match["place"], match["said"]).file).suffix]
    problems = []
    for match in named or matches:
        place = _place(match["place"], match["said"])
        if place.file == _VALUES:
            place = Place(_VALUES, _refused(values, match["said"]))
        elif not Path(place.file).suffix:
            place = Place(helm.FILE)
        problems.append((place, "lint", _line(match["said"]), "run `helm lint --strict` on the chart"))
    return problems


def _said(error: HandbookError) -> str:
    return str(error).partition(": it can't be rendered: ")[2]


def _refused(values: str, said: str) -> int:
    """Return the line of the value that a schema refuses; 0 when nothing tells."""
    refused = _REFUSED.search(said)
    if refused is None:
        return 0
    return line_of(values, [*refused["place"].split("/")[1:], *([refused["key"]] if refused["key"] else [])])


def _line(text: str) -> str:
    return " ".join(text.split())


def _place(file: str, said: str) -> Place:
    """Return where a message is about: it says it, or it is the file."""
    match = _PLACE.search(said)
    return Place(match["file"], int(match["line"] or 0)) if match else Place(file)


def _unguarded(texts: Mapping[str, str]) -> Iterator[Problem]:
    if _SCHEMA not in texts:
        hint = f"write {_SCHEMA}, with additionalProperties: false"
        yield Place(helm.FILE), "schema", "no schema judges the values, so a misspelt one does nothing", hint


def _idle(texts: Mapping[str, str], templates: Mapping[str, str]) -> Iterator[Problem]:
    """Yield the templates that nothing comes of, and the parts that none of them includes."""
    whole = "\n".join(text for file, text in texts.items() if file.startswith("templates/"))
    for file, text in texts.items():
        if not file.startswith("templates/"):
            continue
        for match in _DEFINED.finditer(text):
            if match[1] not in _USED.findall(whole):
                yield _at(file, text, match), "unused", f"no template includes {match[1]}", "include it, or remove it"
        if Path(file).name.startswith("_") or Path(file).suffix == ".txt":
            continue
        if not any(_objects(templates.get(file, ""))):
            hint = "make it render with the chart's own values, or remove it"
            yield Place(file), "unused", "nothing comes of it", hint


def _compared(texts: Mapping[str, str]) -> Iterator[Problem]:
    """Yield the values that a template reads and nobody sets, and those that nobody reads."""
    values = yaml.load(texts.get(_VALUES, ""), Loader=Loader) or {}
    read = []
    for file, text in texts.items():
        for match in _READ.finditer(text) if file.startswith("templates/") else ():
            steps = tuple(match[1].split(".")[1:])
            read.append(steps)
            if not _has(values, steps):
                what = f".Values{match[1]} is not set in {_VALUES}"
                yield _at(file, text, match), "value", what, "set it there, if only to an empty text"
    for steps in _leaves(values):
        if not any(steps[: len(other)] == other for other in read):
            line = line_of(texts[_VALUES], steps)
            yield Place(_VALUES, line), "value", f"no template reads {'.'.join(steps)}", "read it, or remove it"


def _has(values: Any, steps: Sequence[str]) -> bool:
    for step in steps:
        if not isinstance(values, dict) or step not in values:
            return False
        values = values[step]
    return True


def _leaves(values: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(values, dict) and values:
        for key, value in values.items():
            yield from _leaves(value, (*above, str(key)))
    elif above:
        yield above


def _at(file: str, text: str, match: re.Match[str]) -> Place:
    return Place(file, text.count("\n", 0, match.start()) + 1)


def _objects(text: str) -> list[Any]:
    return [value for value in yaml.load_all(text, Loader=Loader) if value]


def _unfit(templates: Mapping[str, str]) -> Iterator[Problem]:
    """Yield what Kubernetes would refuse of what was rendered, named by the template."""
    with tempfile.TemporaryDirectory() as scratch:
        full = [file for file, text in templates.items() if _objects(text)]
        for file in full:
            (Path(scratch) / file).parent.mkdir(parents=True, exist_ok=True)
            (Path(scratch) / file).write_text(templates[file], encoding="utf-8")
        for problem, minors in _kubeconform.judge(Path(scratch), full).items():
            called = f"as rendered, {problem.kind}/{problem.name}: {problem.message}"
            hint = _kubeconform.HINTS.get(problem.rule, "")
            yield Place(problem.file), problem.rule, _kubeconform.told(called, minors), hint
