"""Regions of YAML and JSON: paths of keys, `services.service.healthcheck`.

An item of a list is addressed by its index, `steps.0`, and by its `name` or `id` where it has one that no other item
has. In a file of several documents the path starts with the document's index or, for a Kubernetes object, with
`Kind/name`: `Deployment/api.spec.replicas`. Where the object is alone in its file, that may be left out. A region ends
with the last line of its value: what follows (a blank line, the comment of the next key) is not part of it, wherever
the parser puts the end mark. What a mapping merges in (`<<: *common`), and what an alias stands for, is addressed
through it and lies where its anchor is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from handbook.regions import Entry, Region, Unreadable
from handbook.regions._text import addresses, split, with_comments


@dataclass
class _Node:
    """A value with its first and last line, from 1. An alias is where it is written; `target` is what it stands for."""

    first: int
    last: int
    column: int
    scalar: str | None = None
    pairs: list[tuple[_Node, _Node]] = field(default_factory=list)
    items: list[_Node] = field(default_factory=list)
    target: _Node | None = None
    merges: bool = False

    @property
    def meant(self) -> _Node:
        """What an alias stands for; anything else stands for itself."""
        return self.target or self

    def get(self, key: str) -> _Node | None:
        """Return the value of `key` in a mapping."""
        return next((value for name, value in self.pairs if name.scalar == key), None)


def regions(text: str) -> dict[str, Region]:
    """Map every path of keys in `text` to its lines. Raises Unreadable when it is neither YAML nor JSON."""
    return addresses(entries(text))


def entries(text: str) -> list[Entry]:
    """Return the keys and items of `text` as a tree. Raises Unreadable when it is neither YAML nor JSON."""
    lines = split(text)
    # JSON may be indented with tabs, YAML may not.
    readable = text.replace("\t", " ") if text.lstrip().startswith(("{", "[")) else text
    events = yaml.parse(readable, Loader=yaml.SafeLoader)
    documents: list[_Node] = []
    try:
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents.append(_node(next(events), events, lines, {}))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Unreadable(error.problem or error.context or "not YAML", mark.line + 1 if mark else 0) from None
    except yaml.YAMLError as error:
        raise Unreadable(str(error), 0) from None
    if len(documents) == 1:
        # A file that holds one object alone is addressed like one that holds several, and without its name.
        whole = _document(0, documents[0], lines)
        named = [Entry(whole.names[1:], whole.region, whole.children)] if whole.names[1:] else []
        return [*whole.children, *named]
    return [_document(index, node, lines) for index, node in enumerate(documents)]


def _node(event: yaml.Event, events: Iterator[yaml.Event], lines: list[str], anchors: dict[str, _Node]) -> _Node:
    """Read the value that starts with `event` and take its events from `events`. `anchors` are those read so far."""
    node = _Node(event.start_mark.line + 1, event.end_mark.line + 1, event.start_mark.column)
    anchor = getattr(event, "anchor", None) if not isinstance(event, yaml.AliasEvent) else None
    if isinstance(event, yaml.ScalarEvent):
        if event.style in ("|", ">"):
            # The end mark of a block scalar is the start of the line behind it.
            if event.end_mark.column == 0:
                node.last -= 1
            while not lines[node.last - 1].strip():
                node.last -= 1
        node.scalar = event.value
        node.merges = event.value == "<<" and event.style is None
    elif isinstance(event, yaml.AliasEvent):
        node.target = anchors.get(event.anchor)
    elif isinstance(event, yaml.CollectionStartEvent):
        mapping = isinstance(event, yaml.MappingStartEvent)
        while not isinstance(event := next(events), yaml.CollectionEndEvent):
            child = _node(event, events, lines, anchors)
            if mapping:
                node.pairs.append((child, _node(next(events), events, lines, anchors)))
            else:
                node.items.append(child)
            node.last = max(node.last, child.last, *(value.last for _, value in node.pairs[-1:]))
        # A flow collection ends with its bracket; the end mark of a block lies on the next token's line.
        if event.end_mark.index > event.start_mark.index:
            node.last = event.end_mark.line + 1
    if anchor:
        anchors[anchor] = node
    return node


def _children(node: _Node, lines: list[str]) -> list[Entry]:
    keys = [
        Entry(
            [key.scalar],
            Region(with_comments(lines, key.first), max(key.last, value.last)),
            _children(value, lines),
            value.meant.scalar,
        )
        for key, value in _pairs(node.meant)
        if key.scalar is not None
    ]
    return keys + [_item(index, item, lines) for index, item in enumerate(node.meant.items)]


def _pairs(node: _Node) -> Iterator[tuple[_Node, _Node]]:
    """Yield the keys of a mapping with their values, and behind them those that it merges in and has not itself."""
    yield from node.pairs
    known = {key.scalar for key, _ in node.pairs}
    merged = (value for key, value in node.pairs if key.merges)
    for source in (source for value in merged for source in value.items or [value]):
        for key, value in _pairs(source.meant):
            if key.scalar not in known:
                known.add(key.scalar)
                yield key, value


def _item(index: int, item: _Node, lines: list[str]) -> Entry:
    first = item.first
    # The dash of an item may stand on a line of its own, above the value.
    if not lines[first - 1][: item.column].strip() and first > 1 and _only_dash(lines[first - 2]):
        first -= 1
    named = (item.get("name"), item.get("id"))
    names = [name.scalar for name in named if name and name.scalar is not None]
    region = Region(with_comments(lines, first), item.last)
    return Entry([str(index), *names], region, _children(item, lines), item.scalar)


def _only_dash(line: str) -> bool:
    return line.partition("#")[0].strip() == "-"


def _document(index: int, node: _Node, lines: list[str]) -> Entry:
    kind, metadata = node.get("kind"), node.get("metadata")
    name = metadata.get("name") if metadata else None
    names = [f"{kind.scalar}/{name.scalar}"] if kind and name else []
    return Entry([str(index), *names], Region(with_comments(lines, node.first), node.last), _children(node, lines))
