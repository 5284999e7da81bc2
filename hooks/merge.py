"""Three-way merge of a configuration file, key by key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from .document import Document, Entry

OURS = "<<<<<<< before updating\n"
BETWEEN = "=======\n"
THEIRS = ">>>>>>> after updating\n"


@dataclass(frozen=True)
class Conflict:
    """A key that both sides have changed, each to something else.

    Attributes:
        key: its dotted name.
        ours: the project's entry; None when it has removed the key.
        theirs: the template's entry, likewise.
    """

    key: str
    ours: Entry | None
    theirs: Entry | None


def merge(
    base: Document, ours: Document, theirs: Document
) -> tuple[str, list[Conflict]]:
    """Merge what the template and the project have each made of a file.

    The result is the project's text, its order and its comments, with the template's
    changes put in; conflict markers stand around the keys that are in conflict.

    Args:
        base: the file as the template last rendered it.
        ours: the project's.
        theirs: the template's new one.
    """
    documents = base, ours, theirs
    old, mine, new = (document.entries for document in documents)
    conflicts: list[Conflict] = []
    text = "".join(_merged(old, mine, new, "", conflicts, at_root=True))
    tail = _kept(*(document.tail for document in documents))
    if not new:  # all of the template's text is its tail, with the head of the file
        tail = "".join(line for line in tail.splitlines(True) if line not in text)
    return text + tail, conflicts


def _merged(
    base: dict[str, Entry],
    ours: dict[str, Entry],
    theirs: dict[str, Entry],
    path: str,
    conflicts: list[Conflict],
    *,
    at_root: bool = False,
) -> Iterator[str]:
    column = next((entry.column for entry in ours.values()), None)
    for key in _order(list(ours), list(theirs), at_root):
        old, mine, new = base.get(key), ours.get(key), theirs.get(key)
        name = f"{path}{key}"
        if column is not None:
            old, new = (entry and entry.at(column) for entry in (old, new))
        if mine and new:
            yield from _entry(old, mine, new, name, conflicts)
        elif mine:
            if not old:
                yield str(mine)
            elif not mine.says(old) or _comments(mine) - _comments(old):
                yield from _conflict(name, mine, None, conflicts)
        elif new:
            if not old:
                yield str(new)
            elif not new.says(old):
                yield from _conflict(name, None, new, conflicts)


def _entry(
    base: Entry | None,
    ours: Entry,
    theirs: Entry,
    name: str,
    conflicts: list[Conflict],
) -> Iterator[str]:
    lead = _kept(base.lead if base else "", ours.lead, theirs.lead)
    below = ours.below
    if below is not None and theirs.entries is not None:
        old = (base.entries if base else None) or {}
        yield lead + _kept(base.text if base else "", ours.text, theirs.text)
        inside = f"{name}." if name else ""
        yield from _merged(old, below, theirs.entries, inside, conflicts)
    elif theirs.says(ours) or theirs.says(base):
        yield lead + ours.body
    elif ours.says(base) and (body := _with_value(ours, theirs, base)):
        yield lead + body
    elif ours.items and theirs.items:
        old_items = base.items if base else None
        yield lead
        yield from _list(old_items, ours.items, theirs.items, name, conflicts)
    elif ours.says(base) and "#" not in ours.body:  # another layout of the old value
        yield lead + theirs.body
    else:
        yield from _conflict(name, replace(ours, lead=lead), theirs, conflicts)


def _list(
    base: Entry | None,
    ours: Entry,
    theirs: Entry,
    name: str,
    conflicts: list[Conflict],
) -> Iterator[str]:
    old, mine, new = (
        entry.entries or {} if entry else {} for entry in (base, ours, theirs)
    )
    yield _kept(base.text if base else "", ours.text, theirs.text)
    yield from _merged(old, mine, new, f"{name}.", conflicts)
    yield _kept(base.end if base else "", ours.end, theirs.end)


def _with_value(ours: Entry, theirs: Entry, base: Entry | None) -> str | None:
    """Return the template's value in the project's line, which may hold a remark."""
    if ours.span and theirs.span:
        value = theirs.text[slice(*theirs.span)]
        return ours.text[: ours.span[0]] + value + ours.text[ours.span[1] :]
    return theirs.body if base and ours.body == base.body else None


def _conflict(
    name: str, ours: Entry | None, theirs: Entry | None, conflicts: list[Conflict]
) -> Iterator[str]:
    conflicts.append(Conflict(name, ours, theirs))
    yield ours.lead if ours else theirs.lead if theirs else ""
    yield OURS + (ours.body if ours else "")
    yield BETWEEN + (theirs.body if theirs else "") + THEIRS


def _order(ours: list[str], theirs: list[str], at_root: bool) -> list[str]:
    """Put the template's new keys behind the keys that they follow there."""
    order = list(ours)
    previous = None
    for key in theirs:
        if key not in order:
            first = len(order) if at_root else 0  # the root's first key leads the file
            order.insert(order.index(previous) + 1 if previous else first, key)
        previous = key
    return order


def _kept(base: str, ours: str, theirs: str) -> str:
    """Merge the text between keys: the template's only where it alone has changed it."""
    unchanged = _bare(ours) == _bare(base) != _bare(theirs)
    return theirs if unchanged else ours


def _comments(entry: Entry) -> set[str]:
    return {line for line in _bare(str(entry)) if "#" in line}


def _bare(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
