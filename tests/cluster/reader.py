"""A reader of the page that tries the service out in a cluster: a copy of the files, and the programs of the page.

The commands are the page's own. In place of `kind`, which needs a registry for the image of its nodes, stands a program
of that name that gives images to the cluster of the tests; and where the page takes metrics-server's manifest from the
network, the cluster's own is applied.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from handbook import cluster, images, kustomize, stacks, tools
from handbook.catalog import ROOT, Catalog
from handbook.cluster import Cluster
from handbook.proof import digest, digests
from handbook.stacks import ClusterStack, ComposeStack
from handbook.walkthroughs import Walkthrough, steps
from tests.boot.building import path_with
from tests.boot.releases import changed

STACK = "kubernetes/try-out"
NAMESPACE = "assistant"
PORT = 30080
BUILT = (*(f"assistant:1.{minor}.0" for minor in range(4)), "assistant-provider:1.0.0")

# What is built upon, and with which arguments: as in Compose.
_PRODUCTION = ComposeStack("compose/production", Catalog())
_KIND = """\
#!/usr/bin/env bash
# Stands for kind: the cluster is there already, and goes when the tests end.
set -euo pipefail
case "$1 $2" in
  "create cluster") [[ $3 == --config && -f $4 ]] ;;
  "load docker-image")
    [[ $3 == --name ]]
    archive=$(mktemp)
    trap 'rm "$archive"' EXIT
    "{docker}" save --output "$archive" "${{@:5}}"
    for node in {nodes}; do
      "{docker}" exec --interactive "$node" ctr --namespace k8s.io images import --no-unpack - <"$archive" &
      started+=("$!")
    done
    for one in "${{started[@]}}"; do wait "$one"; done
    ;;
  "delete cluster") [[ $3 == --name ]] ;;
  *) exit 2 ;;
esac
"""
_KUBECTL = """\
#!/usr/bin/env bash
# The cluster's kubectl. What a page takes from metrics-server's releases is there already.
exec "{kubectl}" "${{@/#https:\\/\\/github.com\\/kubernetes-sigs\\/metrics-server\\/*/{metrics}}}"
"""


@dataclass(frozen=True)
class Door:
    """Where the service answers, on 127.0.0.1, and the key of the one who asks."""

    port: int
    key: str = ""
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> httpx.AsyncClient:
        """Return what sends many requests beside one another, each over a kept connection."""
        return httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=45)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send one request over a connection of its own and return the answer."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return httpx.request(method, f"{self.url}{path}", headers=headers, trust_env=False, timeout=30, **options)

    def search(self) -> httpx.Response:
        """Search for what nobody has asked before: the cache can't answer it while the database is away."""
        return self.ask("GET", "/v1/search", params={"q": f"what of {uuid.uuid4().hex}"})


