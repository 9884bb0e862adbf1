"""What there is: the tracked files, the kind of each, and the pages that show them.

It runs no tool but git and reads nothing inside a snippet. A file that git ignores (a generated secret) is not in it.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from handbook.findings import Finding, HandbookError

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Kind:
    """What a file is, decided by its path: the first row of KINDS with a matching pattern counts.

    `patterns` are globs over the path in the repository in which `*` crosses folders. `finder` names the module in
    `regions/` that finds addresses in it, `checks` the modules in `checks/` that judge it, and `lexer` the one of
    Pygments that colours it. `boots` is for what is made to run as a whole: without a boot that ran it, it is not
    proven. `limits` is for what can't be run where the tests run: it says what was not proven, and why.
    """

    name: str
    patterns: tuple[str, ...]
    finder: str
    checks: tuple[str, ...]
    lexer: str
    boots: bool = False
    limits: str = ""


KINDS = (
    Kind(
        "compose",
        ("snippets/*/compose.yaml",),
        "yaml",
        ("yamllint", "compose_config", "compose_schema"),
        "yaml",
        boots=True,
    ),
    Kind(
        "walkthrough",
        ("snippets/*/walkthrough.sh",),
        "headed",
        ("shellcheck", "shfmt", "executable"),
        "bash",
        boots=True,
    ),
    Kind("env", ("snippets/*.env",), "env", ("env_file",), "ini"),
    Kind("dockerfile", ("snippets/*/Dockerfile",), "dockerfile", ("hadolint", "docker_build"), "docker"),
    Kind("substitute", ("scripts/*/Dockerfile",), "dockerfile", ("hadolint",), "docker"),
    Kind("dockerignore", ("*/.dockerignore",), "headed", ("docker_context",), "text"),
    Kind("nginx", ("snippets/nginx/*.conf", "snippets/*/nginx.conf"), "nginx", ("nginx_t", "gixy"), "nginx"),
    Kind("redis", ("snippets/redis/*.conf",), "options", ("redis_server",), "ini"),
    Kind("redis-host", ("snippets/*/redis/*.conf",), "options", ("redis_host",), "ini"),
    Kind("pg-hba", ("snippets/*/pg_hba.conf",), "headed", ("postgres_host",), "text"),
    Kind("postgres-host", ("snippets/*/postgres/*.conf",), "ini", ("postgres_host",), "ini"),
    Kind("migration", ("snippets/*/migrations/*.py",), "python", ("ruff", "pyrefly", "migrations"), "python"),
    Kind("alembic", ("snippets/*/alembic.ini",), "ini", ("migrations",), "ini"),
    Kind("template", ("snippets/*/migrations/script.py.mako",), "headed", ("migrations",), "mako"),
    Kind("python", ("*.py",), "python", ("ruff", "pyrefly"), "python"),
    Kind("sql", ("*.sql",), "headed", ("sql",), "postgresql"),
    Kind(
        "apt-source",
        ("snippets/*.sources",),
        "ini",
        ("apt_sources",),
        "debian.sources",
        limits="The repository is not asked here: apt reads the file and says what it would fetch.",
    ),
    Kind("service", ("snippets/*/units/*.service",), "ini", ("systemd", "systemd_security"), "systemd"),
    Kind(
        "systemd",
        (
            "snippets/*.service",
            "snippets/*.timer",
            "snippets/*.socket",
            "snippets/*.target",
            "snippets/*/units/*.d/*.conf",
            "snippets/*/database-*.conf",
        ),
        "ini",
        ("systemd",),
        "systemd",
    ),
    Kind("journald", ("snippets/*/journald.conf.d/*.conf",), "ini", ("journald",), "systemd"),
    Kind("sysusers", ("snippets/*/sysusers.d/*.conf",), "headed", ("sysusers",), "text"),
    Kind("tmpfiles", ("snippets/*/tmpfiles.d/*.conf",), "headed", ("tmpfiles",), "text"),
    Kind("logrotate", ("snippets/*/logrotate.d/*",), "headed", ("logrotate",), "text"),
    Kind("nftables", ("snippets/*/nftables.conf", "snippets/*.nft"), "headed", ("nftables",), "text"),
    Kind("sysctl", ("snippets/*/sysctl.d/*.conf",), "ini", ("sysctl",), "ini"),
    Kind("iptables", ("snippets/*.rules",), "headed", ("iptables",), "text"),
    Kind(
        "repository",
        ("snippets/*/docker-repository.sh",),
        "headed",
        ("shellcheck", "shfmt", "executable"),
        "bash",
        limits="Docker's repository can't be reached from here: ShellCheck read the steps, and one of them was run.",
    ),
    Kind("shell", ("*.sh", ".ci/run"), "headed", ("shellcheck", "shfmt", "executable"), "bash"),
    Kind("requirements", ("snippets/*/requirements*.txt", "requirements/*.txt"), "headed", ("requirements",), "text"),
    Kind("toml", ("*.toml",), "ini", ("toml",), "toml"),
    Kind(
        "helm-chart",
        ("snippets/helm/*/Chart.yaml",),
        "yaml",
        ("yamllint", "helm"),
        "yaml",
        limits="For the kinds that other projects add, schema and API only: no controller of them runs here.",
    ),
    Kind("helm-template", ("snippets/helm/*/templates/*",), "headed", ("helm",), "yaml+jinja"),
    Kind("helm-values", ("snippets/helm/*.yaml",), "yaml", ("yamllint", "helm"), "yaml"),
    Kind("helmignore", ("snippets/helm/*/.helmignore",), "headed", ("helm",), "text"),
    Kind("schema", ("snippets/*.schema.json",), "yaml", ("json", "metaschema"), "json"),
    Kind("json", ("*.json",), "yaml", ("json",), "json"),
    Kind(
        "github-actions",
        (".github/workflows/*.yml", "*/.github/workflows/*.yml", "snippets/ci/github/*.yml"),
        "yaml",
        ("yamllint", "github_schema", "actionlint"),
        "yaml",
        limits="No GitHub runner here: its schema and its steps are checked. Its command is the one that .ci/run runs.",
    ),
    Kind(
        "gitlab-ci",
        ("snippets/ci/gitlab/*.yml",),
        "yaml",
        ("yamllint", "gitlab_schema"),
        "yaml",
        limits="No GitLab runner here: its schema is checked. Its command is the one that .ci/run runs.",
    ),
    Kind("support", ("snippets/versions/support.yaml",), "yaml", ("yamllint", "support"), "yaml"),
    Kind("kustomization", ("snippets/*/kustomization.yaml",), "yaml", ("yamllint", "kustomize"), "yaml"),
    Kind(
        "kind-cluster",
        ("snippets/kubernetes/*/kind.yaml",),
        "yaml",
        ("yamllint",),
        "yaml",
        limits="kind starts nodes from an image of a registry, which is not asked here: it is only read as YAML.",
    ),
    Kind("patch", ("snippets/kubernetes/*.patch.yaml",), "yaml", ("yamllint",), "yaml"),
    Kind(
        "kubernetes-added",
        (
            "snippets/kubernetes/production/*.yaml",
            "snippets/kubernetes/internal-ca/*.yaml",
            "snippets/kubernetes/ingress/*.yaml",
        ),
        "yaml",
        ("yamllint", "kubeconform"),
        "yaml",
        limits="Schema and API only: no controller of these kinds runs here, and no pod of them ran.",
    ),
    Kind("kubernetes", ("snippets/kubernetes/*.yaml",), "yaml", ("yamllint", "kubeconform"), "yaml"),
    Kind("yaml", ("*.yaml", "*.yml"), "yaml", ("yamllint",), "yaml"),
    Kind("markdown", ("*.md",), "headed", ("spelling", "links"), "markdown"),
)


HOST_FOLDERS = {
    "units": "/etc/systemd/system",
    "sysusers.d": "/etc/sysusers.d",
    "tmpfiles.d": "/etc/tmpfiles.d",
    "logrotate.d": "/etc/logrotate.d",
    "journald.conf.d": "/etc/systemd/journald.conf.d",
}
"""Where a host reads what stands in a folder of this name."""


@dataclass(frozen=True)
class Reference:
    """One fence of a page that shows a snippet: where it stands, the snippet, the region and the lines to highlight."""

    page: str
    line: int
    path: str
    region: str | None = None
    highlights: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        return f"{self.path}#{self.region}" if self.region else self.path


@dataclass
class Page:
    """A page in `docs/`: what it shows, and the fences that are not addresses."""

    path: str
    references: list[Reference] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


@dataclass
class Catalog:
    """The files of one checkout. `root` is its folder."""

    root: Path = ROOT

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Every file that git tracks or would track, as paths relative to the root.

        Raises HandbookError outside a git checkout: without git nobody can tell a snippet from a generated secret.
        """
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        try:
            listing = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=True)
        except FileNotFoundError:
            raise HandbookError("git is not installed; run `apt-get install git`") from None
        except subprocess.CalledProcessError as error:
            reason = error.stderr.strip().partition("\n")[0]
            hint = "get the handbook with `git clone`: a downloaded archive has no list of its files"
            raise HandbookError(f"{self.root}: git can't list the files ({reason}); {hint}") from None
        names = sorted(set(listing.stdout.split("\0")) - {""})
        return tuple(name for name in names if (self.root / name).is_file())

    @cached_property
    def snippets(self) -> tuple[str, ...]:
        """The files under `snippets/`, without those under `snippets/faults/`: they are wrong on purpose."""
        return tuple(f for f in self.files if f.startswith("snippets/") and not f.startswith("snippets/faults/"))

    @cached_property
    def checked(self) -> tuple[str, ...]:
        """The files that checks judge: the snippets, and the project's own files of a known kind."""
        own = (f for f in self.files if not f.startswith("snippets/") and kind_of(f))
        return (*self.snippets, *own)

    @cached_property
    def pages(self) -> tuple[Page, ...]:
        """The pages in `docs/`, with what they show."""
        return tuple(read_page(self.root, f) for f in self.files if f.startswith("docs/") and f.endswith(".md"))

    def shown(self) -> dict[str, list[Reference]]:
        """For each snippet that a page shows (path in the repository): the fences that show it."""
        found: dict[str, list[Reference]] = {}
        for page in self.pages:
            for reference in page.references:
                found.setdefault(f"snippets/{reference.path}", []).append(reference)
        return found

    def of_check(self, check: str) -> tuple[str, ...]:
        """The files that the check named `check` judges."""
        return tuple(f for f in self.checked if (kind := kind_of(f)) and check in kind.checks)


