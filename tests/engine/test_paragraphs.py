"""The rules of paragraphs are seen failing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from handbook.catalog import Catalog
from tests.paragraphs import not_run, not_shown

OPERATE = "# What is done to it.\n\n# Add one\ntrue\n\n# Take one away\ntrue\n"
WALKTHROUGH = "# Start it\ntrue\n"
SHOWN = "``` snippet\na/{}\n```\n\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    write(tmp_path, "snippets/a/operate.sh", OPERATE)
    write(tmp_path, "snippets/a/walkthrough.sh", WALKTHROUGH)
    write(tmp_path, "snippets/a/other.sh", "# Not a step\ntrue\n")
    return tmp_path


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_every_paragraph_is_shown(root: Path) -> None:
    write(root, "docs/page.md", SHOWN.format("operate.sh#take-one-away") + SHOWN.format("other.sh#start-it"))
    assert not_shown(Catalog(root)) == [
        "snippets/a/operate.sh:4: no page shows add-one; show it, or take it out",
        "snippets/a/walkthrough.sh:2: no page shows start-it; show it, or take it out",
    ]
    write(root, "docs/more.md", SHOWN.format("operate.sh#add-one") + SHOWN.format("walkthrough.sh"))
    assert not_shown(Catalog(root)) == []


def test_every_paragraph_of_operate_is_run(root: Path) -> None:
    write(root, "tests/boot/test_a.py", 'operate("add-one")  # and "take-one-away"\n')
    write(root, "tests/engine/test_a.py", 'operate("take-one-away")\n')
    assert not_run(Catalog(root)) == [
        "snippets/a/operate.sh:7: no test runs take-one-away; run it in tests/boot or tests/cluster, or take it out"
    ]
    write(root, "tests/boot/helper.py", 'NAMES = ("take-one-away",)\n')
    assert not_run(Catalog(root)) == []


def test_a_module_of_another_folder_runs_none_of_it(root: Path) -> None:
    write(root, "snippets/b/operate.sh", "# What is done to it.\n\n# Take one away\ntrue\n")
    write(root, "tests/boot/test_a.py", 'STACK = "a"\noperate("add-one")\n')
    write(root, "tests/boot/test_b.py", 'FOLDER = "snippets/b"\noperate("take-one-away")\n')
    assert not_run(Catalog(root)) == [
        "snippets/a/operate.sh:7: no test runs take-one-away; run it in tests/boot or tests/cluster, or take it out"
    ]
