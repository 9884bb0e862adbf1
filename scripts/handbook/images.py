"""Makes sure that the images of the snippets exist on this machine, and says what they really are.

The files name official images by tag. Where a registry answers they are pulled, with the digest of
`requirements/images.lock` when it has one. Where none answers, a substitute is built from Debian packages by
`scripts/images/<repository>/Dockerfile`, under a name of its own: an official name never stands for something
else in a developer's store.

Environment: `IMAGES` (official, substitute or auto), `REGISTRY` (a prefix that stands in for Docker Hub) and
`DEBIAN_MIRROR` (where substitutes get packages from when this machine's apt does not know a Debian archive).
"""

from __future__ import annotations

import contextlib
import fcntl
import fnmatch
import functools
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from handbook import catalog
from handbook.findings import HandbookError
from handbook.proof import digest
from handbook.tools import run

FOLDERS = catalog.ROOT / "scripts" / "images"
LOCK = catalog.ROOT / "requirements" / "images.lock"

_MODES = ("official", "substitute", "auto")
_OWN_PREFIX = "bootproof.local/"
_FROM_BASE = re.compile(rf"FROM {re.escape(_OWN_PREFIX)}base:(?P<suite>[a-z]+)\n")
_CONTENT_LABEL = "bootproof.content"
_CONTENTS_LABEL = "bootproof.contents"
_LOG_LINES = 30
_LOOK_UP_SECONDS = 15
_BUILD_SECONDS = 900

