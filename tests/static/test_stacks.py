"""Every stack has a walkthrough that pages show whole, and a test that boots it."""

from handbook.catalog import Catalog
from handbook.proof import modules
from handbook.stacks import names
from handbook.walkthroughs import steps


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


def test_every_step_of_a_walkthrough_is_shown() -> None:
    catalog = Catalog()
    for name in names(catalog):
        path = f"snippets/{name}/walkthrough.sh"
        shown = {reference.region for reference in catalog.shown().get(path, [])}
        hidden = [step.name for step in steps(catalog.root / path) if step.name not in shown]
        assert not hidden, f"{path}: no page shows {', '.join(hidden)}; show them, or take them out"
