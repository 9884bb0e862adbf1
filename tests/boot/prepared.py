"""Runs `prepare.sh`, and looks at what it has made."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from handbook.stacks import HOST


def prepare(folder: Path, host: str = HOST, *task: str, path: str = "") -> subprocess.CompletedProcess[str]:
    """Run the script of `folder` with bash for a host; `path` takes the place of the PATH."""
    script = [shutil.which("bash") or "bash", "prepare.sh", host, *task]
    environment = {**os.environ, "PATH": path or os.environ["PATH"]}
    return subprocess.run(script, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def seen(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Everything below `folder` with its owner, mode, time and, where this user may read it, content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        stat = path.stat()
        content = path.read_bytes() if path.is_file() and os.access(path, os.R_OK) else b""
        found[str(path.relative_to(folder))] = (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_mtime_ns, content)
    return found
