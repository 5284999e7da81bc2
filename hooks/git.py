"""What git keeps of a file that two sides have changed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

Sides = tuple[str, str, str]
"""The text of a file: as both began, the project's, the template's."""


def git(*words: str, cwd: Path | None = None) -> str:
    """Run git and return what it prints.

    Raises:
        subprocess.CalledProcessError: git has failed.
    """
    command = ["git", *words]
    done = subprocess.run(command, cwd=cwd, capture_output=True, check=True)
    return done.stdout.decode("utf-8", "surrogateescape")


def sides(path: str, *, added: bool = False) -> Sides | None:
    """Return the three sides of a file, or None when git has not kept all of them.

    Args:
        path: the file, from the working directory.
        added: whether the file has been added since, which moves its sides from the
            index proper into the index's memory of what has been resolved.
    """
    option = "--resolve-undo" if added else "--unmerged"
    found = {}
    for line in git("ls-files", "-z", option, "--", path).split("\0"):
        if match := re.match(r"\d+ (\w+) ([123])\t", line):
            found[match[2]] = git("cat-file", "blob", match[1])
    if not {"2", "3"} <= set(found):
        return None
    return found.get("1", ""), found["2"], found["3"]


def is_kept(path: str) -> bool:
    """Whether git has a version of a file, which it can bring back."""
    return bool(git("ls-files", "--", path))


def merged_by_line(sides: Sides) -> list[str]:
    """Return what git's own merge makes of three sides, in each of its styles.

    copier has left one of them; which one, the user's settings may have said.
    """
    with TemporaryDirectory() as folder:
        names = ("base", "ours", "theirs")
        files = {name: Path(folder, name) for name in names}
        for name, text in zip(names, sides, strict=True):
            files[name].write_bytes(text.encode("utf-8", "surrogateescape"))
        words = [str(files[name]) for name in ("ours", "base", "theirs")]
        commands = [
            ["git", "-c", f"merge.conflictStyle={style}", "merge-file", "-p", *words]
            for style in ("merge", "diff3", "zdiff3")
        ]
        merges = [
            subprocess.run(command, capture_output=True, check=False)
            for command in commands
        ]
    return [done.stdout.decode("utf-8", "surrogateescape") for done in merges]