# The grammar of a reference is that of github.com/distribution/reference, without a digest.
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:(?P<registry>localhost(?::\d+)?|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::\d+)?|[A-Za-z0-9-]+:\d+)/)?"
    rf"(?P<repository>{_PART}(?:/{_PART})*):(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})"
)
_PREFIX = re.compile(rf"[A-Za-z0-9.-]+(?::\d+)?(?:/{_PART})*")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ImageError(HandbookError):
    """An image cannot be had. The message is for a person and says what to do."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An image as the files write it: `nginx:1.30.6`, `ghcr.io/owner/name:1.0`."""

    registry: str
    repository: str
    tag: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference with a tag and without a digest; raises ImageError on anything else."""
        found = _REFERENCE.fullmatch(text)
        if found is None:
            raise ImageError(
                f"`{text}` is not an image with a tag, such as nginx:1.30.6; digests belong into {_shown(LOCK)}"
            )
        return cls(found["registry"] or "", found["repository"], found["tag"])

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}:{self.tag}" if self.registry else f"{self.repository}:{self.tag}"

    def behind(self, prefix: str) -> str:
        """Return the reference as a mirror of Docker Hub under `prefix` has it; other registries stay as they are."""
        if not prefix or self.registry:
            return str(self)
        repository = self.repository if "/" in self.repository else f"library/{self.repository}"
        return f"{prefix}/{repository}:{self.tag}"


@dataclass(frozen=True, slots=True)
class Image:
    """An image that is there. `name` stands in the files, `local` is what Compose and Docker have to be given."""

    name: str
    local: str
    id: str
    official: bool
    contents: str = ""

    @property
    def build_context(self) -> str:
        """The value for `build.additional_contexts` or `docker build --build-context` under the key `name`."""
        return f"docker-image://{self.local}"

    def __str__(self) -> str:
        if self.official:
            return f"official: {self.local}"
        return f"substitute: {self.contents}"


def ensure(references: Iterable[str]) -> dict[str, Image]:
    """Pull or build what is missing of `references` and return an image for each of them, keyed by the reference.

    Raises ImageError when one cannot be had, with the end of the log.
    """
    parsed = {text: Reference.parse(text) for text in references}
    mode = decide(parsed)
    digests = read_lock() if mode == "official" else {}
    with _one_at_a_time():
        if mode == "official":
            return {text: _pulled(reference, digests) for text, reference in parsed.items()}
        return {text: _built(reference) for text, reference in parsed.items()}


def built_upon(base: str, file: str, repository: str) -> str:
    """Return the name of an image of our own in `repository`, which is built when it is not there.

    `file` is its Dockerfile, as a path in the repository, and takes nothing from its folder. It starts from `base`, for
    which a substitute may stand. Older images of `repository` are removed. Raises ImageError, with the end of the log,
    when it can't be built.
    """
    below = ensure([base])[base]
    dockerfile = catalog.ROOT / file
    name = f"{_OWN_PREFIX}{repository}:{digest(dockerfile.read_bytes(), below.id)[:12]}"
    with _one_at_a_time():
        if run(["docker", "image", "inspect", name]).returncode:
            build = ["docker", "build", "--progress", "plain", "--build-context", f"{base}={below.build_context}"]
            with _progress(f"building {repository} from {file}"):
                _run_or_show([*build, "--tag", name, str(dockerfile.parent)], f"the image of {file}")
            listed = ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", f"{_OWN_PREFIX}{repository}"]
            for other in set(run(listed).stdout.split()) - {name}:
                run(["docker", "image", "rm", other])
    return name


def decide(references: Iterable[str]) -> str:
    """Return `official` or `substitute`: what `IMAGES` says, or what is possible for these references.

    With `auto`, official images are taken when all are on this machine or every registry that has to be asked
    answers. A registry is asked once in the life of the process. Raises ImageError on any other value of `IMAGES`.
    """
    mode = os.environ.get("IMAGES") or "auto"
    if mode not in _MODES:
        raise ImageError(f"IMAGES={mode} is not known; use one of {', '.join(_MODES)}")
    if mode != "auto":
        return mode
    digests = read_lock()
    parsed = [Reference.parse(text) for text in references]
    missing = [reference for reference in parsed if _inspect(_official_name(reference, digests)) is None]
    one_of_each = {reference.registry: reference for reference in missing}
    answers = all(_registry_answers(reference.behind(_prefix())) for reference in one_of_each.values())
    return "official" if answers else "substitute"


def read_lock(path: Path = LOCK) -> dict[str, str]:
    """Return digest by reference from lines such as `nginx:1.30.6@sha256:...`; no file is an empty lock."""
    digests: dict[str, str] = {}
    lines = path.read_text().splitlines() if path.exists() else []
    for number, line in enumerate(lines, start=1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        name, _, digest = entry.partition("@")
        if not (_REFERENCE.fullmatch(name) and _DIGEST.fullmatch(digest)):
            raise ImageError(
                f"{_shown(path)}:{number}: `{entry}` is not name:tag@sha256:<64 hex digits>; "
                "write it with `make lock-images`"
            )
        if name in digests:
            raise ImageError(f"{_shown(path)}:{number}: {name} is locked twice; remove one of the lines")
        digests[name] = digest
    return digests


def write_lock(references: Iterable[str], path: Path = LOCK) -> dict[str, str]:
    """Pull `references` from their registry and write the digest of each; returns them.

    The lock is written whole: what is not among `references` is no longer in it. Raises ImageError when the
    registry does not have one of them; the lock is then left alone.
    """
    digests = {}
    for text in sorted(set(references)):
        source = Reference.parse(text).behind(_prefix())
        _pull(source)
        digests[text] = _digest_of(source)
    lines = [f"{name}@{digest}\n" for name, digest in digests.items()]
    path.write_text("".join(lines))
    return digests


def folder_of(reference: Reference, folders: Path = FOLDERS) -> Path:
    """Return the folder that builds a substitute for `reference`.

    Raises ImageError when there is none, or when its label `bootproof.stands-for` does not match the tag: a
    substitute for Python 3.13 must not run as 3.12.
    """
    folder = folders / reference.registry / reference.repository
    dockerfile = folder / "Dockerfile"
    if not dockerfile.is_file():
        raise ImageError(
            f"there is no substitute for {reference}; add {_shown(dockerfile)}, or set IMAGES=official where a "
            "registry answers"
        )
    pattern = _label(dockerfile, "bootproof.stands-for")
    if not fnmatch.fnmatchcase(str(reference), pattern):
        raise ImageError(
            f"{_shown(dockerfile)}: this substitute stands for {pattern}, not for {reference}; change the Dockerfile "
            "and its label bootproof.stands-for"
        )
    return folder


def suite_of(dockerfile: Path) -> str:
    """Return the Debian release whose base `dockerfile` starts from. Raises ImageError when it starts from another."""
    found = _FROM_BASE.match(dockerfile.read_text())
    if found is None:
        raise ImageError(f"{_shown(dockerfile)}:1: a substitute starts with FROM {_OWN_PREFIX}base:<Debian release>")
    return found["suite"]


def _label(dockerfile: Path, name: str) -> str:
    """Return the value of a label of `dockerfile`, which has to be written as name="value"."""
    found = re.search(rf'{re.escape(name)}="([^"]+)"', dockerfile.read_text())
    if found is None:
        raise ImageError(f'{_shown(dockerfile)}: the label {name}="..." is missing; see the other substitutes')
    return found[1]


def _prefix() -> str:
    prefix = os.environ.get("REGISTRY", "").rstrip("/")
    if prefix and not _PREFIX.fullmatch(prefix):
        raise ImageError(f"REGISTRY={prefix} is not host[:port][/path]; write it without a scheme or a tag")
    return prefix


def _official_name(reference: Reference, digests: Mapping[str, str]) -> str:
    digest = digests.get(str(reference))
    source = reference.behind(_prefix())
    return f"{source}@{digest}" if digest else source


def _pulled(reference: Reference, digests: Mapping[str, str]) -> Image:
    local = _official_name(reference, digests)
    found = _inspect(local)
    if found is None:
        _pull(local)
        found = _inspect(local)
    if found is None:
        raise ImageError(f"{local} was pulled and is not there; see `docker image ls`")
    return Image(str(reference), local, found["Id"], official=True)


def _pull(source: str) -> None:
    with _progress(f"pulling {source}"):
        result = run(["docker", "pull", "--quiet", source], timeout=_BUILD_SECONDS)
        if result.returncode:
            raise ImageError(
                f"{source} cannot be pulled: {_last_line(result.stderr)}; set REGISTRY to a mirror, or "
                "IMAGES=substitute to go on with substitutes"
            )


def _digest_of(source: str) -> str:
    repository = source.rpartition(":")[0]
    for entry in (_inspect(source) or {}).get("RepoDigests") or []:
        name, _, digest = entry.partition("@")
        if name == repository:
            return digest
    raise ImageError(f"{source} has no digest; it did not come from a registry")


@functools.cache
def _registry_answers(source: str) -> bool:
    command = ["docker", "buildx", "imagetools", "inspect", source]
    try:
        result = run(command, timeout=_LOOK_UP_SECONDS)
        reason = _last_line(result.stderr)
        answered = result.returncode == 0 or any(sign in reason for sign in ("not found", "toomanyrequests", "429"))
    except HandbookError as error:
        reason, answered = str(error), False
    if not answered:
        print(f"no registry answers for {source} ({reason}): substitutes are used", file=sys.stderr)
    return answered


def _built(reference: Reference) -> Image:
    folder = folder_of(reference)
    suite = suite_of(folder / "Dockerfile")
    local = f"{_OWN_PREFIX}{reference}"
    content = _content(folder, _base_content(suite))
    found = _inspect(local)
    if found is None or _labels(found).get(_CONTENT_LABEL) != content:
        _build_base(suite)
        _build(reference, folder, local, content)
        _drop(found)
        found = _inspect(local)
    if found is None:
        raise ImageError(f"{local} was built and is not there; see `docker image ls`")
    contents = f"{_labels(found)[_CONTENTS_LABEL]} from Debian {suite}"
    return Image(str(reference), local, found["Id"], official=False, contents=contents)


def _build(reference: Reference, folder: Path, local: str, content: str) -> None:
    packages = _label(folder / "Dockerfile", "bootproof.packages").split()
    with _progress(f"building substitute for {reference} (Debian packages)"), _scratch() as scratch:
        # What is in it is known after the build only; the second build takes every layer from the first.
        build = ["docker", "build", "--progress", "plain"]
        first = scratch / "id"
        _run_or_show([*build, "--iidfile", str(first), str(folder)], f"the substitute for {reference}")
        query = ["-W", "-f", "${Package} ${Version}\\n", *packages]
        image_id = first.read_text()
        versions = _run_or_show(
            ["docker", "run", "--rm", "--network", "none", "--entrypoint", "dpkg-query", image_id, *query],
            f"the list of packages of the substitute for {reference}",
        )
        contents = ", ".join(versions.splitlines())
        labels = ["--label", f"{_CONTENT_LABEL}={content}", "--label", f"{_CONTENTS_LABEL}={contents}"]
        _run_or_show([*build, *labels, "--tag", local, str(folder)], f"the substitute for {reference}")
        run(["docker", "image", "rm", image_id])


def _build_base(suite: str) -> None:
    base = f"{_OWN_PREFIX}base:{suite}"
    content = _base_content(suite)
    found = _inspect(base)
    if found is not None and _labels(found).get(_CONTENT_LABEL) == content:
        return
    mirror = _debian_mirror()
    _install_mmdebstrap()
    with _progress(f"building the base of the substitutes (Debian {suite})"), _scratch() as scratch:
        archive = scratch / "base.tar"
        _run_or_show([str(FOLDERS / "base" / "build.sh"), suite, mirror, str(archive)], base)
        changes = [f"LABEL {_CONTENT_LABEL}={content}", "ENV LANG=C.UTF-8", 'CMD ["bash"]']
        options = [word for change in changes for word in ("--change", change)]
        _run_or_show(["docker", "import", *options, str(archive), base], base)
    _drop(found)


def _drop(replaced: dict | None) -> None:
    """Remove an image that lost its name to a newer one; one that a container still uses stays."""
    if replaced is not None:
        run(["docker", "image", "rm", replaced["Id"]])


def _debian_mirror() -> str:
    """Return the address of the Debian archive that this machine's apt uses."""
    given = os.environ.get("DEBIAN_MIRROR")
    if given:
        return given
    for attempt in range(2):
        rows = run(["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)"]).stdout
        for row in rows.splitlines():
            origin, label, component, address = row.split("|", 3)
            if (origin, label, component) == ("Debian", "Debian", "main"):
                return address
        if attempt == 0 and os.geteuid() == 0:
            _run_or_show(["apt-get", "update", "--quiet"], "the package lists")
    raise ImageError(
        "this machine's apt knows no Debian archive to build substitutes from; set DEBIAN_MIRROR to the address of "
        "one and install debian-archive-keyring, or set IMAGES=official where a registry answers"
    )


