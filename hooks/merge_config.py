"""Merge ``conf/*/mlflow.yml`` and ``pyproject.toml`` by key after an update.

git merges by line, so it reports conflicts between neighbours. By key, a conflict is left
only where project and template have both changed the same key.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tracking.template.secret_scan import secret_looking

from . import say
from .document import Document, Entry, UnreadableError
from .git import Sides, git, merged_by_line, sides
from .merge import Conflict, merge
from .read_yaml import read_yaml

_CONFIG = re.compile(r"(.*/)?(conf/.*mlflow[^/]*\.ya?ml|pyproject\.toml)")
_MARKER = re.compile(r"^(<{7}|\|{7}|>{7}) ?.*$", re.MULTILINE)
_CONFLICT = re.compile(
    r"^<{7} [^\n]*\n(?P<ours>.*?)^={7}\n(?P<theirs>.*?)^>{7} [^\n]*\n",
    re.MULTILINE | re.DOTALL,
)


def main(words: Sequence[str] | None = None) -> int:
    """Merge by key; the exit code is 1 while something is left to decide."""
    parser = ArgumentParser("merge-config", description=__doc__)
    parser.add_argument("files", nargs="*", help="default: all that an update has left")
    files = parser.parse_args(words).files or _unmerged()
    return 0 if all([resolve(file) for file in files]) else 1


def resolve(file: str, prepare: Callable[[Sides], Sides] = lambda three: three) -> bool:
    """Merge a file of which git has kept the three sides; report what is left.

    Args:
        file: its path from the working directory.
        prepare: what a migration does to the sides before they are merged.

    Returns:
        Whether nothing is left to decide. A file without conflict markers, and one that
        somebody has begun to resolve by hand, is not touched.
    """
    path = Path(file)
    text = _decoded(path.read_bytes())
    if not _MARKER.search(text):
        return True
    unmerged = sides(file)
    three = unmerged or sides(file, added=True)
    if three is None:
        return _left(file, "git no longer has its two sides; resolve it by hand")
    try:
        merged, conflicts = _merged(file, prepare(three))
    except UnreadableError as error:
        return _left(
            file, f"cannot be merged by key, since {error}; resolve it by hand"
        )
    if _anonymous(text) not in map(_anonymous, (merged, *merged_by_line(three))):
        return _left(file, "has been edited since the update; resolve the rest by hand")
    path.write_bytes(_encoded(merged))
    for conflict in conflicts:
        _left(file, _sentence(conflict))
    if unmerged and not conflicts:
        git("add", "--", file)
    return not conflicts


def _merged(file: str, three: Sides) -> tuple[str, list[Conflict]]:
    """Merge three sides, and make sure that the result can be read again."""
    read = _reader(file)
    crlf = 2 * three[1].count("\r\n") > three[1].count("\n")
    merged, conflicts = merge(*(read(side.replace("\r\n", "\n")) for side in three))
    try:
        read(_CONFLICT.sub(r"\g<ours>", merged))
    except UnreadableError as error:
        raise UnreadableError(f"the result could not be read: {error}") from None
    return merged.replace("\n", "\r\n") if crlf else merged, conflicts


def _reader(file: str) -> Callable[[str], Document]:
    if not file.endswith(".toml"):
        return read_yaml
    # Migrations run in copier's environment, which has no tomlkit.
    from .read_toml import read_toml

    return read_toml


def _unmerged() -> list[str]:
    names = git("ls-files", "-z", "--unmerged", "--resolve-undo").split("\0")
    found = {name.split("\t", 1)[1] for name in names if name}
    return sorted(name for name in found if _CONFIG.fullmatch(name))


def _left(file: str, sentence: str) -> bool:
    say(f"{file}: {sentence}.")
    return False


def _sentence(conflict: Conflict) -> str:
    ours, theirs = (_shown(conflict.key, e) for e in (conflict.ours, conflict.theirs))
    return (
        f"{conflict.key} {ours} in the project and {theirs} in the template; keep one "
        "of the two between the markers, then git add the file"
    )


def _shown(key: str, entry: Entry | None) -> str:
    if entry is None:
        return "has been removed"
    content: Any = entry.value
    for part in reversed(key.split(".")):
        content = {part: content}
    if any(secret_looking(content)):
        return "is a value that looks like a secret"
    return f"is {entry.value!r}" if entry.value is not None else "is null"


def _anonymous(text: str) -> str:
    """Leave out how the two sides are called, and line ends."""
    return _MARKER.sub(r"\1", text.replace("\r\n", "\n"))


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


if __name__ == "__main__":
    raise SystemExit(main())
