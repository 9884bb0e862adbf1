"""A .dockerignore keeps out what no image may hold, and lets in what the Dockerfile copies."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory

import dockerfile

from handbook import tools
from handbook.catalog import Catalog
from handbook.checks._docker import below, engine, must
from handbook.checks._tool import failed
from handbook.findings import Finding

NEEDS = "docker"

# What lies in a developer's folder beside the files that git tracks.
_PLANTED = (
    ".env",
    ".git/HEAD",
    ".pytest_cache/README.md",
    ".venv/pyvenv.cfg",
    "__pycache__/planted.cpython-313.pyc",
    "build/planted",
    "secrets/database_password",
    "tests/test_planted.py",
)
_EVERYWHERE = "__pycache__/planted.cpython-313.pyc"


def version() -> str:
    return engine()


def inputs(catalog: Catalog, path: str) -> Iterator[str]:
    return below(catalog, path)


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Let BuildKit send each folder, with things planted in it that must stay out, and look at what arrives."""
    files = Catalog(root).files
    return [finding for path in paths for finding in _judge(root, path, files)]


def _judge(root: Path, path: str, files: Sequence[str]) -> Iterator[Finding]:
    folder = Path(path).parent
    tracked = [Path(file).relative_to(folder) for file in files if Path(file).is_relative_to(folder)]
    with TemporaryDirectory(prefix="bootproof-check-") as scratch:
        context = Path(scratch) / "context"
        for file in tracked:
            (context / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / folder / file, context / file)
        planted = set(_PLANTED)
        planted |= {f"{file.parts[0]}/{_EVERYWHERE}" for file in tracked if len(file.parts) > 1}
        for name in planted:
            (context / name).parent.mkdir(parents=True, exist_ok=True)
            (context / name).write_text("planted\n", encoding="utf-8")
        arrived = _arrived(context, Path(scratch) / "context.tar")
    for name in sorted(planted & arrived):
        yield Finding(path, 0, "leak", f"{name} enters the build context", "name it in this file")
    recipe = root / folder / "Dockerfile"
    if recipe.is_file():
        for line, source in _sources(recipe.read_text(encoding="utf-8")):
            if not _matches(source, arrived):
                what = f"Dockerfile:{line} copies {source}, which does not enter the build context"
                yield Finding(path, 0, "source", what, "let it in, or mend the Dockerfile")


def _arrived(context: Path, archive: Path) -> set[str]:
    """Return the paths of the files that BuildKit gets to see."""
    command = ["docker", "build", "--quiet", "--file", "-", "--output", f"type=tar,dest={archive}", str(context)]
    # With --file - BuildKit still reads the folder's .dockerignore.
    result = tools.run(command, input="FROM scratch\nCOPY . /\n")
    must(result, "the transfer of the build context")
    if not archive.is_file():
        raise failed(result, "sent nothing")
    with tarfile.open(archive) as tar:
        return {member.name.removeprefix("./").rstrip("/") for member in tar if not member.isdir()}


def _sources(text: str) -> Iterator[tuple[int, str]]:
    """Yield what a Dockerfile copies from its folder, with the line; other stages and web addresses are left out."""
    for command in dockerfile.parse_string(text):
        if command.cmd.upper() not in ("COPY", "ADD") or any(flag.startswith("--from=") for flag in command.flags):
            continue
        for source in command.value[:-1]:
            if not source.startswith("<<") and "://" not in source:
                yield command.start_line, source


def _matches(source: str, arrived: set[str]) -> bool:
    wanted = source.removeprefix("./").strip("/")
    return wanted in ("", ".") or any(fnmatchcase(name, wanted) or fnmatchcase(name, f"{wanted}/*") for name in arrived)
