"""Regions of Python: functions, classes, what is in them, and assignments. `Settings.database_url`, `create_app`.

Decorators belong to what they decorate. A name that is defined more than once in one place (a property and its setter)
is counted from 0: `Pool.size[0]`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from handbook.regions import Entry, Region, Unreadable
from handbook.regions._text import addresses, split, with_comments


def regions(text: str) -> dict[str, Region]:
    """Map every definition and assignment in `text` to its lines. Raises Unreadable as Python would."""
    return addresses(entries(text))


def entries(text: str) -> list[Entry]:
    """Return the definitions and assignments of `text` as a tree. Raises Unreadable as Python would."""
    try:
        body = ast.parse(text).body
    except SyntaxError as error:
        raise Unreadable(error.msg, error.lineno or 0) from None
    return list(_entries(body, split(text), inside_function=False))


def _entries(body: list[ast.stmt], lines: list[str], *, inside_function: bool) -> Iterator[Entry]:
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            first = min([statement.lineno, *(decorator.lineno for decorator in statement.decorator_list)])
            function = not isinstance(statement, ast.ClassDef)
            children = list(_entries(statement.body, lines, inside_function=function))
            yield Entry([statement.name], _region(statement, lines, first), children)
        elif isinstance(statement, (ast.Assign, ast.AnnAssign)) and not inside_function:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    region = _region(statement, lines, statement.lineno)
                    yield Entry([target.id], region, value=_constant(statement.value))
        else:
            # Under `if`, `try` and `with` stand definitions of the same place.
            for part in ("body", "handlers", "orelse", "finalbody"):
                for child in getattr(statement, part, []):
                    nested = child.body if isinstance(child, ast.ExceptHandler) else [child]
                    yield from _entries(nested, lines, inside_function=inside_function)


def _region(statement: ast.stmt, lines: list[str], first: int) -> Region:
    return Region(with_comments(lines, first), statement.end_lineno or first)


def _constant(node: ast.expr | None) -> str | None:
    if node is None:
        return None
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return None
    return str(value) if isinstance(value, (str, int, float, bool)) else None
