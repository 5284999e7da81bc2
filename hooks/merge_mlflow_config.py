"""Settle what is no real conflict in ``conf/*/mlflow.yml`` after an update."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tracking.template.secret_scan import secret_looking

from . import say
from .document import Entry, UnreadableError
from .git import Sides, git, merged_by_line, sides
from .merge import Conflict, merge

_CONFIG = re.compile(r"conf/.*mlflow[^/]*\.ya?ml")
_MARKER = re.compile(r"^(<{7}|>{7}) ?.*$", re.MULTILINE)


def main(words: Sequence[str] | None = None) -> int:
    """Merge key by key; the exit code is 1 while something is left to decide."""
    parser = ArgumentParser("merge-mlflow-config", description=__doc__)
    parser.add_argument("files", nargs="*", help="default: all that an update has left")
    files = parser.parse_args(words).files or _unmerged()
    return 0 if all([settle(file) for file in files]) else 1


def settle(file: str, prepare: Callable[[Sides], Sides] = lambda three: three) -> bool:
    """Merge a file of which git has kept the three sides; say what is left.

    Args:
        file: its path from the project's root, the working directory.
        prepare: what a migration does to the sides before they are merged.

    Returns:
        Whether nothing is left to decide. A file without conflict markers, and one that
        somebody has begun to settle by hand, is not touched.
    """
    path = Path(file)
    text = path.read_bytes().decode("utf-8")
    if not _MARKER.search(text):
        return True
    unmerged = sides(file)
    three = unmerged or sides(file, added=True)
    if three is None:
        return _left(file, "git no longer knows its two sides; settle it by hand")
    try:
        merged, conflicts = merge(*prepare(three))
    except UnreadableError as error:
        return _left(file, f"cannot be merged by key, since {error}; settle it by hand")
    if _anonymous(text) not in map(_anonymous, (merged, merged_by_line(three))):
        return _left(file, "has been edited since the update; settle the rest by hand")
    path.write_text(merged, "utf-8", newline="")
    for conflict in conflicts:
        _left(file, _sentence(conflict))
    if unmerged and not conflicts:
        git("add", "--", file)
    return not conflicts


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


if __name__ == "__main__":
    raise SystemExit(main())