def kind_of(path: str) -> Kind | None:
    """Return the kind of the file at `path` (relative to the repository), or None when no row of KINDS matches."""
    for kind in KINDS:
        if any(fnmatchcase(path, pattern) for pattern in kind.patterns):
            return kind
    return None


def checks() -> tuple[str, ...]:
    """The names of all checks that some kind asks for, in the order of KINDS."""
    return tuple(dict.fromkeys(check for kind in KINDS for check in kind.checks))


_FENCE = re.compile(r"^(?P<indent>[ \t>]*)(?P<mark>`{3,}(?!.*`)|~{3,})[ \t]*(?P<info>.*?)[ \t]*$")


def fences(text: str) -> Iterator[tuple[int, str, list[str]]]:
    """Yield every fenced block of a Markdown text: its first line (from 1), its info string, its body lines."""
    opened: tuple[int, str, str, str] | None = None
    body: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        match = _FENCE.match(line)
        if opened is None:
            if match:
                opened, body = (number, match["indent"], match["mark"], match["info"]), []
            continue
        start, indent, mark, info = opened
        if match and not match["info"] and match["mark"][0] == mark[0] and len(match["mark"]) >= len(mark):
            yield start, info, body
            opened = None
        else:
            body.append(line.lstrip("> \t") if ">" in indent else line)
    if opened:
        yield opened[0], opened[3], body


