"""Every stack has a walkthrough and a test that boots it; what pages tell step by step is told whole, and is run."""

from handbook.catalog import Catalog
from handbook.proof import modules
from handbook.stacks import names
from tests.paragraphs import not_run, not_shown


def test_the_stacks_of_this_handbook_have_a_walkthrough_and_a_test() -> None:
    catalog = Catalog()
    for name in names(catalog):
        assert f"snippets/{name}/walkthrough.sh" in catalog.files, f"{name}: no walkthrough.sh beside compose.yaml"
        tests = modules(catalog.root, name)
        story = f"tests/boot/test_{name.replace('/', '_').replace('-', '_')}.py"
        assert tests[:1] == (story,), f"{name}: no {story} boots it"
        for test in tests:
            text = (catalog.root / test).read_text(encoding="utf-8")
            assert f'STACK = "{name}"' in text, f"{test}: by its name it boots {name}; write STACK = ..., or rename it"


def test_every_paragraph_is_shown() -> None:
    wrong = not_shown(Catalog())
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_paragraph_of_operate_is_run() -> None:
    wrong = not_run(Catalog())
    assert not wrong, "\n" + "\n".join(wrong)
