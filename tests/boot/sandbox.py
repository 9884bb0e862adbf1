"""Tries in the sandbox of a unit what a process would try that was broken into, and tells how each try ended."""

from __future__ import annotations

import json
from typing import Any

from .machine import Machine

_PROGRAM = "/usr/local/lib/tries.py"
_SETUID = "/usr/local/bin/setuid-id"
_FOUND = "/run/tried"

# Each try is "done", or has the name of the error with which it ended. What a try makes, it removes.
_TRIES = r"""
import ctypes, errno, json, mmap, os, pathlib, socket, stat, subprocess, tempfile

libc = ctypes.CDLL(None, use_errno=True)


def outcome(action, *arguments):
    try:
        action(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"


def call(name, *arguments):
    # In a process of its own, for some of these change who calls.
    child = os.fork()
    if child == 0:
        os._exit(ctypes.get_errno() if libc[name](*arguments) == -1 else 0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return errno.errorcode[code] if code else "done"


def write(folder):
    with tempfile.NamedTemporaryFile(dir=folder):
        pass


def change(path):
    os.close(os.open(path, os.O_WRONLY))


def make_setuid():
    with tempfile.NamedTemporaryFile() as file:
        os.chmod(file.name, 0o4755)


def devices():
    modes = {entry.name: entry.stat(follow_symlinks=False).st_mode for entry in os.scandir("/dev")}
    return sorted(name for name, mode in modes.items() if stat.S_ISCHR(mode) or stat.S_ISBLK(mode))


def foreign(pid):
    try:
        return os.stat(f"/proc/{pid}").st_uid != os.getuid()
    except FileNotFoundError:
        return False


folders = ["/etc", "/etc/assistant", "/opt/assistant", "/opt/assistant/current/assistant", "/usr/local/lib", "/var/lib",
           "/var/log", "/var/log/assistant", "/run", "/home", "/root"]
secrets = ["/etc/assistant/credentials", "/etc/assistant/credentials/backup_password", "/etc/assistant/tls/tls.key",
           "/etc/assistant/ca/ca.key", "/etc/shadow", "/etc/redis/broker.acl", "/var/lib/postgresql/17/main",
           "/var/lib/redis/broker", "/run/credentials/assistant-beat.service"]
tried = {f"write into {folder}": outcome(write, folder) for folder in folders}
tried |= {f"read {path}": outcome(os.listdir if os.path.isdir(path) else open, path) for path in secrets}
tried |= {f"look into {folder}": outcome(os.listdir, folder) for folder in ("/home", "/root")}
tried |= {f"change {path}": outcome(change, path)
          for path in ("/proc/sys/vm/swappiness", "/sys/kernel/mm/ksm/run", "/dev/kmsg")}
tried |= {
    "mount": call("mount", b"none", b"/mnt", b"tmpfs", 0, None),
    "a namespace": call("unshare", 0x10000000),
    "to be traced": call("ptrace", 0, 0, 0, 0),
    "another user": call("setuid", 33),
    "a setuid program": outcome(make_setuid),
    "memory to write and execute": outcome(lambda: mmap.mmap(-1, 4096, prot=7).close()),
    "a socket for packets": outcome(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()),
}
status = dict(line.split(":\t") for line in pathlib.Path("/proc/self/status").read_text().splitlines())
print(json.dumps({
    "tried": tried,
    "status": {name: status[name] for name in ("NoNewPrivs", "CapPrm", "CapEff", "CapBnd", "Seccomp")},
    "user of a setuid program": subprocess.run(["/usr/local/bin/setuid-id", "-u"], capture_output=True).stdout.decode(),
    "processes of others": sorted(pid for pid in os.listdir("/proc") if pid.isdigit() and foreign(pid)),
    "files of others in /tmp": os.listdir("/tmp"),
    "devices": devices(),
    "credentials": sorted(os.listdir(own) if (own := os.environ.get("CREDENTIALS_DIRECTORY")) else []),
    "written": {path: outcome(write, path) for path in os.environ.get("MAY_WRITE", "").split()},
}))
"""


def prepare(machine: Machine) -> None:
    """Put the program that tries into a machine, with one that root lends its rights to, and a file in its /tmp."""
    machine.run(f"cat >{_PROGRAM} <<'END'\n{_TRIES}\nEND\ninstall --mode=4755 /usr/bin/id {_SETUID}; touch /tmp/marked")


def remove(machine: Machine) -> None:
    machine.run(f"rm --force {_PROGRAM} {_SETUID} {_FOUND} /tmp/marked")


def tried_in(machine: Machine, unit: str, may_write: str) -> dict[str, Any]:
    """What is found in the sandbox of a unit, of which one more is run for it; the unit itself goes on.

    `may_write` names the folders, apart by blanks, in which it is to write.
    """
    # One more instance of a template, or a copy under a name that gets the same drop-in.
    template = "@" in unit
    probe = f"{unit.partition('@')[0]}@probe.service" if template else "assistant-probe.service"
    place = "/run/systemd/system"
    copy = "" if template else f"cp /etc/systemd/system/{unit} {place}/{probe}"
    # A folder that it shared would go with it.
    changes = f"""[Unit]
OnFailure=
[Service]
Type=oneshot
Restart=no
TimeoutStartSec=30
RuntimeDirectory=
WorkingDirectory=/
Environment=MAY_WRITE="{may_write}" TMPDIR=
ExecStart=
ExecStart=/usr/bin/python3 {_PROGRAM}
StandardOutput=truncate:{_FOUND}"""
    try:
        machine.run(
            f"mkdir --parents {place}/{probe}.d\n{copy}\ncat >{place}/{probe}.d/probe.conf <<'END'\n{changes}\nEND\n"
            f"systemctl daemon-reload\n"
            f"systemctl start {probe} || {{ journalctl --no-pager --unit={probe} --lines=20 --output=cat; exit 1; }}"
        )
        return _found(machine.run(f"cat {_FOUND}").stdout)
    finally:
        machine.run(f"rm --recursive --force {place}/{probe}.d {place}/{probe}; systemctl daemon-reload")


def tried_without(machine: Machine) -> dict[str, Any]:
    """What root finds without a sandbox."""
    # Mounts of its own, which end with it.
    return _found(machine.run(f"unshare --mount python3 {_PROGRAM}").stdout)


def _found(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found
