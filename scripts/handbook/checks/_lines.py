"""Finds the line of a place that a tool names by its keys, in YAML and JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[(['\"])(.*?)\3\]")


def steps(path: str) -> list[str]:
    """Split a JSON path, `$.services.api.ports[0]`, into its keys and indexes."""
    return [key or index or quoted for key, index, _, quoted in _STEP.findall(path)]


def line_of(text: str, path: Sequence[str]) -> int:
    """Return the line (from 1) on which the deepest part of `path` stands that is there; 0 when there is none."""
    try:
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return 0
    return line_in(node, path)


def line_in(node: yaml.Node | None, path: Sequence[str]) -> int:
    """Return the line (from 1) on which the deepest part of `path` stands that is in `node`; 0 when there is none."""
    line = 0
    for step in path:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == step:
                    line, node = key.start_mark.line + 1, value
                    break
            else:
                break
        elif isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
            node = node.value[int(step)]
            line = node.start_mark.line + 1
        else:
            break
    return line
