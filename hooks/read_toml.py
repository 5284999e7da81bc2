"""``pyproject.toml`` cut into entries: tables, their keys, requirements by distribution.

tomlkit reads the values. It does not write the file: it would put a table's new key
below the comment of the next table, and cannot write a conflict. So the text is cut, as
that of ``mlflow.yml`` is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from .document import Document, Entry, UnreadableError

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'{3}.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*|.",
    re.DOTALL,
)
_REQUIREMENTS = re.compile(
    r"build-system\.requires|project\.dependencies|tool\.uv\.[a-z]+-dependencies"
    r"|(project\.optional-dependencies|dependency-groups)\.[^.]+"
)
_DISTRIBUTION = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


def read_toml(text: str) -> Document:
    """Read a file into entries; ``str()`` of the result is the text again.

    The entries of the document are its tables by their dotted names, whether one stands
    below another or not; the keys above the first table are those of ``""``.

    Raises:
        UnreadableError: it is no TOML, or an array of tables is in several places.
    """
    if text and not text.endswith("\n"):
        text += "\n"
    try:
        tomlkit.parse(text)
    except TOMLKitError as error:
        raise UnreadableError(f"it is no TOML: {error}") from None
    table = Entry("", "", "", 0, value={}, entries={})
    tables = {"": table}
    lead = ""
    for line in _logical_lines(text):
        begin = line.lstrip()
        if not begin or begin.startswith("#"):
            lead += line
            continue
        if begin.startswith("["):
            name = _table_name(line)
            if table.entries is not None or not f"{name}.".startswith(f"{table.key}."):
                if name in tables:
                    raise UnreadableError(f"[[{name}]] is in several places")
                section = None if begin.startswith("[[") else dict[str, Entry]()
                table = Entry(name, lead, line, 0, value={}, entries=section)
                tables[name] = table
                lead = ""
                continue
        if table.entries is None:  # an array of tables is one value
            table.text += lead + line
            table.value = tomlkit.parse(table.text).unwrap()
        else:
            entry = _key_value(line, lead, table.key)
            table.entries[entry.key] = entry
            table.value[entry.key] = entry.value
        lead = ""
    return Document(tables, lead)


def _logical_lines(text: str) -> Iterator[str]:
    """Cut a text at the line ends that are in no bracket and no string."""
    line, depth = "", 0
    for piece in _TOKEN.findall(text):
        line += piece
        depth += _depth(piece)
        if piece == "\n" and depth == 0:
            yield line
            line = ""


def _depth(piece: str) -> int:
    return (piece in ("[", "{")) - (piece in ("]", "}"))


def _table_name(line: str) -> str:
    content: Any = tomlkit.parse(line).unwrap()
    parts = []
    while isinstance(content, dict) and content:
        (part, content), *_ = content.items()
        parts.append(part)
    return ".".join(parts)


def _key_value(line: str, lead: str, table: str) -> Entry:
    key, item = tomlkit.key_value(line.strip())
    name = ".".join(part.key for part in key)
    before = line[: _value_start(line)]
    value, remark = _without_remark(line[len(before) :])
    column = len(line) - len(line.lstrip())
    entry = Entry(name, lead, line, column, item.unwrap())
    if "\n" not in value:
        entry.span = (len(before), len(before) + len(value))
    if _REQUIREMENTS.fullmatch(f"{table}.{name}".lstrip(".")):
        entry.items = _items(entry, before, value, remark)
    return entry


def _value_start(line: str) -> int:
    """Return where the value begins: behind the first ``=`` that is in no string."""
    start = 0
    for piece in _TOKEN.findall(line):
        start += len(piece)
        if piece == "=":
            break
    return start + len(line[start:]) - len(line[start:].lstrip(" \t"))


def _without_remark(text: str) -> tuple[str, str]:
    """Divide a value from the spaces, the comment and the line end behind it."""
    value, depth = "", 0
    for piece in _TOKEN.findall(text):
        if depth == 0 and piece.startswith("#"):
            break
        depth += _depth(piece)
        value += piece
    value = value.rstrip()
    return value, text[len(value) :]


def _items(entry: Entry, before: str, value: str, remark: str) -> Entry | None:
    """Write a list with a line for each of its items, as entries by their names."""
    if not isinstance(entry.value, list):
        return None
    head, pieces, rest = _pieces(value[1:-1])
    items: dict[str, Entry] = {}
    if len(pieces) != len(entry.value):
        return None
    for (above, text, behind), content in zip(pieces, entry.value, strict=True):
        *comments, indent = above.split("\n")
        indent = indent or "    "
        start, end = len(indent), len(indent) + len(text)
        key = _item_key(content, items)
        items[key] = Entry(
            key,
            "".join(f"{comment}\n" for comment in comments),
            f"{indent}{text},{behind}\n",
            start,
            content,
            (start, end) if "\n" not in text else None,
        )
    return replace(
        entry,
        text=f"{before}[{head}\n",
        span=None,
        entries=items,
        end=f"{rest}]{remark}",
    )


def _item_key(content: Any, taken: dict[str, Entry]) -> str:
    """Name an item by its distribution, with a number when it is there already."""
    name = str(content)
    if isinstance(content, str) and (found := _DISTRIBUTION.match(content)):
        name = re.sub(r"[-_.]+", "-", found[1]).lower()
    numbered = (f"{name}#{number}" if number > 1 else name for number in count(1))
    return next(key for key in numbered if key not in taken)


def _pieces(inside: str) -> tuple[str, list[tuple[str, str, str]], str]:
    """Cut what stands between the brackets of a list.

    Returns:
        The remark beside the opening bracket; for each item the lines above it, itself,
        and the remark beside it; and what stands above the closing bracket.
    """
    opening = re.match(r"[ \t]*(#[^\n]*)?\n", inside)
    head = opening[0].rstrip() if opening else ""
    pieces: list[tuple[str, str, str]] = []
    above = item = behind = blank = ""
    depth, comma = 0, False
    for piece in _TOKEN.findall(inside[opening.end() :] if opening else inside.strip()):
        depth += _depth(piece)
        if not item and (piece.isspace() or piece.startswith("#")):
            above += piece
        elif depth == 0 and piece == ",":
            comma = True
        elif depth == 0 and piece.startswith("#"):
            behind += blank + piece
            blank = ""
        elif depth == 0 and piece == "\n":
            pieces.append((above, item, behind))
            above = item = behind = blank = ""
            comma = False
        elif piece.isspace():
            blank += piece
        elif (
            comma and item and depth == _depth(piece)
        ):  # the next one, on the same line
            pieces.append((above, item, behind))
            above, item, behind, blank, comma = "", piece, "", "", False
        else:
            comma = comma and bool(item)
            item += blank + piece
            blank = ""
    if item:
        pieces.append((above, item, behind))
        above = ""
    return head, pieces, above
