"""The engine is read again when a file has changed, and a build of which nothing has changed is not judged again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from handbook.catalog import ROOT

# In a process of its own: to forget the engine would take it away from the other tests.
PROGRAM = """
import pathlib, sys
from types import SimpleNamespace
sys.path.insert(0, "scripts/handbook/site")
import macros

def define():
    env = SimpleNamespace(project_dir=".", page=None, macro=lambda function, name: None)
    macros.define_env(env)
    build = sys.modules["handbook.site.build"]
    print(id(build), build.sources.cache_info().misses)

define()
define()
pathlib.Path(sys.argv[1]).write_text(sys.argv[2])
define()
define()
"""


def ran(root: Path, path: str, text: str) -> list[list[str]]:
    """What four builds say, the third and the fourth after an edit: the module that built, how often it has judged."""
    for name, content in {"docs/index.md": "# A\n", "snippets/a.env": "A=1\n", "scripts/handbook/a.py": ""}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, "utf-8")
    (root / "scripts" / "handbook" / "site").symlink_to(ROOT / "scripts" / "handbook" / "site")
    (root / ".gitignore").write_text("/docs/files/\n/docs/proofs.json\n/.cache/\n", "utf-8")
    subprocess.run(["git", "init", "--quiet", root], check=True)
    command = [sys.executable, "-c", PROGRAM, path, text]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return [line.split() for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("path", "text"), [("docs/index.md", "# AB\n"), ("snippets/b.env", "B=1\n"), ("scripts/handbook/a.py", "1\n")]
)
def test_an_edit_is_seen_and_nothing_else_is_judged_again(tmp_path: Path, path: str, text: str) -> None:
    first, second, third, fourth = ran(tmp_path, path, text)
    assert first == second
    assert third == fourth
    assert first[0] != third[0]
    assert [first[1], third[1]] == ["1", "1"]
