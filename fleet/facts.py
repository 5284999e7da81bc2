"""Where a project stands, read from a clone of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.version import Version
from tracking.redaction import without_secrets
from tracking.template import drift

from .errors import FleetError
from .git import snapshot
from .job import branch_for
from .template import version_of

STATES = ("current", "behind", "ahead", "stale", "edited", "untrusted", "broken")
"""What a project can be: the first three are its version; stale: the answers state
another version than the files have; edited: files of the template were changed;
untrusted: it follows another address; broken: it cannot be read or updated."""


@dataclass(frozen=True)
class Project:
    """A project of the fleet.

    Attributes:
        repository: the address of its repository.
        folder: where it is in the repository.
        ring: its ring, counted from 1.
    """

    repository: str
    folder: str
    ring: int

    @property
    def name(self) -> str:
        """Return a short name for people."""
        name = self.repository.rstrip("/").removesuffix(".git")
        name = "/".join(name.replace(":", "/").split("/")[-2:])
        return name if self.folder == "." else f"{name}/{self.folder}"


@dataclass(frozen=True)
class Facts:
    """Where a project stands.

    Attributes:
        project: the project.
        state: one of ``STATES``.
        version: the version that its answers state; empty when there is none.
        detail: a sentence on what is to be done; empty when all is well.
        slug: the name of its distribution, by which its runs are known.
        branches: those of its repository that bring a version.
    """

    project: Project
    state: str
    version: str = ""
    detail: str = ""
    slug: str = ""
    branches: tuple[str, ...] = ()

    @property
    def waiting(self) -> str:
        """Return the branch that brings the newest version above its own, if any."""
        own = version_of(self.version)
        found = {version_of(b.removeprefix(branch_for(""))): b for b in self.branches}
        newer = [v for v in found if v and own and v > own]
        return found[max(newer)] if newer else ""

    @property
    def what_to_do(self) -> str:
        """Return the detail, and which branch waits to be merged."""
        merge = f"Its branch {self.waiting} waits to be merged." if self.waiting else ""
        return " ".join(filter(None, (self.detail, merge)))


def facts_of_all(
    projects: Sequence[Project], template: str, newest: Version, jobs: int
) -> Iterator[Facts]:
    """Clone every repository, read its projects, and delete the clone."""

    def read(project: Project) -> Facts:
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            clone = Path(folder, "clone")
            try:
                branches = snapshot(project.repository, clone)
            except FleetError as error:
                return Facts(project, "broken", detail=error.message)
            found = facts(clone, project, template, newest)
            return replace(found, branches=tuple(branches))

    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(read, projects)


def facts(clone: Path, project: Project, template: str, newest: Version) -> Facts:
    """Read a project from a clone of its repository.

    Args:
        clone: the clone.
        project: which of its projects.
        template: the trusted address.
        newest: the version to compare with.
    """
    root = clone / project.folder
    followed = drift.answers(root)
    made = partial(Facts, project, slug=followed.get("project_slug", ""))
    stated = followed.get("_commit", "")
    version = version_of(stated)
    state, detail = _hindrance(root, followed, template)
    if state:
        return made(state, stated, detail)
    if version is None:
        detail = f".copier-answers.yml states {stated!r}, which is no version."
        return made("broken", stated, detail)
    edited = [
        Path(os.path.relpath(folder / name, root)).as_posix()
        for folder in drift.tracking_packages(root)
        for name in drift.edited_files(folder)
    ]
    if edited:
        detail = f"The template's own files differ: {', '.join(edited)}."
        return made("edited", stated, detail)
    if version == newest:
        return made("current", stated)
    return made("behind" if version < newest else "ahead", stated)


def _hindrance(root: Path, followed: dict[str, str], template: str) -> tuple[str, str]:
    """Return why a project cannot be updated, as a state and a sentence."""
    if not followed.get("_commit"):
        return "broken", ".copier-answers.yml is missing, or states no version."
    if (address := followed.get("_src_path", "")) != template:
        return "untrusted", f"It follows {without_secrets(address)}, not {template}."
    for folder in drift.tracking_packages(root):
        if problem := drift.contradiction(folder, followed):
            return "stale", f"{problem}."
    if unmerged := drift.unmerged_files(root):
        return "broken", f"Conflict markers are left in {', '.join(unmerged)}."
    if dangers := drift.hazards(root):
        return "broken", f"{'. '.join(dangers)}."
    return "", ""
