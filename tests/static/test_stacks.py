"""Every stack has a walkthrough, and a test that boots it."""

from handbook.catalog import Catalog
from handbook.stacks import names


def test_the_stacks_of_this_handbook_have_a_walkthrough_and_a_test() -> None:
    catalog = Catalog()
    for name in names(catalog):
        assert f"snippets/{name}/walkthrough.sh" in catalog.files, f"{name}: no walkthrough.sh beside compose.yaml"
        test = f"tests/boot/test_{name.replace('/', '_').replace('-', '_')}.py"
        assert test in catalog.files, f"{name}: no {test} boots it"
