"""A Kubernetes cluster on this machine: a control plane and two nodes, each a container, with a network of their own.

The kubelets, the API server and what else is the cluster are real programs, built from the Go modules that
`tools/cluster` pins; what they stand on (containerd, runc, etcd) comes from Debian's packages. `scripts/cluster/` has
how they are started. Nothing of it is reached from elsewhere: its ports are published on 127.0.0.1 alone.
"""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from handbook import catalog, go, images
from handbook.findings import HandbookError
from handbook.proof import digests
from handbook.stacks import default_mtu, free_ports
from handbook.tools import run

TOOLS = "cluster"
FOLDER = "scripts/cluster"
NODES = ("node-1", "node-2")
VOLUMES = 12
"""How many volumes of 1 GiB there are for claims. Both nodes reach them."""

_BASE = "debian:trixie-slim"
_CONTROL = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
_NODE = ("kubelet", "kube-proxy", "kube-router")
_SYSTEM = ("coredns", "metrics-server", "pause")
_READY_SECONDS = 120
_REMOVALS = 5
_POD_RANGES = {name: f"10.244.{number}.0/24" for number, name in enumerate(NODES, 1)}
_API_PORT = 6443
_SHARED = "/shared"

# Who may log in, and the groups that say what each may do. What they may do is in the cluster roles that every API
# server makes: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings.
_USERS = {
    "admin": ("admin", "system:masters"),
    "controllers": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", "system:node-proxier"),
    # It reads pods, namespaces and policies.
    "policies": ("network-policies", "system:masters"),
    **{node: (f"system:node:{node}", "system:nodes") for node in NODES},
}


def version() -> str:
    """The version of Kubernetes that `tools/cluster/go.mod` pins, such as `v1.37.1`."""
    return go.pinned(TOOLS)["k8s.io/kubernetes"]


@cache
def program(name: str) -> Path:
    """One of the cluster's programs, built when it is not there. Raises what `go.built` raises."""
    pinned = go.pinned(TOOLS)
    major, minor = version().removeprefix("v").split(".")[:2]
    stamps = {
        f"{package}.{field}": value
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for field, value in (("gitVersion", version()), ("gitMajor", major), ("gitMinor", minor))
    }
    stamps["sigs.k8s.io/metrics-server/pkg/version.gitVersion"] = pinned["sigs.k8s.io/metrics-server"]
    return go.built(TOOLS, name, ldflags=" ".join(f"-X {field}={value}" for field, value in stamps.items()))


def build() -> None:
    """Build the programs of a cluster that are not there.

    Says on stderr what is built and how long it takes. Raises HandbookError when one can't be built.
    """
    for name in (*_CONTROL, *_NODE, *_SYSTEM, "kubectl"):
        program(name)


def prepare() -> None:
    """Build all that a cluster is made of: its programs, and the image that its containers start from.

    Raises HandbookError when one can't be built.
    """
    build()
    _image()


def inputs() -> dict[str, str]:
    """All that a cluster is made of, by name, without building it: for the digest of what runs in it."""
    files = (path for path in catalog.Catalog().files if path.startswith((f"{FOLDER}/", f"tools/{TOOLS}/")))
    return digests(catalog.ROOT, files)


def _image() -> str:
    return images.built_upon(_BASE, f"{FOLDER}/Dockerfile", "cluster")


