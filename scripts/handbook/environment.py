"""Keeps the environment of the handbook: its locks, its npm tools, the formatting of its files."""

from __future__ import annotations

import os
import subprocess
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
    """Resolve the requirements of the service and of the handbook again and write them with hashes.

    The service comes first: those who develop it and the handbook have the very versions that it ships with.
    """
    service = "snippets/service/pyproject.toml"
    shipped, developed = "snippets/service/requirements.txt", "snippets/service/requirements-development.txt"
    development = ["--group", f"{service}:development"]
    _compile("--no-annotate", service, "--output-file", shipped)
    _compile("--no-annotate", service, *development, "--constraint", shipped, "--output-file", developed)
    inputs = ["requirements/handbook.in", service, *development]
    _compile(*inputs, "--constraint", developed, "--output-file", "requirements/handbook.txt")


def _compile(*arguments: str) -> None:
    options = ["--universal", "--generate-hashes", "--no-header", "--no-emit-index-url", "--python-version", "3.11"]
    _call([find("uv"), "pip", "compile", "--quiet", *options, *arguments])


def format_files() -> None:
    """Format the Python and shell files that git tracks or would track, in place."""
    files = Catalog().files
    python = [file for file in files if file.endswith(".py")]
    shell = [file for file in files if file.endswith(".sh") or file == ".ci/run"]
    _call([find("ruff"), "check", "--fix", "--quiet", *python])
    _call([find("ruff"), "format", "--quiet", *python])
    if shell:
        _call([find("shfmt"), "--write", *shell])
