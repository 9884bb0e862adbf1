"""The page of symptoms names what tests make a stack show, word for word, and nothing else."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from handbook.catalog import ROOT, Catalog
from handbook.symptoms import SECTION, answers
from tests.boot import symptoms

PAGE = ROOT / "docs" / "compose" / "troubleshooting.md"


@pytest.mark.shows("is shown")
def showing() -> None:
    """Stands for a test of a stack."""


@pytest.mark.shows("unrecognized name")
def another() -> None: ...


@pytest.fixture
def module() -> ModuleType:
    made = ModuleType("tests")
    made.__dict__["test"] = showing
    return made


def modules(pattern: str, level: str = "boot") -> list[ModuleType]:
    names = sorted(path.stem for path in (ROOT / "tests" / level).glob(pattern))
    return [importlib.import_module(f"tests.{level}.{name}") for name in names]


def test_the_page_names_the_symptoms_that_are_shown() -> None:
    symptoms.all_are_shown(PAGE, *modules("test_compose_production*.py"))


def test_the_page_of_the_machine_names_the_symptoms_that_are_shown() -> None:
    page = ROOT / "docs" / "vm" / "troubleshooting.md"
    symptoms.all_are_shown(page, *modules("test_systemd_care.py"), *modules("test_systemd_symptoms.py"))


def test_the_page_of_kubernetes_names_the_symptoms_that_are_shown() -> None:
    page = ROOT / "docs" / "kubernetes" / "troubleshooting.md"
    symptoms.all_are_shown(page, *modules("test_kubernetes_try_out*.py", "cluster"))


def test_every_error_of_the_handbook_is_shown_by_a_test() -> None:
    """Also on a page that has no test of its own for that."""
    gunicorn = importlib.import_module("tests.engine.test_gunicorn")
    stacks = (*modules("test_*.py"), *modules("test_*.py", "cluster"))
    shown = {text for module in (*stacks, gunicorn) for text in symptoms.shown(module)}
    found = answers(Catalog())
    assert found.keys() == shown
    assert {answer.page for of_one in found.values() for answer in of_one} >= {"docs/host.md", "docs/local.md"}


@pytest.mark.negative
@pytest.mark.parametrize(
    ("headings", "words"),
    [
        ("### `is shown`\n### `is not shown`\n", "no test shows {'is not shown'}"),
        ("", "has no symptoms"),
        ("### `not shown`\n", "no test shows"),
        ("### `is shown`\n### `is shown`\n", "twice"),
        ("### is shown\n", "in backticks"),
    ],
)
def test_other_pages(headings: str, words: str, tmp_path: Path, module: ModuleType) -> None:
    (tmp_path / "page.md").write_text(f"# Page\n\n## Part\n\n{headings}\n## Next\n")
    (tmp_path / "section.md").write_text(f"# Page\n\n## {SECTION}\n\n{headings}\n## Next\n\n### More\n")
    with pytest.raises(AssertionError, match=words):
        symptoms.all_are_shown(tmp_path / "section.md", module)
    with pytest.raises(AssertionError, match=words):
        symptoms.all_are_shown(tmp_path / "page.md", module)


@pytest.mark.negative
def test_a_test_without_a_heading(tmp_path: Path, module: ModuleType) -> None:
    other = ModuleType("others")
    other.__dict__["test"] = another
    (tmp_path / "page.md").write_text("### `is shown`\n")
    symptoms.all_are_shown(tmp_path / "page.md", module)
    with pytest.raises(AssertionError, match=r"no heading for .*unrecognized name"):
        symptoms.all_are_shown(tmp_path / "page.md", module, other)
