"""A configuration file as entries that keep their text to the last character.

``read_yaml.py`` and ``read_toml.py`` cut a file into them, ``merge.py`` merges them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any


class UnreadableError(ValueError):
    """The file cannot be cut into keys, for a reason that the message states."""


@dataclass
class Entry:
    """A key with all that belongs to it.

    Attributes:
        key: its name; of an item in a list of requirements, the distribution's.
        lead: blank lines and comments above the key.
        text: the key's line and, unless it has entries below it, its value.
        column: where the key begins, counted from 0.
        value: the key's value as its format reads it.
        span: where a value of one line stands in ``text``.
        entries: the keys below it; None when the value is no section.
        anchored: whether an anchor stands in it, which an alias elsewhere may need.
        end: what stands below the last of its entries and still belongs to it.
        items: the same entry with a line for each requirement; None when it is no list
            of requirements.
    """

    key: str
    lead: str
    text: str
    column: int
    value: Any = None
    span: tuple[int, int] | None = None
    entries: dict[str, Entry] | None = None
    anchored: bool = False
    end: str = ""
    items: Entry | None = None

    def __str__(self) -> str:
        return self.lead + self.body

    @property
    def body(self) -> str:
        """Return the text below the lead."""
        return self.text + "".join(map(str, (self.entries or {}).values())) + self.end

    @property
    def below(self) -> dict[str, Entry] | None:
        """Return the keys below it; no keys for a section that has been emptied."""
        emptied = self.span is not None and self.span[0] == self.span[1]
        return {} if emptied else self.entries

    def says(self, other: Entry | None) -> bool:
        """Whether both say the same, however they are written."""
        return (
            other is not None
            and self.anchored == other.anchored
            and _canonical(self.value) == _canonical(other.value)
        )

    def at(self, column: int) -> Entry:
        """Return the entry moved so that its key begins at a column."""
        by = column - self.column
        below = {k: e.at(e.column + by) for k, e in (self.entries or {}).items()}
        return replace(
            self,
            lead=_shifted(self.lead, by),
            text=_shifted(self.text, by),
            column=column,
            span=self.span and (self.span[0] + by, self.span[1] + by),
            entries=below if self.entries is not None else None,
            end=_shifted(self.end, by),
            items=self.items and self.items.at(column),
        )


@dataclass
class Document:
    """A whole file: its entries, and what stands below the last one."""

    entries: dict[str, Entry] = field(default_factory=dict)
    tail: str = ""

    def __str__(self) -> str:
        return "".join(map(str, self.entries.values())) + self.tail


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
