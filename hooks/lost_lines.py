"""Lines that a project had added to the template's files and that an update has taken."""

from __future__ import annotations

import os
import re
from collections import Counter
from hashlib import sha256
from pathlib import Path
from subprocess import CalledProcessError

from .git import git

ANSWERS = ".copier-answers.yml"  # copier writes it anew at every update


def lost_lines(
    root: Path, old: Path, before: str, after: str = ""
) -> dict[str, list[str]]:
    """Compare what a project had added to the old render with what it has now.

    A line between conflict markers is there. A remark at the end of a line counts as a
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
        lost = _lines(ours) - _lines(_in_folder(old / name))
        if after:
            lost -= _lines(_committed(root, name, after))
        lost -= _lines(_in_folder(root / name))
        if lost:
            found[name] = list(lost.elements())
    return found


def _lines(content: bytes | None) -> Counter[str]:
    if content is None:
        return Counter()
    if b"\0" in content:
        return Counter([f"(binary, sha256 {sha256(content).hexdigest()})"])
    text = content.decode("utf-8", "surrogateescape")
    parts = (re.split(r"\s(?=#)", line) for line in text.splitlines())
    return Counter(part.strip() for line in parts for part in line if part.strip())


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
