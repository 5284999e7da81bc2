"""What has come of a project's update, and the record of it on disk."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path

from .facts import Project

OUTCOMES = ("current", "updated", "draft", "named")
"""current: it had the version already; updated: its branch is ready; draft: its branch
needs a person; named: it was not touched, for a reason that is stated."""


@dataclass
class Outcome:
    """What has come of the update of one repository.

    Attributes:
        repository: its address.
        result: one of ``OUTCOMES``.
        reasons: sentences: conflicts, lines that are gone, checks that failed, or why it
            was not touched.
        branch: the branch that was pushed; empty when none was.
        request: the address of the request; empty when none was opened.
        diff: what would change, after ``--dry-run``.
        log: the file with all that failed checks have printed; empty when none has.
    """

    repository: str
    result: str
    reasons: list[str] = field(default_factory=list)
    branch: str = ""
    request: str = ""
    diff: str = ""
    log: str = ""

    @property
    def name(self) -> str:
        """Return a short name for people."""
        return Project(self.repository, ".", 0).name


def slug(repository: str) -> str:
    """Return a name for files, which no other repository has."""
    stem = repository.rstrip("/").removesuffix(".git").rpartition("/")[2]
    plain = "".join(c if c.isalnum() else "-" for c in stem)
    return f"{plain}-{sha256(repository.encode()).hexdigest()[:8]}"


def write(outcome: Outcome, file: Path) -> None:
    """Record an outcome in one step, so that half a record never counts."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".part")
    draft.write_text(json.dumps(asdict(outcome), indent=2) + "\n", "utf-8")
    os.replace(draft, file)


def read(file: Path) -> Outcome | None:
    """Return a recorded outcome, if there is one."""
    if not file.is_file():
        return None
    return Outcome(**json.loads(file.read_text("utf-8")))
