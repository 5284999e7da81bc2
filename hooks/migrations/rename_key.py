"""Move a key of every ``mlflow.yml``, with its comments and the user's value."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hooks import say
from hooks.document import Entry, UnreadableError
from hooks.git import Sides, sides
from hooks.merge_config import resolve
from hooks.read_yaml import read_yaml


def main(old: str, new: str) -> int:
    """Rename a key in all environments of the project, the working directory.

    A file in which the update has met an edit is merged as if both sides had begun with
    the new name. One that cannot be read is named and left to the user: to fail here
    would leave half an update.

    Args:
        old: the dotted key, for example ``tracking.params.long_params_strategy``.
        new: the dotted key that takes its place.
    """

    def prepare(three: Sides) -> Sides:
        base, ours, theirs = three
        return renamed(base, old, new), renamed(ours, old, new), theirs

    for file in sorted(Path("conf").glob("*/**/mlflow*.y*ml")):
        name = file.as_posix()
        if sides(name):
            resolve(name, prepare)
            continue
        text = file.read_bytes().decode("utf-8")
        try:
            moved = renamed(text, old, new)
        except UnreadableError as error:
            sentence = f"{name}: {old} is called {new} now; rename it by hand, since"
            say(f"{sentence} {error}.")
            continue
        if moved != text:
            file.write_text(moved, "utf-8", newline="")
    return 0


def renamed(text: str, old: str, new: str) -> str:
    """Give a file in which a key has another name, or another section.

    Where both names are set, the old one's value counts: the new one is a default that
    the update has just brought.

    Raises:
        UnreadableError: the file cannot be read key by key, or a section on the way to
            the new name is no mapping.
    """
    document = read_yaml(text)
    *section, name = old.split(".")
    *target, key = new.split(".")
    source = _section(document.entries, section, create=False)
    if source is None or name not in source:
        return text
    destination = _section(document.entries, target, create=True)
    if destination is None:
        raise UnreadableError(f"{'.'.join(target)} is no section of its own lines")
    entry = _named(source[name], key)
    if destination is source and key not in source:
        moved = {k if k != name else key: e for k, e in source.items()}
        source.clear()
        source.update({**moved, key: entry})
        return str(document)
    del source[name]
    there = destination.get(key)
    column = next((e.column for e in destination.values()), 2 * len(target))
    entry = entry.at(column)
    destination[key] = replace(entry, lead=there.lead) if there else entry
    return str(document)


def _section(
    entries: dict[str, Entry], path: list[str], *, create: bool
) -> dict[str, Entry] | None:
    for depth, name in enumerate(path):
        if name not in entries and create:
            column = next((e.column for e in entries.values()), 2 * depth)
            text = f"{' ' * column}{name}:\n"
            entries[name] = Entry(name, "", text, column, entries={})
        if name not in entries:
            return None
        below = entries[name].entries
        if below is None:
            return None
        entries = below
    return entries


def _named(entry: Entry, key: str) -> Entry:
    start, rest = entry.text[: entry.column], entry.text[entry.column :]
    return replace(entry, key=key, text=start + rest.replace(entry.key, key, 1))
