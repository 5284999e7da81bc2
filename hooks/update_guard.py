"""Name every line that a project had added and that an update has taken.

The old version is rendered anew, so a line that only the template has changed is no loss.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import yaml
from tracking.redaction import without_secrets

from . import say
from .git import git
from .lost_lines import ANSWERS, lost_lines
from .old_render import RenderError, rendered
from .projects import projects

SHOWN = 10
"""Lines of a file that are printed."""

_ADVICE = (
    "'git show {before}:./<file>' shows a file as it was. Bring back what is needed. A "
    "formatter or a fix of ruff may be what has rewritten a line. When the rest is as you "
    "want it: SKIP=update-guard git commit"
)


def main(words: Sequence[str] | None = None) -> int:
    """Guard the update that waits for its commit, or the last one that has been committed.

    The exit code is 1 when a line is named, or when nothing could be compared.
    """
    parser = ArgumentParser("update-guard", description=__doc__)
    parser.add_argument(
        "--before", metavar="REV", help="compare with a commit before the update"
    )
    parser.add_argument(
        "--pending", action="store_true", help="only an update without its commit"
    )
    given = parser.parse_args(words)
    ends = [_guarded(root, given.before, given.pending) for root in projects()]
    return 0 if all(ends) else 1


def update_of(root: Path, given: str | None = None) -> tuple[str, str] | None:
    """Return the commits before and after a project's last update.

    Args:
        root: the project's root.
        given: a commit before the update, if it is known.

    Returns:
        The second is empty while the update waits for its commit. None if the history has
        no update.
    """
    if given:
        return (given, "") if _version(root, given) != _version(root) else None
    if _exists(root, "HEAD") and _version(root, "HEAD") != _version(root):
        return "HEAD", ""
    words = ["-1", "--format=%H", "-G^_commit:", "--", ANSWERS]
    commit = git("log", *words, cwd=root).strip() if _exists(root, "HEAD") else ""
    if commit and _exists(root, f"{commit}^") and _version(root, f"{commit}^"):
        return f"{commit}^", commit
    return None


def taken_lines(root: Path, old: Path, before: str, after: str = "") -> Iterator[str]:
    """Yield a sentence for each file of which an update has taken lines.

    Args:
        root: the project's root.
        old: the version before the update, rendered with the project's answers.
        before: the commit before the update.
        after: the commit of the update; empty for what is in the folder now.
    """
    for name, lines in lost_lines(root, old, before, after).items():
        more = f"\n    and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
        shown = "".join(f"\n    {without_secrets(line)}" for line in lines[:SHOWN])
        what = "a line" if len(lines) == 1 else f"{len(lines)} lines"
        path = (root / name).as_posix()
        yield f"{path}: the update has taken {what} of the project's:{shown}{more}"


def _guarded(root: Path, given: str | None, pending: bool) -> bool:
    update = update_of(root, given)
    if update is None or (pending and update[1]):
        return _is_complete(root) or pending
    try:
        with rendered(answers(root, update[0])) as old:
            found = list(taken_lines(root, old, *update))
    except RenderError as error:
        say(f"{(root / ANSWERS).as_posix()}: nothing is guarded, since {error}.")
        return False
    for sentence in found:
        say(sentence)
    if found:
        say(_ADVICE.format(before=update[0]))
    return not found


def _is_complete(root: Path) -> bool:
    try:
        shallow = git("rev-parse", "--is-shallow-repository", cwd=root).strip()
    except (OSError, CalledProcessError):
        return True
    if shallow == "true":
        say("The history is cut off, maybe before the last update; fetch all of it.")
    return shallow != "true"


def _version(root: Path, commit: str = "") -> str:
    return str(answers(root, commit).get("_commit", ""))


def answers(root: Path, commit: str = "") -> dict[str, Any]:
    """Return a project's answers in a commit, or those in the folder.

    They are empty where there is none, or none that can be read.
    """
    try:
        text = (
            git("cat-file", "blob", f"{commit}:./{ANSWERS}", cwd=root)
            if commit
            else (root / ANSWERS).read_text("utf-8")
        )
        content = yaml.safe_load(text)
    except (OSError, CalledProcessError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _exists(root: Path, commit: str) -> bool:
    try:
        git("rev-parse", "--quiet", "--verify", f"{commit}^{{commit}}", cwd=root)
    except (OSError, CalledProcessError):
        return False
    return True


if __name__ == "__main__":
    raise SystemExit(main())
