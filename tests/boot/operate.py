"""Runs the paragraphs of a stack's `operate.sh`, each of which stands by itself, as a reader does."""

from collections.abc import Mapping

from handbook import tools
from handbook.stacks import Boot
from handbook.walkthroughs import steps


def paragraph(boot: Boot, name: str) -> list[str]:
    """Return the command that runs the paragraph of that name. Raises KeyError when there is none."""
    texts = {step.name: step.text for step in steps(boot.folder / "operate.sh")}
    return [tools.find("bash"), "--noprofile", "--norc", "-euo", "pipefail", "-c", texts[name]]


def operate(boot: Boot, name: str, timeout: float = 120, env: Mapping[str, str] | None = None) -> str:
    """Run the paragraph of that name in the stack's folder and return what it prints.

    `env` adds to the environment. Raises AssertionError when it fails, KeyError when there is none, and HandbookError
    after `timeout` seconds.
    """
    ran = tools.run(paragraph(boot, name), cwd=boot.folder, env={**boot.env, **(env or {})}, timeout=timeout)
    assert ran.returncode == 0, f"{name}: {ran.stdout}{ran.stderr}"
    return ran.stdout
