"""``mlflow.yml`` as entries that keep their text to the last character.

A round-trip library keeps comments but not the user's layout, and copier's own
environment, in which migrations run, has none. PyYAML says where each key and value
stands; all else is cutting lines.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import yaml


class UnreadableError(ValueError):
    """The file is no plain YAML mapping, for a reason that the message gives."""


@dataclass
class Entry:
    """A key with all that belongs to it.

    Attributes:
        lead: blank lines and comments above the key.
        text: the key's line and, unless it has entries below it, its value.
        column: where the key begins, counted from 0.
        value: what the key says, as YAML reads it.
        span: where a value of one line stands in ``text``.
        entries: the keys below it; None when the value is no block mapping.
    """

    key: str
    lead: str
    text: str
    column: int
    value: Any = None
    span: tuple[int, int] | None = None
    entries: dict[str, Entry] | None = None

    def __str__(self) -> str:
        return self.lead + self.body

    @property
    def body(self) -> str:
        """Give the text below the lead."""
        return self.text + "".join(map(str, (self.entries or {}).values()))

    @property
    def below(self) -> dict[str, Entry] | None:
        """Give the keys below it, none for a section that has been emptied."""
        emptied = self.span is not None and self.span[0] == self.span[1]
        return {} if emptied else self.entries

    def says(self, other: Entry | None) -> bool:
        """Whether both say the same, however they are written."""
        return other is not None and _canonical(self.value) == _canonical(other.value)

    def at(self, column: int) -> Entry:
        """Give the entry moved so that its key begins at a column."""
        by = column - self.column
        below = {k: e.at(e.column + by) for k, e in (self.entries or {}).items()}
        return replace(
            self,
            lead=_shifted(self.lead, by),
            text=_shifted(self.text, by),
            column=column,
            span=self.span and (self.span[0] + by, self.span[1] + by),
            entries=below if self.entries is not None else None,
        )


@dataclass
class Document:
    """A whole file: its entries, and what stands below the last one."""

    entries: dict[str, Entry] = field(default_factory=dict)
    tail: str = ""

    def __str__(self) -> str:
        return "".join(map(str, self.entries.values())) + self.tail


def read(text: str) -> Document:
    """Read a file into entries; ``str()`` of the result is the text again.

    Raises:
        UnreadableError: it is no YAML, no mapping, or has a key twice.
    """
    if text and not text.endswith("\n"):
        text += "\n"
    lines = text.splitlines(keepends=True)
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        if root is None:
            return Document(tail=text)
        if not isinstance(root, yaml.MappingNode) or root.flow_style:
            raise UnreadableError("it is no mapping with a line for each key")
        entries, end = _entries(root, lines, 0)
    except yaml.YAMLError as error:
        raise UnreadableError(" ".join(str(error).split())) from None
    return Document(entries, "".join(lines[end:]))


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
    """Give the line below a value; PyYAML's own mark is at the next token."""
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
    return yaml.constructor.SafeConstructor().construct_document(node)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


def _shifted(text: str, by: int) -> str:
    if by >= 0:
        return "".join(
            " " * by + line if line.strip() else line
            for line in text.splitlines(keepends=True)
        )
    return "".join(
        line[min(-by, len(line) - len(line.lstrip(" "))) :]
        for line in text.splitlines(keepends=True)
    )