class Reader:
    """A reader in the folder of the stack's copy, with `env` in the environment of every command."""

    def __init__(self, given: Cluster, folder: Path) -> None:
        self.cluster = given
        self.stack = ClusterStack(STACK, Catalog())
        self.folder = self.stack.unpack(folder / "copy")
        copied = digests(folder / "copy", (path.removeprefix("snippets/") for path in self.stack.files))
        self.files = {f"snippets/{path}": content for path, content in copied.items()}
        path = path_with(folder, _PRODUCTION.references, _PRODUCTION.build_arguments("service"))
        nodes = " ".join(given.containers[1:])
        metrics = str(ROOT / cluster.FOLDER / "system" / "metrics.yaml").replace("/", "\\/")
        _program(folder / "bin" / "kind", _KIND.format(docker=shutil.which("docker"), nodes=nodes))
        _program(folder / "bin" / "kubectl", _KUBECTL.format(kubectl=cluster.program("kubectl"), metrics=metrics))
        (folder / ".curlrc").write_text(f'connect-to = "127.0.0.1:{PORT}:127.0.0.1:{given.ports[PORT]}"\n')
        self.env = {**given.env, "PATH": path, "CURL_HOME": str(folder), "BUILDKIT_PROGRESS": "plain"}

    @property
    def door(self) -> Door:
        """The service, with the operator's key."""
        return Door(self.cluster.ports[PORT], (self.folder / "secrets" / "api_key").read_text().strip())

    @property
    def service(self) -> Path:
        """The folder of the service in the copy."""
        return self.folder / "../../service"

    def build(self, version: str, files: Mapping[str, str]) -> None:
        """Give the nodes a version of the service that differs in these files, named by their path in its folder."""
        image = f"assistant:{version}"
        with changed(self.service, files):
            built = self.run("docker", "build", "--quiet", "--tag", image, "../../service")
        assert built.returncode == 0, built.stderr
        given = self.run("kind", "load", "docker-image", "--name", "assistant", image)
        assert given.returncode == 0, given.stderr

    def walk(self) -> Walkthrough:
        """The page's walkthrough."""
        name = f"{self.stack.folder}/walkthrough.sh"
        return Walkthrough(self.folder / "walkthrough.sh", cwd=self.folder, env=self.env, name=name)

    def run(self, *command: str, timeout: float = 900, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder and return how it ended."""
        # What stands in the place of a program is found by the environment that the command gets.
        return tools.run(["env", *command], cwd=self.folder, env={**self.env, **env}, timeout=timeout)

    def operate(self, name: str, timeout: float = 900, **env: str) -> str:
        """Run the paragraph of `operate.sh` of that name and return what it prints. AssertionError when it fails."""
        texts = {step.name: step.text for step in steps(self.folder / "operate.sh")}
        shell = ["bash", "--noprofile", "--norc", "-euo", "pipefail", "-c", texts[name]]
        ran = self.run(*shell, timeout=timeout, **env)
        assert ran.returncode == 0, f"{name}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def get(self, *arguments: str) -> Any:
        """What `kubectl get` finds in the namespace of the service."""
        return self.cluster.get(*arguments, f"--namespace={NAMESPACE}")

    def pods(self, component: str) -> list[dict[str, Any]]:
        """The pods of one component that are not ending."""
        found = self.get("pods", f"--selector=app.kubernetes.io/component={component}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def ready(self, component: str) -> list[str]:
        """The names of the pods of one component that are ready and not ending."""
        return [pod["metadata"]["name"] for pod in self.pods(component) if _is_ready(pod)]

    def freeze(self, pod: str) -> None:
        """Stop the processes of the server in a pod, so that it answers nothing."""
        code = (
            "import contextlib, os, signal\n"
            "for pid in filter(str.isdigit, os.listdir('/proc')):\n"
            "    with contextlib.suppress(OSError):\n"
            "        line = open(f'/proc/{pid}/cmdline').read()\n"
            "        if 'gunicorn' in line and int(pid) != os.getpid(): os.kill(int(pid), signal.SIGSTOP)\n"
        )
        self.cluster.kubectl("exec", pod, f"--namespace={NAMESPACE}", "--", "python", "-c", code)

    def sql(self, statement: str) -> str:
        """What a statement yields in the service's database, one row a line."""
        psql = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--username=postgres"]
        command = ["exec", f"--namespace={NAMESPACE}", "postgres-0", "--", *psql, "--dbname=assistant"]
        return self.cluster.kubectl(*command, f"--command={statement}").strip()

    def pull(self) -> dict[str, images.Image]:
        """Give the nodes what they would take from a registry, and return it by the names that the files use."""
        found = images.ensure(pulled())
        self.cluster.load({image.name: image.local for image in found.values()})
        return found


@contextmanager
def reading(given: Cluster) -> Iterator[Reader]:
    """A reader with a copy of the files. In the end nothing of it is left in Docker's store.

    Raises AssertionError when there are images already that have the names of those that it builds.
    """
    there = [name for name in BUILT if tools.run(["docker", "image", "inspect", name]).returncode == 0]
    assert not there, f"these tests would replace {there}; remove them: docker image rm {' '.join(there)}"
    with tempfile.TemporaryDirectory(prefix="bootproof-") as scratch:
        try:
            yield Reader(given, Path(scratch).resolve())
        finally:
            tools.run(["docker", "image", "rm", "--force", *BUILT])


def remove(given: Cluster, namespace: str) -> None:
    """Remove a namespace from a cluster. AssertionError when it does not go."""
    inside, bounded = f"--namespace={namespace}", "--timeout=60s"
    # Nobody asks its pods any more. Those that it still has would make it wait for the longest of their graces.
    given.ask("delete", "deployments,statefulsets,replicasets,jobs", inside, "--all", "--cascade=orphan", bounded)
    given.ask("delete", "pods", inside, "--all", "--grace-period=0", "--force", bounded)
    ended = given.ask("delete", "namespace", namespace, "--ignore-not-found", "--timeout=120s", timeout=130)
    assert ended.returncode == 0, ended.stderr


def pulled() -> list[str]:
    """The images that the stack takes from a registry."""
    objects = kustomize.render(ROOT, f"snippets/{STACK}").objects
    return sorted({image for each in objects for image in _images(each.value)} - {*BUILT})


def inputs(*files: str) -> str:
    """The digest of all that decides how a module ends that reads this stack: `files` are its own besides these."""
    return digest(*(part for item in sorted(_inputs(files).items()) for part in item))


def _inputs(files: tuple[str, ...]) -> Mapping[str, str]:
    boot, own = ROOT / "tests" / "boot", ROOT / "tests" / "cluster"
    helpers = [*(boot / name for name in ("building.py", "client.py", "load.py", "releases.py"))]
    also = [*map(Path, files), *helpers, own / "conftest.py", own / "reader.py"]
    return {
        **digests(ROOT, kustomize.pins()),
        **ClusterStack(STACK, Catalog()).inputs(also),
        **cluster.inputs(),
        **stacks.image_ids([*pulled(), *_PRODUCTION.references]),
    }


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _images(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("image"), str):
            yield value["image"]
        for inner in value.values():
            yield from _images(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _images(inner)


def _program(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    file.chmod(0o755)
