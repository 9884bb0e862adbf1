"""Every stack has a walkthrough and a test that boots it; what pages tell step by step is told whole, and is run."""

import re

from handbook.catalog import Catalog
from handbook.proof import BOOTS, modules
from handbook.site import downloads
from handbook.stacks import find, names
from tests.paragraphs import not_run, not_shown


def test_the_stacks_of_this_handbook_have_a_walkthrough_and_a_test() -> None:
    catalog = Catalog()
    for name in names(catalog):
        assert f"snippets/{name}/walkthrough.sh" in catalog.files, f"{name}: no walkthrough.sh in its folder"
        tests = modules(catalog.root, name)
        story = f"test_{name.replace('/', '_').replace('-', '_')}.py"
        assert tests, f"{name}: no {story} in {' or '.join(BOOTS)} boots it"
        assert tests[0].rpartition("/")[2] == story, f"{name}: no {story} tells its story before {tests[0]}"
        for test in tests:
            text = (catalog.root / test).read_text(encoding="utf-8")
            assert f'STACK = "{name}"' in text, f"{test}: by its name it boots {name}; write STACK = ..., or rename it"


def test_every_file_of_an_archive_has_a_line_that_says_what_it_is() -> None:
    """Its own first words, a page that shows it, or `_WORDS` of site/downloads.py for its kind."""
    for name in names(Catalog()):
        files = re.findall(r"<li><code>([^<]*[^</])</code> (.*?)</li>", downloads.tree(Catalog(), name, ""))
        assert len(files) == len(find(name, Catalog()).files)
        silent = [file for file, said in files if not said]
        hint = "begin them with a comment, with an empty line below it, or show them on a page"
        assert not silent, f"{name}: nothing says what {', '.join(silent)} is; {hint}"


def test_every_paragraph_is_shown() -> None:
    wrong = not_shown(Catalog())
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_paragraph_of_operate_is_run() -> None:
    wrong = not_run(Catalog())
    assert not wrong, "\n" + "\n".join(wrong)
