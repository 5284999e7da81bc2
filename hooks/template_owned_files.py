"""Tell whoever edits a file that the template owns."""

from __future__ import annotations

import os.path
from pathlib import Path

from tracking.template import MANIFEST, edited_files

from . import say


def main() -> int:
    """Name each file of the template's that the project has edited."""
    found = [
        os.path.normpath(folder / name)
        for folder in sorted(Path().glob("src/*/tracking"))
        for name in edited_files(folder)
    ]
    for name in found:
        say(
            f"{Path(name).as_posix()}: differs from the template's, and the next update "
            "will meet the edit. Undo it (git log -- the file, then git restore "
            "--source), and make the change in the template, for every project, or put "
            f"code of yours beside tracking/. {MANIFEST} says what the template wrote."
        )
    return 1 if found else 0
