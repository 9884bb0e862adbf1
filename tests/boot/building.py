"""A `docker` whose builds find their bases on this machine, by the official names that a Dockerfile writes."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from handbook import images


def path_with(folder: Path, references: Iterable[str], arguments: Mapping[str, str] | None = None) -> str:
    """Put it into `folder`/bin and return the PATH that has it first.

    `references` are the images that are built upon, `arguments` the values of build arguments.
    """
    options = [f"--build-context={image.name}={image.build_context}" for image in images.ensure(references).values()]
    options += [f"--build-arg={name}={value}" for name, value in (arguments or {}).items()]
    shim = folder / "bin" / "docker"
    shim.parent.mkdir()
    shim.write_text(
        f"#!/usr/bin/env bash\ndocker={shutil.which('docker')}\n"
        f'[[ $1 == build ]] && shift && exec "$docker" build {shlex.join(options)} "$@"\nexec "$docker" "$@"\n'
    )
    shim.chmod(0o755)
    return f"{shim.parent}:{os.environ['PATH']}"
