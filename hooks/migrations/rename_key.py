"""Move a key of every ``mlflow.yml``, with its comments and the user's value."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path

import yaml

from hooks import say
from hooks.document import Entry, UnreadableError
from hooks.git import Sides, is_kept, sides
from hooks.merge_config import resolve
from hooks.read_yaml import composed, read_yaml


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
        before = file.read_bytes()
        text = before.decode("utf-8", "surrogateescape")
        try:
            moved = renamed(text, old, new)
        except UnreadableError as error:
            sentence = f"{name}: {old} is called {new} now; rename it by hand, since"
            say(f"{sentence} {error}.")
            continue
        if moved != text:
            if not is_kept(name):
                _keep_copy(file, before)
            file.write_bytes(moved.encode("utf-8", "surrogateescape"))
    return 0


def _keep_copy(file: Path, content: bytes) -> None:
    """Keep what git could not bring back, under a name that Kedro does not read."""
    names = (f"{file.name}.orig{number or ''}" for number in count())
    copy = next(path for path in map(file.with_name, names) if not path.exists())
    copy.write_bytes(content)
    say(
        f"{file.as_posix()}: a key has another name now. git does not keep this file, so "
        f"what it was before is in {copy.as_posix()}."
    )


def renamed(text: str, old: str, new: str) -> str:
    """Return a file in which a key has another name, or another section.

    Where both names are set, the old one's value counts: the new one is a default that
    the update has just brought.

    Raises:
        UnreadableError: the file cannot be read key by key, or a section on the way to
            the new name is no mapping.
    """
    *section, name = old.split(".")
    *target, key = new.split(".")
    source = _mapping(text, section)
    place = _place(source, name)
    if source is None or place is None:
        return text
    name_node, value = source.value[place]
    if section == target and _place(source, key) is None:
        begin, end = _span(name_node)
        return text[:begin] + text[begin:end].replace(name, key, 1) + text[end:]
    if not source.flow_style and not _ends_in_flow(text, target):
        return _moved_entry(text, old, new)
    begin, end = _span(value)
    if begin < name_node.end_mark.index:
        raise UnreadableError(f"the value of {old} is an alias")
    content = text[begin:end]
    if "\n" in content and not value.flow_style:
        raise UnreadableError(f"the value of {old} has several lines")
    return _put(_without(text, source, place, old), target, key, content)


def _mapping(text: str, path: list[str]) -> yaml.MappingNode | None:
    """Return the mapping at a path, in either style; None when it is not there."""
    node = composed(text)
    for name in path:
        place = _place(node, name)
        node = node.value[place][1] if node and place is not None else None
    return node if isinstance(node, yaml.MappingNode) else None


def _place(node: yaml.Node | None, name: str) -> int | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((i for i, (key, _) in enumerate(pairs) if key.value == name), None)


def _span(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.index, node.end_mark.index


def _ends_in_flow(text: str, path: list[str]) -> bool:
    """Whether the nearest section of a path that is there is in flow style."""
    for depth in range(len(path), -1, -1):
        if node := _mapping(text, path[:depth]):
            return bool(node.flow_style)
    return False


def _without(text: str, section: yaml.MappingNode, place: int, key: str) -> str:
    pairs = section.value
    if not section.flow_style:
        document = read_yaml(text)
        *path, name = key.split(".")
        entries = _section(document.entries, path, create=False)
        if entries is not None:
            del entries[name]
        return str(document)
    begin, end = pairs[place][0].start_mark.index, pairs[place][1].end_mark.index
    if place + 1 < len(pairs):
        end = pairs[place + 1][0].start_mark.index
    elif place > 0:
        begin = pairs[place - 1][1].end_mark.index
    return text[:begin] + text[end:]


def _put(text: str, section: list[str], key: str, content: str) -> str:
    """Set a key, in the style of the section that is there."""
    mapping = _mapping(text, section)
    if mapping is None and _ends_in_flow(text, section):
        return _put(text, section[:-1], section[-1], f"{{{key}: {content}}}")
    if mapping is None or not mapping.flow_style:
        document = read_yaml(text)
        entries = _section(document.entries, section, create=True)
        if entries is None:
            raise UnreadableError(f"{'.'.join(section)} is no section of its own lines")
        column = next((e.column for e in entries.values()), 2 * len(section))
        lead = entries[key].lead if key in entries else ""
        line = f"{' ' * column}{key}: {content}\n"
        entries[key] = Entry(key, lead, line, column)
        return str(document)
    place = _place(mapping, key)
    if place is not None:
        begin, end = _span(mapping.value[place][1])
        return text[:begin] + content + text[end:]
    end = mapping.end_mark.index - 1
    comma = ", " if mapping.value else ""
    return f"{text[:end].rstrip()}{comma}{key}: {content}{text[end:]}"


def _moved_entry(text: str, old: str, new: str) -> str:
    """Move an entry of its own lines, with its comments, below another section."""
    document = read_yaml(text)
    *section, name = old.split(".")
    *target, key = new.split(".")
    source = _section(document.entries, section, create=False)
    destination = _section(document.entries, target, create=True)
    if source is None or destination is None:
        raise UnreadableError(f"{'.'.join(target)} is no section of its own lines")
    entry = _named(source.pop(name), key)
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
