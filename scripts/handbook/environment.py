"""Keeps the environment of the handbook: its locks, its npm tools, the formatting of its files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from handbook.catalog import ROOT, Catalog
from handbook.findings import HandbookError
from handbook.tools import find, node


def _call(command: Sequence[str], *, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> None:
    """Run `command` with its output shown; `env` adds to the environment. Raises HandbookError when it fails."""
    if subprocess.run(command, cwd=cwd, env={**os.environ, **(env or {})}, check=False).returncode:
        raise HandbookError(f"`{' '.join(command[:3])} ...` failed; its messages stand above")


def install_npm_tools() -> None:
    """Install what `tools/package-lock.json` pins into `tools/node_modules/`, with the npm of the locked Node.js."""
    npm = Path(node()).parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    _call(
        [node(), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=ROOT / "tools",
        # As pip does: believe the certificates that the machine believes, those of a company's own proxy among them.
        env={"NODE_USE_SYSTEM_CA": "1"},
    )


def lock() -> None:
    """Resolve the requirements of the service, of the handbook and of its benchmark of servers again, with hashes.

    The service comes first: those who develop it, the handbook and the benchmark have the very versions that it ships
    with.
    """
    service = "snippets/service/pyproject.toml"
    shipped, developed = "snippets/service/requirements.txt", "snippets/service/requirements-development.txt"
    development = ["--group", f"{service}:development"]
    _compile("--no-annotate", service, "--output-file", shipped)
    _compile("--no-annotate", service, *development, "--constraint", shipped, "--output-file", developed)
    inputs = ["requirements/handbook.in", service, *development]
    _compile(*inputs, "--constraint", developed, "--output-file", "requirements/handbook.txt")
    compared = ["requirements/bench.in", service, "--constraint", developed]
    _compile("--no-annotate", *compared, "--output-file", "requirements/bench.txt")


def _compile(*arguments: str) -> None:
    options = ["--universal", "--generate-hashes", "--no-header", "--no-emit-index-url", "--python-version", "3.11"]
    _call([find("uv"), "pip", "compile", "--quiet", *options, *arguments])


def bench_programs() -> Path:
    """Return the folder of the programs that `requirements/bench.txt` pins, in an environment of its own.

    It is made when it is not there, or was made of other requirements. Raises HandbookError when that fails.
    """
    locked, folder = ROOT / "requirements" / "bench.txt", ROOT / ".cache" / "bench"
    made_of = folder / "requirements.txt"
    if not made_of.exists() or made_of.read_bytes() != locked.read_bytes():
        _call([sys.executable, "-m", "venv", "--clear", str(folder)])
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _call([*pip, "--require-hashes", "-r", str(locked)])
        shutil.copyfile(locked, made_of)
    return folder / "bin"


def format_files() -> None:
    """Format the Python and shell files that git tracks or would track, in place."""
    files = Catalog().files
    python = [file for file in files if file.endswith(".py")]
    shell = [file for file in files if file.endswith(".sh") or file == ".ci/run"]
    _call([find("ruff"), "check", "--fix", "--quiet", *python])
    _call([find("ruff"), "format", "--quiet", *python])
    if shell:
        _call([find("shfmt"), "--write", *shell])