def _install_mmdebstrap() -> None:
    if shutil.which("mmdebstrap"):
        return
    command = "apt-get install --yes --no-install-recommends mmdebstrap"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise ImageError(f"substitutes need mmdebstrap; run `sudo {command}`")
    with _progress("installing mmdebstrap"):
        _run_or_show(["env", "DEBIAN_FRONTEND=noninteractive", *command.split()], "mmdebstrap")


def _base_content(suite: str) -> str:
    authorities = sorted(Path("/usr/local/share/ca-certificates").glob("**/*.crt"))
    certificates = hashlib.sha256(b"".join(path.read_bytes() for path in authorities)).hexdigest()
    return _content(FOLDERS / "base", suite, certificates)


def _content(folder: Path, *also: str) -> str:
    """Return a hash of every file of `folder`, of what can be run in it, and of `also`."""
    result = hashlib.sha256("\n".join(also).encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        result.update(f"{name} {os.access(path, os.X_OK)} {content}\n".encode())
    return result.hexdigest()


def _inspect(reference: str) -> dict | None:
    result = run(["docker", "image", "inspect", reference], timeout=60)
    if result.returncode == 0:
        return json.loads(result.stdout)[0]
    if "no such image" in result.stderr.lower():
        return None
    raise ImageError(f"Docker does not answer: {_last_line(result.stderr)}; run `make docker`")


def _labels(found: dict) -> dict[str, str]:
    return found["Config"].get("Labels") or {}


def _run_or_show(command: list[str], what: str) -> str:
    """Run `command` and return its standard output; raises ImageError with the end of the log."""
    result = run(command, timeout=_BUILD_SECONDS)
    if result.returncode:
        log = (result.stdout + result.stderr).splitlines()[-_LOG_LINES:]
        raise ImageError(f"{what} cannot be made; the end of the log:\n" + "\n".join(f"    {line}" for line in log))
    return result.stdout


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]


def _shown(path: Path) -> str:
    return str(path.relative_to(catalog.ROOT)) if path.is_relative_to(catalog.ROOT) else str(path)


@contextlib.contextmanager
def _progress(what: str) -> Iterator[None]:
    """Say what is being done, and how long it took or that it failed, in one line on stderr."""
    print(f"{what} ...", end=" ", file=sys.stderr, flush=True)
    started = time.monotonic()
    outcome = "failed"
    try:
        yield
        outcome = f"{time.monotonic() - started:.0f} s"
    finally:
        print(outcome, file=sys.stderr)


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bootproof-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Let a second process wait until the first has made the images, instead of making them again."""
    folder = catalog.ROOT / ".cache"
    folder.mkdir(exist_ok=True)
    with (folder / "images.busy").open("w") as busy:
        try:
            fcntl.flock(busy, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with _progress("waiting for another process that makes images"):
                fcntl.flock(busy, fcntl.LOCK_EX)
        yield
