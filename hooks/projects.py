"""The projects of a repository: one at its root, or several below it."""

from __future__ import annotations

from pathlib import Path
from subprocess import CalledProcessError

from tracking.template.drift import tracking_packages

from .git import git


def projects() -> list[Path]:
    """Return the root of each project in this repository, from the working directory.

    A project is where git has a file of answers and the template's own files are beside
    it, or the answers are those to this template's questions. Without any, and outside of
    git, the working directory is the project.
    """
    try:
        listed = git("ls-files", "-z", "--", ":(glob)**/.copier-answers.yml")
    except (OSError, CalledProcessError):
        return [Path()]
    found = [Path(name).parent for name in filter(None, listed.split("\0"))]
    return sorted(filter(_is_project, found)) or [Path()]


def _is_project(root: Path) -> bool:
    answers = root / ".copier-answers.yml"
    return bool(
        tracking_packages(root)
        or (root / "conf/mlflow.schema.json").is_file()
        or (answers.is_file() and b"\ntracking_login:" in answers.read_bytes())
    )
