"""Report the files of the template that a project has edited."""

from __future__ import annotations

import os.path
from pathlib import Path

from tracking.template.drift import MANIFEST, edited_files, tracking_packages

from . import say
from .projects import projects

_ADVICE = (
    "The template owns these files, and the next update will meet the edit. Make the "
    "change in the template, for every project, or put code of yours beside tracking/. "
    "'git restore' brings back what is not committed yet; for the rest there is a fresh "
    "copy: copier copy --defaults --data-file .copier-answers.yml --vcs-ref <_commit of "
    "that file> <_src_path of that file> ../fresh"
)


def main() -> int:
    """Name each file of the template's that the project has edited."""
    found = [
        f"{Path(os.path.normpath(folder / name)).as_posix()}: {_state(folder, name)}."
        for root in projects()
        for folder in tracking_packages(root)
        for name in edited_files(folder)
    ]
    for sentence in found:
        say(sentence)
    if found:
        say(_ADVICE)
    return 1 if found else 0


def _state(folder: Path, name: str) -> str:
    if not (folder / name).exists():
        return "is missing"
    listed = folder / MANIFEST
    if listed.is_file() and f"  {name}\n" not in listed.read_text("utf-8"):
        return "has been added, and is not the template's"
    return "differs from the template's"
