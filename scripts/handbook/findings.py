"""What a check or a contract says about a file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong.

    `path` is relative to the repository, `line` counts from 1 (0: the file as a whole), `rule` is the name under which
    the tool or the contract knows the rule, `message` says what is wrong and `hint` what to do.
    """

    path: str
    line: int
    rule: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.path}:{self.line}: {self.rule}: {self.message}"
        return f"{text}; {self.hint}" if self.hint else text


class HandbookError(Exception):
    """A mistake of the person at the keyboard. Its text is one clear message; it is shown without a traceback."""