class Cluster:
    """A control plane and two nodes, in a `with` statement. Its end removes them with all that they hold.

    `env` is what `kubectl` needs to find it, with the folder of the pinned kubectl on the `PATH`.
    `ports` maps each port of a node that it was given to one on 127.0.0.1; `seconds` is the time from nothing to a
    cluster whose nodes and system pods are ready. Raises HandbookError when it does not come up, with the end of the
    logs.
    """

    def __init__(self, ports: Iterable[int] = ()) -> None:
        self.name = f"cluster-{os.getpid()}-{random.randrange(16**4):04x}"
        self.ports = dict(zip(ports, free_ports(), strict=False))
        self.seconds = 0.0
        self._api_port = next(free_ports())

    def __enter__(self) -> Cluster:
        prepare()
        self.scratch = Path(tempfile.mkdtemp(prefix="bootproof-cluster-")).resolve()
        try:
            self._start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    @property
    def env(self) -> dict[str, str]:
        """What the environment of every command gets that is to find the cluster."""
        return {
            "KUBECONFIG": str(self.scratch / "kubeconfig"),
            # What kubectl has learnt of this cluster goes with it.
            "KUBECACHEDIR": str(self.scratch / "cache"),
            "PATH": f"{program('kubectl').parent}:{os.environ['PATH']}",
        }

    @property
    def containers(self) -> tuple[str, ...]:
        """The names of its containers: the control plane's, and one a node."""
        return (self._container("control"), *map(self._container, NODES))

    def kubectl(self, *arguments: str, input: str | None = None, timeout: float = 120) -> str:
        """Run `kubectl` and return what it printed. Raises HandbookError, with its message, when it fails."""
        result = self.ask(*arguments, input=input, timeout=timeout)
        if result.returncode:
            said = (result.stdout + result.stderr).strip()
            raise HandbookError(f"`kubectl {' '.join(arguments)}` ended with {result.returncode}:\n{said}")
        return result.stdout

    def ask(self, *arguments: str, input: str | None = None, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run `kubectl` and return how it ended."""
        return run([str(program("kubectl")), *arguments], env=self.env, input=input, timeout=timeout)

    def get(self, *arguments: str) -> Any:
        """What `kubectl get` finds, read from JSON."""
        return json.loads(self.kubectl("get", *arguments, "--output=json"))

    def load(self, given: Mapping[str, str]) -> None:
        """Give every node images of this machine: each `name` that pods use, and the image here that stands for it."""
        wanted = [*given.values()]
        tags = "".join(
            f" && ctr --namespace k8s.io images tag --force {_full(local)} {_full(name)} >/dev/null"
            for name, local in given.items()
            if name != local
        )
        take = f"ctr --namespace k8s.io images import --no-unpack - >/dev/null{tags}"
        with tempfile.NamedTemporaryFile(dir=self.scratch) as archive, ThreadPoolExecutor(len(NODES)) as threads:
            saved = run(["docker", "save", "--output", archive.name, *wanted])
            if saved.returncode:
                raise HandbookError(f"{', '.join(wanted)} can't be saved: {saved.stderr.strip()}")
            for result in threads.map(lambda node: self._take(node, take, archive.name), NODES):
                if result.returncode:
                    raise HandbookError(f"a node did not take {', '.join(wanted)}: {result.stderr.strip()}")

    def _take(self, node: str, script: str, archive: str) -> subprocess.CompletedProcess[str]:
        give = f'docker exec --interactive "$1" sh -euc "$2" <{archive}'
        command = ["bash", "-euo", "pipefail", "-c", give, "take", self._container(node), script]
        return run(command, timeout=600)

    def inside(self, node: str, script: str) -> subprocess.CompletedProcess[str]:
        """Run a shell script in a node."""
        return run(["docker", "exec", self._container(node), "bash", "-euo", "pipefail", "-c", script])

    def kill(self, node: str) -> None:
        """End a node as a power cut does. It stays away."""
        _docker("kill", self._container(node))

    def report(self) -> str:
        """Say how the cluster is: its nodes, its pods, the last events; for a failure."""
        asked = (
            ("get", "nodes", "--output=wide"),
            ("get", "pods", "--all-namespaces", "--output=wide"),
            ("get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"),
        )
        parts = []
        for arguments in asked:
            result = self.ask(*arguments)
            lines = (result.stdout + result.stderr).strip().splitlines()
            parts += [f"--- kubectl {' '.join(arguments)}", *lines[:1], *lines[1:][-40:]]
        return "\n".join(parts)

    def _container(self, part: str) -> str:
        return f"{self.name}-{part}"

    def _start(self) -> None:
        image = _image()
        began = time.monotonic()
        self._write_keys()
        _docker("network", "create", f"--opt=com.docker.network.driver.mtu={default_mtu()}", self.name)
        with ThreadPoolExecutor(len(NODES) + 1) as threads:
            made = threads.submit(system_images)
            parts = (
                threads.submit(self._run_control, image),
                *(threads.submit(self._run_node, image, n) for n in NODES),
            )
            for part in parts:
                part.result()
            self._route()
            loaded = threads.submit(self.load, made.result())
            self._wait("the API server", lambda: self.ask("get", "--raw", "/readyz").returncode == 0)
            self._wait("the nodes", self._registered)
            for file in sorted((catalog.ROOT / FOLDER / "system").glob("*.yaml")):
                self.kubectl("apply", "--server-side", f"--filename={file}")
            self.kubectl("apply", "--server-side", "--filename=-", input=self._volumes())
            loaded.result()
        self._wait("the nodes and the system's pods", self._ready)
        self.seconds = time.monotonic() - began

    def _write_keys(self) -> None:
        """Write keys, certificates and tokens, and a kubeconfig for each who logs in."""
        folder = self.scratch / "keys"
        folder.mkdir()
        names = "subjectAltName=DNS:control,DNS:localhost,IP:127.0.0.1,IP:10.96.0.1"
        _openssl(folder, "req", "-x509", "-noenc", "-subj", "/CN=cluster", "-days", "2", "ca", "ca")
        for name, subject, extra in (
            ("server", "/CN=kube-apiserver", names),
            ("client", "/O=system:masters/CN=kube-apiserver", "extendedKeyUsage=clientAuth"),
            ("aggregator", "/CN=aggregator", "extendedKeyUsage=clientAuth"),
        ):
            issued = ("-CA", "ca.crt", "-CAkey", "ca.key", "-addext", extra)
            _openssl(folder, "req", "-x509", "-noenc", "-subj", subject, "-days", "2", *issued, name, name)
        _openssl(folder, "genrsa", "-out", "accounts.key", "2048")
        _openssl(folder, "rsa", "-in", "accounts.key", "-pubout", "-out", "accounts.pub")
        with (folder / "tokens.csv").open("w", newline="") as file:
            lines = csv.writer(file)
            for login, (user, group) in _USERS.items():
                token = random.SystemRandom().randbytes(24).hex()
                lines.writerow([token, user, login, *([group] if group else [])])
                _write_kubeconfig(folder / f"{login}.conf", f"https://control:{_API_PORT}", "/cluster/ca.crt", token)
                if login == "admin":
                    here = f"https://127.0.0.1:{self._api_port}"
                    _write_kubeconfig(self.scratch / "kubeconfig", here, str(folder / "ca.crt"), token)

    def _run_control(self, image: str) -> None:
        port = f"--publish=127.0.0.1:{self._api_port}:{_API_PORT}"
        # What aggregates APIs, such as that of the metrics, asks pods: their network has to be known here, too.
        self._run("control", image, _CONTROL, "--cap-add=NET_ADMIN", "--network-alias=control", port)

    def _run_node(self, image: str, node: str) -> None:
        published = [f"--publish=127.0.0.1:{free}:{port}" for port, free in self.ports.items() if node == NODES[0]]
        place = ["--privileged", "--cgroupns=private", "--tmpfs=/run", "--tmpfs=/tmp"]
        # overlayfs does not stand on overlayfs.
        stores = ["--volume=/var/lib/containerd", "--volume=/var/lib/kubelet", f"--volume={self.name}:{_SHARED}"]
        named = [f"--env=NODE={node}", f"--env=PODS={_POD_RANGES[node]}", "--volume=/lib/modules:/lib/modules:ro"]
        self._run(node, image, _NODE, *place, *stores, *named, *published, script="node.sh")

    def _run(self, part: str, image: str, programs: Iterable[str], *options: str, script: str = "control.sh") -> None:
        mounts = [f"--volume={program(name)}:/usr/local/bin/{name}:ro" for name in programs]
        keys = f"--volume={self.scratch / 'keys'}:/cluster:ro"
        scripts = f"--volume={catalog.ROOT / FOLDER}:/scripts:ro"
        named = [f"--name={self._container(part)}", f"--hostname={part}", f"--network={self.name}"]
        _docker("run", "--detach", *named, keys, scripts, *mounts, *options, image, f"/scripts/{script}")

    def _route(self) -> None:
        """Tell everybody who has which pods."""
        found = json.loads(_docker("inspect", *self.containers))
        addresses = [each["NetworkSettings"]["Networks"][self.name]["IPAddress"] for each in found]
        for container in self.containers:
            for node, address in zip(NODES, addresses[1:], strict=True):
                if container != self._container(node):
                    route = ["ip", "route", "replace", _POD_RANGES[node], "via", address]
                    _docker("exec", container, *route)

    def _registered(self) -> bool:
        """Whether both nodes have told the API server about themselves; says then which pods each has."""
        found = self.ask("get", "nodes", "--output=name").stdout.split()
        if len(found) < len(NODES):
            return False
        for node in NODES:
            ranges = json.dumps({"spec": {"podCIDR": _POD_RANGES[node], "podCIDRs": [_POD_RANGES[node]]}})
            self.kubectl("patch", "node", node, f"--patch={ranges}")
            self.inside(node, "touch /run/registered")
        return True

    def _ready(self) -> bool:
        waits = ("wait", "--timeout=0s", "--for=condition=Ready", "nodes", "--all")
        pods = ("wait", "--timeout=0s", "--for=condition=Available", "--namespace=kube-system", "deployments", "--all")
        metrics = ("get", "--raw", "/apis/metrics.k8s.io/v1beta1")
        return all(self.ask(*arguments).returncode == 0 for arguments in (waits, pods, metrics))

    def _wait(self, what: str, question: Any) -> None:
        end = time.monotonic() + _READY_SECONDS
        while not question():
            gone = [name for name in self.containers if not _runs(name)]
            if gone or time.monotonic() > end:
                why = f"{', '.join(gone)} ended" if gone else f"not ready after {_READY_SECONDS} s"
                logs = "\n".join(f"--- {name}\n{_log(name)}" for name in gone or self.containers)
                raise HandbookError(f"{self.name}: {what}: {why}\n{self.report()}\n{logs}")
            time.sleep(0.2)

    def _volumes(self) -> str:
        """Volumes for claims. No provisioner makes them: they are there, as on a cluster whose disks somebody made."""
        folders = " ".join(f"{_SHARED}/{number}" for number in range(VOLUMES))
        self.inside(NODES[0], f"mkdir --parents {folders}")
        anywhere = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [*NODES]}]}
        return yaml.safe_dump_all(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": f"disk-{number}"},
                "spec": {
                    "capacity": {"storage": "1Gi"},
                    "accessModes": ["ReadWriteOnce"],
                    "persistentVolumeReclaimPolicy": "Retain",
                    "storageClassName": "standard",
                    "local": {"path": f"{_SHARED}/{number}"},
                    "nodeAffinity": {"required": {"nodeSelectorTerms": [anywhere]}},
                },
            }
            for number in range(VOLUMES)
        )

    def _remove(self) -> None:
        # The engine may still be making what an interrupt has cut off.
        for _ in range(_REMOVALS):
            run(["docker", "rm", "--force", "--volumes", *self.containers])
            run(["docker", "network", "rm", self.name])
            if run(["docker", "network", "inspect", self.name]).returncode:
                break
            time.sleep(1)
        run(["docker", "volume", "rm", "--force", self.name])
        shutil.rmtree(self.scratch, ignore_errors=True)


def system_images() -> dict[str, str]:
    """Make an image of each program that runs in a pod of the cluster's own, and return them by their name there."""
    made = {}
    for name in _SYSTEM:
        built = program(name)
        image = f"bootproof.local/{name}:{built.parent.name}"
        if run(["docker", "image", "inspect", image]).returncode:
            entry = f'--change=ENTRYPOINT ["/{name}"]'
            pack = 'tar --create --directory "$1" "$2" | docker import "$3" - "$4"'
            result = run(["bash", "-euo", "pipefail", "-c", pack, "pack", str(built.parent), name, entry, image])
            if result.returncode:
                raise HandbookError(f"{image} can't be made: {result.stderr.strip()}")
        made[f"bootproof.local/{name}:1"] = image
    return made


def leftovers() -> list[str]:
    """The containers, networks and volumes of clusters that are still there."""
    lists = {"container": ["ps", "--all"], "network": ["network", "ls"], "volume": ["volume", "ls"]}
    shown = {"container": "{{.Names}}", "network": "{{.Name}}", "volume": "{{.Name}}"}
    return [
        f"{kind} {name}"
        for kind, command in lists.items()
        for name in run(["docker", *command, "--filter=name=cluster-", f"--format={shown[kind]}"]).stdout.split()
    ]


def _full(name: str) -> str:
    """An image's name with all that Docker leaves out: https://pkg.go.dev/github.com/distribution/reference."""
    first, slash, _ = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"


def _write_kubeconfig(file: Path, server: str, authority: str, token: str) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": {"server": server, "certificate-authority": authority}}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "cluster", "context": {"cluster": "cluster", "user": "user"}}],
        "current-context": "cluster",
    }
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(config), encoding="utf-8")


def _openssl(folder: Path, *arguments: str) -> None:
    """Run openssl in a folder; for `req`, the last two words name the key and the certificate to make."""
    words = [*arguments]
    if words[0] == "req":
        key, certificate = words[-2:]
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        words = [*words[:-2], *kind, "-keyout", f"{key}.key", "-out", f"{certificate}.crt"]
    result = run(["openssl", *words], cwd=folder)
    if result.returncode:
        raise HandbookError(f"`openssl {' '.join(words)}` ended with {result.returncode}: {result.stderr.strip()}")


def _docker(*arguments: str) -> str:
    result = run(["docker", *arguments])
    if result.returncode:
        raise HandbookError(f"`docker {' '.join(arguments)}` ended with {result.returncode}: {result.stderr.strip()}")
    return result.stdout


def _runs(container: str) -> bool:
    return run(["docker", "inspect", "--format={{.State.Running}}", container]).stdout.strip() == "true"


def _log(container: str) -> str:
    result = run(["docker", "logs", "--tail=30", container])
    return (result.stdout + result.stderr).strip()
