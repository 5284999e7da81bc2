"""Stop a commit of what an update has left to decide."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from tracking.template.drift import unmerged_files

from . import say


def main(words: Sequence[str] | None = None) -> int:
    """Name each file that holds conflict markers or is unmerged in the index."""
    parser = ArgumentParser("unmerged-files", description=__doc__)
    parser.add_argument("files", nargs="*")
    given = set(parser.parse_args(words).files)
    found = [name for name in unmerged_files(Path()) if name in given]
    for name in found:
        say(f"{name}: {_advice(name)}")
    return 1 if found else 0


def _advice(name: str) -> str:
    if name.endswith(".rej"):
        return (
            "is a change that an update could not make. Make it by hand in "
            f"{name.removesuffix('.rej')}, then delete this file."
        )
    command = (
        "Run 'uvx pre-commit run merge-config --all-files', which keeps both sides "
        "where it can; for the rest keep one."
        if name.endswith(("mlflow.yml", "mlflow.yaml", "pyproject.toml"))
        else "Keep what is right of both."
    )
    return (
        f"an update has changed what the project has changed too. {command} Take the "
        "lines <<<<<<<, ======= and >>>>>>> out and git add the file."
    )
