"""Runs Helm on a chart, and says of each object that it renders which template it comes from.

It reads a copy of the files that git knows, so nothing that lies beside them on a machine goes into a chart.
"""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess

import yaml

from handbook import go
from handbook.catalog import Catalog
from handbook.findings import HandbookError
from handbook.kustomize import Object, Rendered
from handbook.schemas import Loader
from handbook.tools import run

FILE = "Chart.yaml"

_SECONDS = 60
_VERSION = "helm.sh/helm/v4/internal/version.version"
_SOURCE = re.compile(r"^# Source: [^/\n]+/(\S+)$", re.MULTILINE)


def version() -> str:
    """The name and the version of the program that is pinned."""
    return f"helm {go.version('helm')}"


def pins() -> list[str]:
    """The files that pin the program."""
    return go.pins("helm")


def files(catalog: Catalog, chart: str) -> tuple[str, ...]:
    """Return the files of the chart in the folder `chart`, as paths in the repository."""
    return tuple(file for file in catalog.files if file.startswith(f"{chart}/"))


def render(root: Path, chart: str, *options: str, values: str = "") -> Rendered:
    """Render the chart in the folder `chart` (a path in the repository at `root`), as a release called `assistant`;
    once for as long as nothing changes.

    `values` is the text of a file of values, and `options` are those of `helm template`, such as `--set`. The hooks
    are among the objects. Raises HandbookError with Helm's own words when it can't be rendered, and MissingTool
    without Go.
    """
    return _rendered(_current(root, chart), chart, options, values)


@cache
def _rendered(folder: Path, chart: str, options: tuple[str, ...], values: str) -> Rendered:
    release = ["assistant", ".", "--namespace=assistant", "--values=-"]
    result = _run(folder, "template", *release, *options, values=values)
    if result.returncode:
        said = result.stderr.strip().removeprefix("Error: ").removesuffix("Use --debug flag to render out invalid YAML")
        raise HandbookError(f"{chart}/{FILE}: it can't be rendered: {said.strip()}")
    texts = sources(result.stdout)
    if not texts:
        said = (result.stdout + result.stderr).strip() or "(nothing)"
        raise HandbookError(f"{chart}/{FILE}: helm rendered nothing; the end of its output:\n{said}")
    objects = [
        Object(value, f"{chart}/{template}")
        for template, text in texts.items()
        for value in yaml.load_all(text, Loader=Loader)
        if isinstance(value, dict)
    ]
    return Rendered(result.stdout, tuple(filter(None, result.stderr.splitlines())), objects)


def sources(text: str) -> dict[str, str]:
    """Split what Helm renders by the templates that it comes from, as paths in the chart."""
    found: dict[str, str] = {}
    # Text before the first mark, then marks and texts in turn.
    _, *parts = _SOURCE.split(text)
    for template, part in zip(parts[::2], parts[1::2], strict=True):
        found[template] = found.get(template, "---") + part.rstrip("-\n") + "\n---\n"
    return found


def lint(root: Path, chart: str) -> CompletedProcess[str]:
    """Ask Helm's linter about the chart in the folder `chart`. Raises what `render` raises for the program."""
    return _run(_current(root, chart), "lint", "--strict", ".")


def _run(folder: Path, *arguments: str, values: str = "") -> CompletedProcess[str]:
    # It looks for settings, plugins and a cache of its own.
    homes = {"HOME": str(folder.parent), "HELM_PLUGINS": str(folder.parent / "plugins"), "KUBECONFIG": "/dev/null"}
    return run([str(program(go.built)), *arguments], cwd=folder, timeout=_SECONDS, env=homes, input=values)


def _current(root: Path, chart: str) -> Path:
    """Return the copy of a chart's files as they are. Raises HandbookError when it is no chart."""
    state = {file.removeprefix(f"{chart}/"): (root / file).read_bytes() for file in files(Catalog(root), chart)}
    if FILE not in state:
        raise HandbookError(f"{chart}: there is no {FILE} in it")
    return _copy(Path(chart).name, tuple(state.items()))


@cache
def _copy(name: str, state: tuple[tuple[str, bytes], ...]) -> Path:
    """Write a chart's files into a folder that lives as long as this process."""
    scratch = Path(tempfile.mkdtemp(prefix="helm-")).resolve()
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    for file, content in state:
        (scratch / name / file).parent.mkdir(parents=True, exist_ok=True)
        (scratch / name / file).write_bytes(content)
    return scratch / name


@cache
def program(build: Callable[..., Path]) -> Path:
    """The pinned Helm. `build` is `go.built`, and raises what that raises.

    Asked for once: to look whether it is the pinned one takes a moment.
    """
    return build("helm", ldflags=f"-X {_VERSION}={go.version('helm')}")
