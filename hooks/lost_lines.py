"""Lines that a project had added to the template's files and that an update has taken."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path
from subprocess import CalledProcessError

from .git import git

ANSWERS = ".copier-answers.yml"  # copier writes it anew at every update


def lost_lines(
    root: Path, old: Path, before: str, after: str = ""
) -> dict[str, list[str]]:
    """Compare what a project had added to the old render with what it has now.

    A line between conflict markers is there, and so is one of Python that a formatter has
    wrapped, joined with its neighbours or quoted anew. A remark at the end of a line counts as a
    line of its own, since a merge by key may give the line a new value.

    Args:
        root: the project's root.
        old: the template's old version, rendered with the project's answers.
        before: the commit before the update.
        after: the commit of the update; empty for what is in the folder now.

    Returns:
        For each file that has lost lines, these lines.
    """
    words = ["--name-only", "-z", "--no-renames", "--ignore-submodules=all"]
    commits = [before, after] if after else [before]
    changed = git("diff", *words, "--relative", *commits, "--", cwd=root).split("\0")
    found = {}
    for name in filter(None, changed):
        ours = _committed(root, name, before)
        if ours is None or name == ANSWERS:
            continue
        lost = Counter(_lines(ours)) - Counter(_lines(_in_folder(old / name)))
        there = [_committed(root, name, after)] if after else []
        for now in map(_lines, (*there, _in_folder(root / name))):
            lost -= Counter(now)
            if lost and name.endswith(".py"):
                lost -= _formatted(_lines(ours), lost, now)
        if lost:
            found[name] = list(lost.elements())
    return found


def _lines(content: bytes | None) -> list[str]:
    if content is None:
        return []
    if b"\0" in content:
        return [f"(binary, sha256 {sha256(content).hexdigest()})"]
    text = content.decode("utf-8", "surrogateescape")
    parts = (re.split(r"\s(?=#)", line) for line in text.splitlines())
    return [part.strip() for line in parts for part in line if part.strip()]


def _formatted(ours: list[str], lost: Collection[str], now: list[str]) -> Counter[str]:
    """Return the lost lines whose words are there, in their order, as whole lines.

    A formatter of Python moves line ends, adds or removes commas and parentheses, and
    changes quotes. What it makes of a line was not there before as it is.
    """
    text, ends = "", {0}
    for line in now:
        text += "\0" if line in ours and _words(line) else _words(line)
        ends.add(len(text))
    found: Counter[str] = Counter()
    first = 0
    while first < len(ours):
        words, after, place = "", first + 1, None
        for number, line in enumerate(ours[first:], first + 1):
            words += _words(line)
            if words not in text or (line not in lost and _words(line)):
                break
            for match in re.finditer(re.escape(words), text):
                if {match.start(), match.end()} <= ends:
                    after, place = number, match.span()
        if place:
            found.update(ours[first:after])
            text = text[: place[0]] + "\0" * (place[1] - place[0]) + text[place[1] :]
        first = after
    return found


def _words(line: str) -> str:
    """Return what a formatter leaves of a line, with a space behind each word and sign."""
    return "".join(
        f"{word} " for word in re.findall(r"\w+|[^\w\s,()]", line.replace("'", '"'))
    )


def _committed(root: Path, name: str, commit: str) -> bytes | None:
    try:
        content = git("cat-file", "blob", f"{commit}:./{name}", cwd=root)
    except CalledProcessError:
        return None
    return content.encode("utf-8", "surrogateescape")


def _in_folder(file: Path) -> bytes | None:
    if file.is_symlink():
        return os.fsencode(os.readlink(file))
    return file.read_bytes() if file.is_file() else None
