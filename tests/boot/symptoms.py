"""The symptoms that a page names (`handbook.symptoms`), and what a test shows of them.

A test that makes the stack show one is marked `@pytest.mark.shows("the text")` and hands what it saw to
`symptom.is_in`.
"""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from handbook.symptoms import headings, text_of


class Symptom:
    """A text that a page names, until it was seen."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.seen = False

    def is_in(self, output: str) -> None:
        """Raises AssertionError when the text is not part of `output`, which holds all that was printed."""
        assert self.text in output, f"{self.text!r} is not what one sees, which is:\n{output}"
        self.seen = True


def named(page: Path) -> list[str]:
    """The texts in its headings of symptoms, in order. Raises AssertionError for a heading without one."""
    found = {heading: text_of(heading) for heading in headings(page)}
    wrong = [heading for heading, text in found.items() if not text]
    assert not wrong, f"{page.name}: the heading of a symptom is the text that one sees, in backticks: {wrong}"
    return [text for heading in headings(page) if (text := text_of(heading))]


def shown(module: ModuleType | type) -> list[str]:
    """The texts that the tests of a module are marked with, those in its classes and single parameters included."""
    found = []
    for name, test in vars(module).items():
        if isinstance(test, type) and name.startswith("Test"):
            found += shown(test)
        found += [mark.args[0] for mark in _marks(test) if mark.name == "shows"]
    return found


def _marks(test: object) -> Iterator[pytest.Mark]:
    for mark in getattr(test, "pytestmark", ()):
        yield mark
        if mark.name == "parametrize":
            yield from (of_one for value in mark.args[1] for of_one in getattr(value, "marks", ()))


def all_are_shown(page: Path, *modules: ModuleType) -> None:
    """The page names each symptom once, and the modules together have a test for each and for no other."""
    on_page, in_tests = named(page), {text for module in modules for text in shown(module)}
    assert len(set(on_page)) == len(on_page), f"{page.name} names a symptom twice"
    assert on_page, f"{page.name} has no symptoms"
    assert not set(on_page) - in_tests, f"{page.name}: no test shows {set(on_page) - in_tests}"
    assert not in_tests - set(on_page), f"{page.name}: no heading for {in_tests - set(on_page)}"


def marked(request: pytest.FixtureRequest) -> Iterator[Symptom]:
    """The symptom that a test is marked with, while it runs. AssertionError when it ends well and has not seen it."""
    mark = request.node.get_closest_marker("shows")
    assert mark, f'{request.node.name} takes `symptom` and has no @pytest.mark.shows("the text")'
    failed_before = request.session.testsfailed
    expected = Symptom(mark.args[0])
    yield expected
    failed = request.session.testsfailed > failed_before
    assert expected.seen or failed, f"{request.node.name} never looked for {expected.text!r}"
