"""Migrations run up, down and up again in the stack's own Postgres, and leave what the models describe.

They run in the service's image, as the role that owns the database and is no superuser.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory

from handbook import tools
from handbook.catalog import Catalog
from handbook.checks._compose import compose_of
from handbook.checks._docker import below, built, container, engine, must
from handbook.checks._postgres import POSTGRES, create_database, postgres, psql
from handbook.checks._tool import failed
from handbook.findings import Finding, HandbookError

NEEDS = "docker"

_STEPS = (
    ("upgrade", ["upgrade", "head"]),
    ("models", ["check"]),
    ("downgrade", ["downgrade", "base"]),
    ("upgrade-again", ["upgrade", "head"]),
    ("template", ["upgrade", "head"]),
    ("template-down", ["downgrade", "-1"]),
)
_LEFT = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'v', 'm', 'S', 'p') AND c.relname <> 'alembic_version'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('e', 'a', 'i'))
UNION ALL
SELECT t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname = 'public' AND t.typtype = 'e'
"""
_ERROR = re.compile(r"FAILED: |(?:[a-z_]\w*\.)*[A-Z]\w+: ")


def version() -> str:
    return f"alembic of the service's image, {engine()}"


def inputs(catalog: Catalog, path: str) -> Iterator[str]:
    yield compose_of(catalog.root, *POSTGRES)
    yield from below(catalog, f"{_project(catalog.root, path)}/Dockerfile")


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Judge the migrations of each project: the nearest folder above them that has a Dockerfile."""
    projects: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        projects[_project(root, path)].append(path)
    findings: list[Finding] = []
    with postgres(root) as server:
        for number, (project, own) in enumerate(projects.items()):
            findings += _judge(root, project, own, server, f"check_{number}")
    return findings


def _project(root: Path, path: str) -> str:
    for parent in Path(path).parents:
        if (root / parent / "Dockerfile").is_file():
            return parent.as_posix()
    raise HandbookError(f"{path}: no folder above it has a Dockerfile, so there is no image that could run it")


def _judge(root: Path, project: str, paths: Sequence[str], server: str, name: str) -> Iterator[Finding]:
    """Run the migrations of one project in a database of their own, which has the name of its owner."""
    with (
        built(root, f"{project}/Dockerfile") as build,
        TemporaryDirectory(prefix="bootproof-check-") as scratch,
    ):
        if not build.image:
            # Why, is for docker_build to say.
            raise HandbookError(f"{project}/Dockerfile does not build, so its migrations can't run")
        create_database(server, name, owner=name)
        secrets = Path(scratch)
        secrets.chmod(0o755)
        # The server trusts every role; the service only wants a secret that is no placeholder.
        (secrets / "database_password").write_text("n7Qx2-unused-4Lw9Zk\n", encoding="utf-8")
        options = ["--network", f"container:{server}", "--volume", f"{secrets}:/run/secrets:ro", "--no-healthcheck"]
        for variable, value in (("HOST", "127.0.0.1"), ("NAME", name), ("USER", name)):
            options += ["--env", f"DATABASE_{variable}={value}"]
        options += ["--env", "LOG_FORMAT=text", "--entrypoint", "sleep"]
        with container(build.image, options=options, command=["300"]) as runner:
            yield from _Run(runner, server, name, project, tuple(paths)).findings()


@dataclass(frozen=True)
class _Run:
    """A container with a project's image, and the database that its migrations change."""

    runner: str
    server: str
    database: str
    project: str
    paths: tuple[str, ...]

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong, until a step fails: what comes after it says nothing."""
        yield from self._unread()
        for rule, arguments in _STEPS:
            if rule == "template" and not self._template():
                return
            if rule == "template":
                # The image's files belong to root, so root writes the new one.
                result = self._alembic(["revision", "--message", "planted"], user="0")
                if result.returncode:
                    yield self._failure(result, rule)
                    return
            result = self._alembic(arguments)
            if result.returncode:
                yield self._failure(result, rule)
                return
            if rule == "downgrade" and (left := self._ask(_LEFT).split()):
                what = f"`downgrade base` leaves behind: {', '.join(left)}"
                yield Finding(self._newest(), 0, rule, what, "drop in downgrade what upgrade has made")
                return
            if rule == "upgrade-again" and not self._ask("SELECT version_num FROM alembic_version"):
                raise failed(result, "ended well, but the database knows no revision")

    def _unread(self) -> Iterator[Finding]:
        history = must(self._alembic(["history", "--verbose"]), "alembic history")
        known = {self._own(file) for file in re.findall(r"^Path: (\S+)$", history, re.MULTILINE)}
        for path in self.paths:
            if "/versions/" in path and path not in known:
                what = "Alembic's history does not have this file"
                yield Finding(path, 0, "unread", what, "put it where Alembic looks, and copy it into the image")

    def _failure(self, result: CompletedProcess[str], rule: str) -> Finding:
        """Turn Alembic's output into a finding: the deepest line of a traceback that stands in one of the files."""
        text = result.stdout + "\n" + result.stderr
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if not lines:
            raise failed(result, f"exit code {result.returncode} without a word")
        said = [line for line in lines if _ERROR.match(line)]
        message = next((line for line in said if line.startswith("FAILED")), said[0] if said else lines[-1])
        path, line = (self._template() if rule.startswith("template") else "") or self._newest(), 0
        for file, number in re.findall(r'File "([^"]+)", line (\d+)', text):
            if (own := self._own(file)) in self.paths and not own.endswith("/env.py"):
                path, line = own, int(number)
        return Finding(path, line, rule, message[:400])

    def _newest(self) -> str:
        return max(self.paths, key=lambda path: ("/versions/" in path, path.endswith(".py"), path))

    def _template(self) -> str:
        return next((path for path in self.paths if path.endswith(".mako")), "")

    def _own(self, file: str) -> str:
        """Return the path in the repository of a file in the container."""
        return file.replace(self._workdir, self.project, 1)

    @cached_property
    def _workdir(self) -> str:
        return must(tools.run(["docker", "exec", self.runner, "pwd"]), "a look into the image")

    def _alembic(self, arguments: Sequence[str], *, user: str = "") -> CompletedProcess[str]:
        return tools.run(["docker", "exec", "--user", user, self.runner, "alembic", *arguments], timeout=120)

    def _ask(self, query: str) -> str:
        script = f"\\pset tuples_only on\n\\pset format unaligned\n{query};\n"
        return must(psql(self.server, script, database=self.database), "a look into the database")
