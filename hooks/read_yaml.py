"""``mlflow.yml`` cut into entries.

A round-trip library keeps comments but not the user's layout, and copier's own
environment, in which migrations run, has none. PyYAML reports where each key and value
stands; the rest is cutting lines.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from .document import Document, Entry, UnreadableError


def load_yaml(text: str) -> Any:
    """Read what a file says.

    Args:
        text: the file, decoded from UTF-8 with ``surrogateescape``.

    Raises:
        UnreadableError: it is no YAML, or contains itself.
    """
    node = composed(text)
    return None if node is None else _plain(node)


def read_yaml(text: str) -> Document:
    """Read a file into entries; ``str()`` of the result is the text again.

    Args:
        text: the file, decoded from UTF-8 with ``surrogateescape``.

    Raises:
        UnreadableError: it is no YAML, no mapping, or has a key twice.
    """
    if text and not text.endswith("\n"):
        text += "\n"
    lines = text.splitlines(keepends=True)
    root = composed(text)
    if root is None:
        return Document(tail=text)
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise UnreadableError("it is no mapping with a line for each key")
    entries, end = _entries(root, lines, 0)
    anchors = [
        token.start_mark.line
        for token in yaml.scan(text, yaml.SafeLoader)
        if isinstance(token, yaml.AnchorToken)
    ]
    _mark_anchored(entries, 0, anchors)
    return Document(entries, "".join(lines[end:]))


def _mark_anchored(entries: dict[str, Entry], line: int, anchors: list[int]) -> int:
    """Mark the entries in which an anchor stands; return the line below the last one."""
    for entry in entries.values():
        begin = line + entry.lead.count("\n")
        line = begin + entry.text.count("\n")
        line = _mark_anchored(entry.entries or {}, line, anchors)
        entry.anchored = any(begin <= anchor < line for anchor in anchors)
    return line


def composed(text: str) -> yaml.Node | None:
    """Return the nodes of a file, which know where they stand.

    Raises:
        UnreadableError: it is no YAML, or contains itself.
    """
    if re.search("[\udc80-\udcff]", text):
        raise UnreadableError("it is not in UTF-8")
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise UnreadableError(" ".join(str(error).split())) from None
    if root is not None:
        _refuse_recursion(root, [])
    return root


def _refuse_recursion(node: yaml.Node, above: list[yaml.Node]) -> None:
    if any(node is other for other in above):
        raise UnreadableError(f"line {node.start_mark.line + 1} contains itself")
    if isinstance(node, yaml.MappingNode):
        below = [part for pair in node.value for part in pair]
    else:
        below = node.value if isinstance(node, yaml.SequenceNode) else []
    for part in below:
        _refuse_recursion(part, [*above, node])


def _entries(
    mapping: yaml.MappingNode, lines: list[str], start: int
) -> tuple[dict[str, Entry], int]:
    """Cut a mapping's lines into entries; the second result is the line below them."""
    entries: dict[str, Entry] = {}
    for key, value in mapping.value:
        line, column = key.start_mark.line, key.start_mark.column
        if line < start or not isinstance(key, yaml.ScalarNode):
            raise UnreadableError(f"line {line + 1} is more than one plain key")
        if key.value in entries:
            raise UnreadableError(f"it has the key '{key.value}' twice")
        entry = Entry(key.value, "".join(lines[start:line]), "", column)
        below = value.start_mark.line > line
        if isinstance(value, yaml.MappingNode) and not value.flow_style and below:
            first = line + 1
            entry.text = lines[line]
            entry.entries, start = _entries(value, lines, first)
        else:
            start = max(line + 1, _end(value, lines))
            entry.text = "".join(lines[line:start])
            first, last = value.start_mark, value.end_mark
            if first.line == last.line == line and first.column > key.end_mark.column:
                entry.span = (first.column, last.column)
        entry.value = _plain(value)
        entries[key.value] = entry
    return entries, start


def _end(node: yaml.Node, lines: list[str]) -> int:
    """Return the line below a value; PyYAML's own mark is at the next token."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style:
        return max(_end(value, lines) for _, value in node.value)
    if isinstance(node, yaml.SequenceNode) and not node.flow_style:
        return max(_end(item, lines) for item in node.value)
    end = node.end_mark.line + (node.end_mark.column > 0)
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        end = node.end_mark.line
        while not lines[end - 1].strip():
            end -= 1
    return int(end)


def _plain(node: yaml.Node) -> Any:
    try:
        return yaml.constructor.SafeConstructor().construct_document(node)
    except yaml.YAMLError as error:
        raise UnreadableError(" ".join(str(error).split())) from None