def parse_address(lines: list[str]) -> tuple[str, str | None, tuple[str, ...]]:
    """Read the body of a snippet fence: the address, then one `highlight REGION` a line.

    Returns the path below `snippets/`, the region (None: the whole file) and the regions to highlight.
    Raises ValueError with what is wrong.
    """
    words = [line.strip() for line in lines if line.strip()]
    if not words:
        raise ValueError("the fence is empty")
    path, _, region = words[0].partition("#")
    if not path or " " in path or path.startswith("/") or ".." in path.split("/"):
        raise ValueError(f"{words[0]!r} is not the path of a snippet")
    highlights = []
    for line in words[1:]:
        keyword, _, address = line.partition(" ")
        if keyword != "highlight" or not address:
            raise ValueError(f"{line!r} is not `highlight REGION`")
        highlights.append(address.strip())
    return path, region or None, tuple(highlights)


def read_page(root: Path, path: str) -> Page:
    """Read one page. A fence that is not a snippet's address, or is never closed, becomes a finding."""
    page = Page(path)
    try:
        text = (root / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise HandbookError(f"{path}: not UTF-8 text; save it as UTF-8") from None
    last = len(text.splitlines())
    for line, info, body in fences(text):
        # What follows a fence that is not closed belongs to it: up to the end of the next one, or of the page.
        begins_another = any((match := _FENCE.match(below)) and match["info"] for below in body)
        if line + len(body) == last or (info == "snippet" and begins_another):
            hint = "close it with the marks that it begins with, on a line of their own"
            page.findings.append(Finding(path, line, "fence", "a fence without an end", hint))
            continue
        if info != "snippet":
            hint = "put the text into a file under snippets/ and show it with a ``` snippet fence"
            page.findings.append(Finding(path, line, "fence", f"a fence of {info or 'no language'!r}", hint))
            continue
        try:
            snippet, region, highlights = parse_address(body)
        except ValueError as error:
            hint = "write one address, like compose/production/compose.yaml#services.nginx"
            page.findings.append(Finding(path, line, "fence", str(error), hint))
            continue
        page.references.append(Reference(path, line + 1, snippet, region, highlights))
    return page
