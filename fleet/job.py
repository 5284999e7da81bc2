"""What a worker process is asked to do with one repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Job:
    """The update of one repository.

    Attributes:
        repository: its address.
        folders: where its projects are.
        template: the trusted address.
        mirror: the copy of the template on this machine.
        version: the version to bring, as the template's tag.
        trust: whether migrations may run.
        checks: commands to run in each project afterwards.
        timeout_minutes: how long one of them may take.
        forge: ``forge`` of ``fleet.yml``; None without one.
        record: the file for the outcome.
        dry_run: whether to stop with the diff.
        clone: the folder to clone into, which is there for this job alone.
    """

    repository: str
    folders: list[str]
    template: str
    mirror: str
    version: str
    trust: bool
    checks: list[str]
    timeout_minutes: float
    forge: dict[str, Any] | None
    record: str
    dry_run: bool
    clone: str = ""

    @property
    def log(self) -> Path:
        """Return the file for all that failed checks print."""
        return Path(self.record).with_suffix(".log")

    @property
    def branch(self) -> str:
        """Return the name of the branch to push."""
        return branch_for(self.version)


def branch_for(version: str) -> str:
    """Return the name of the branches that bring a version."""
    return f"template/{version}"
