"""Runs the paragraphs of a stack's `operate.sh`, each of which stands by itself, as a reader does."""

from collections.abc import Mapping

from handbook import tools
from handbook.stacks import Boot
from handbook.walkthroughs import steps


def operate(boot: Boot, name: str, timeout: float = 120, env: Mapping[str, str] | None = None) -> str:
    """Run the paragraph of that name in the stack's folder and return what it prints. Raises AssertionError.

    `env` adds to the environment.
    """
    found = {step.name: step for step in steps(boot.folder / "operate.sh")}
    command = ["bash", "--noprofile", "--norc", "-euo", "pipefail", "-c", found[name].text]
    ran = tools.run(command, cwd=boot.folder, env={**boot.env, **(env or {})}, timeout=timeout)
    assert ran.returncode == 0, f"{name}: {ran.stdout}{ran.stderr}"
    return ran.stdout
