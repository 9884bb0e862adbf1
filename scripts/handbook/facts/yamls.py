"""Reads YAML so that every value keeps its line, from the parser's own marks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from handbook.facts import Fact, text_of, unreadable

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|(?P<plain>\w+)|\{(?P<name>\w+)(?:(?P<how>:?[-?+])(?P<other>[^}]*))?\})")


@dataclass(frozen=True)
class Node:
    """A value in a YAML file. A key that is not there gives an empty node, so that paths can be followed.

    `variables` are those that the file's reader fills in for `${NAME}`.
    """

    node: yaml.Node | None
    path: str
    line: int
    variables: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.node is not None and self.node.tag != "tag:yaml.org,2002:null"

    def __getitem__(self, key: str) -> Node:
        return self.pairs().get(key, Node(None, self.path, self.line, self.variables))

    def pairs(self) -> dict[str, Node]:
        """The entries of a mapping, merge keys (`<<`) followed. Raises HandbookError for anything else."""
        if not self:
            return {}
        if not isinstance(self.node, yaml.MappingNode):
            raise unreadable(self.path, self.line, "a mapping is expected here")
        merged: dict[str, Node] = {}
        own: dict[str, Node] = {}
        for key, value in self.node.value:
            node = Node(value, self.path, key.start_mark.line + 1, self.variables)
            if key.tag == "tag:yaml.org,2002:merge":
                for source in node.items() if isinstance(value, yaml.SequenceNode) else [node]:
                    merged = source.pairs() | merged
            else:
                own[str(key.value)] = node
        return merged | own

    def items(self) -> list[Node]:
        """The items of a list. Raises HandbookError for anything else."""
        if not self:
            return []
        if not isinstance(self.node, yaml.SequenceNode):
            raise unreadable(self.path, self.line, "a list is expected here")
        return [Node(item, self.path, item.start_mark.line + 1, self.variables) for item in self.node.value]

    @property
    def is_list(self) -> bool:
        """Whether it is a list."""
        return isinstance(self.node, yaml.SequenceNode)

    @property
    def is_mapping(self) -> bool:
        """Whether it is a mapping."""
        return isinstance(self.node, yaml.MappingNode)

    def text(self) -> Fact[str]:
        """The value, its variables replaced by what they are, or by their defaults, as Compose does.

        Raises HandbookError when it is no plain value, or when it depends on a variable that has no value here.
        """
        if not isinstance(self.node, yaml.ScalarNode):
            raise unreadable(self.path, self.line, "a plain value is expected here")
        return Fact(_VARIABLE.sub(self._filled, str(self.node.value)), self.path, self.line)

    def _filled(self, match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        how, other = match["how"] or "", match["other"] or ""
        if "${" in other:
            raise unreadable(self.path, self.line, f"{match[0]}}}: a variable in the default of another is not read")
        given = self.variables.get(match["plain"] or match["name"])
        there = given is not None and (given != "" or not how.startswith(":"))
        if how.endswith("+"):
            return other if there else ""
        if there:
            return str(given)
        if how.endswith("-"):
            return other
        raise unreadable(self.path, self.line, f"the value depends on {match[0]}, which has no default here")

    def optional(self) -> Fact[str] | None:
        """The value, or None when the key is not there."""
        return self.text() if self else None

    def is_true(self) -> bool:
        """Whether it is there and says yes. Raises HandbookError when it is no plain value."""
        return bool(self) and self.text().value.lower() in ("true", "yes", "on")


def read(root: Path, path: str, variables: Mapping[str, str] | None = None) -> Node:
    """Return the only document of a file. Raises HandbookError, with the line, when it is not YAML."""
    try:
        node = yaml.compose(text_of(root, path), Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise unreadable(path, mark.line + 1 if mark else 0, f"not YAML: {error.problem}") from None
    if node is None:
        raise unreadable(path, 1, "the file is empty")
    return Node(node, path, node.start_mark.line + 1, variables or {})


def words(node: Node) -> Iterator[Fact[str]]:
    """Yield the items of a list of plain values, or the one plain value."""
    for item in node.items() if node.is_list else [node] if node else []:
        yield item.text()
