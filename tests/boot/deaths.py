"""Kills what runs in a booted stack, as the kernel does it for lack of memory: with no signal to stop before."""

from handbook import tools

from .containers import Container, named

# Those at the end of the tree: neither the first, nor who has started others, nor this program, which Docker starts.
_LEAVES = """
import os
parents = {}
for pid in filter(str.isdigit, os.listdir("/proc")):
    with open(f"/proc/{pid}/stat") as stat:
        parents[pid] = stat.read().rpartition(")")[2].split()[1]
for pid in parents.keys() - parents.values():
    if parents[pid] != "0":
        os.kill(int(pid), 9)
        print(pid)
"""


def kill_processes(container: Container) -> None:
    """Kill all processes of a container that do its work, and leave the one that watches over them."""
    killed = tools.run(["docker", "exec", container["Id"], "python", "-c", _LEAVES])
    assert killed.stdout, f"{named(container)}: none was killed; {killed.stderr}"


def kill(container: Container) -> None:
    """Kill the first process of a container. Unlike after `docker kill`, Docker starts it again."""
    config, pid = container["Config"], container["State"]["Pid"]
    command = ["docker", "run", "--rm", "--pid=host", "--network=none", f"--user={config['User']}", "--entrypoint=sh"]
    killed = tools.run([*command, config["Image"], "-c", f"kill -KILL {pid}"])
    assert killed.returncode == 0, f"{named(container)}: {killed.stderr}"
