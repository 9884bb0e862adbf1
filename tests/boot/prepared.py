"""Runs `prepare.sh`, and looks at what it has made; makes what a public authority would."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from handbook import tools
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


class Public:
    """An authority that vouches as public ones do: the file has the certificate and one more between it and the root.

    A system knows it that has `root` in its store (`SSL_CERT_FILE`).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sign("root", "CA:TRUE")
        self._sign("between", "CA:TRUE", by="root")
        self.root = folder / "root.crt"
        self.between = (folder / "between.crt").read_text()

    def certify(self, name: str, *, expired: bool = False) -> tuple[str, str]:
        """Return a certificate for a host, and its key."""
        days = -1 if expired else 1
        self._sign("leaf", "CA:FALSE", "-addext", f"subjectAltName=DNS:{name}", by="between", days=days)
        return (self._folder / "leaf.crt").read_text(), (self._folder / "leaf.key").read_text()

    def _sign(self, name: str, constraint: str, *options: str, by: str = "", days: int = 1) -> None:
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", f"{name}.key")
        named = ("-subj", f"/CN={name}", "-addext", f"basicConstraints=critical,{constraint}", *options)
        signer = ("-CA", f"{by}.crt", "-CAkey", f"{by}.key") if by else ("-key", f"{name}.key")
        self._openssl("req", "-new", *key, *named, "-out", f"{name}.csr")
        copied = ("-req", "-in", f"{name}.csr", "-copy_extensions", "copy")
        self._openssl("x509", *copied, *signer, "-days", str(days), "-out", f"{name}.crt")

    def _openssl(self, *arguments: str) -> None:
        made = tools.run(["openssl", *arguments], cwd=self._folder)
        assert made.returncode == 0, made.stderr
