"""The update of one repository, in a clone of its own: the working directory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from packaging.version import Version
from tracking.redaction import without_secrets

from .aftercare import after_update
from .errors import FleetError
from .facts import Project, facts
from .git import commit_all, fresh_clone, git, remote_branches
from .job import Job
from .outcome import Outcome
from .template import git_address, version_of

TRAILER = "Kedro-MLflow-Fleet"
"""Starts the last line of a commit message, and tells our branch from somebody's own."""


def update(job: Job) -> Outcome:
    """Update every project of a repository, and push the result as a branch.

    A branch that is there already is left as it is: somebody may have worked on it.

    Raises:
        FleetError: the repository cannot be reached, or refuses the branch.
    """
    if job.branch in remote_branches(job.repository) and not job.dry_run:
        return _outcome_of_branch(job)
    fresh_clone(job.repository, Path(job.clone))
    os.chdir(job.clone)
    job.log.unlink(missing_ok=True)
    start = git("rev-parse", "HEAD").strip()
    git("switch", "--quiet", "--create", job.branch)
    reasons: list[str] = []
    results = [_updated(job, folder, reasons) for folder in job.folders]
    if "updated" not in results:
        result = "named" if "named" in results else "current"
        return Outcome(job.repository, result, reasons)
    result = "draft" if reasons else "updated"
    if job.dry_run:
        diff = without_secrets(git("diff", start))
        return Outcome(job.repository, result, reasons, diff=diff)
    git("push", "--quiet", "origin", f"HEAD:refs/heads/{job.branch}")
    return Outcome(job.repository, result, reasons, branch=job.branch)


def _updated(job: Job, folder: str, reasons: list[str]) -> str:
    """Update one project, commit the result, and add what a person must know."""
    target = Version(job.version)
    fact = facts(Path(), Project(job.repository, folder, 0), job.template, target)
    version = version_of(fact.version)
    where = "" if folder == "." else f"{folder}: "
    if version is None or fact.state in ("untrusted", "stale", "broken"):
        reasons.append(f"{where}{fact.detail}")
        return "named"
    if version >= target:
        if version == target:
            return "current"
        reasons.append(f"{where}It has {fact.version}, which is newer.")
        return "named"
    try:
        with _template_from_mirror(job):
            _copier_update(job, Path(folder))
            found = after_update(Path(folder), job.checks, job.timeout_minutes, job.log)
            news = [f"{where}{news}" for news in found]
    except Exception as error:  # copier's, git's, Jinja's
        git("reset", "--quiet", "--hard")
        git("clean", "--quiet", "-d", "--force")
        reasons.append(f"{where}copier cannot update it: {last_line(error)}")
        return "named"
    reasons += news
    _move_root_hooks(job)
    title = f"Update the template from {fact.version} to {job.version}"
    title = f"{where}{title}"
    trailer = f"{TRAILER}: {'draft' if reasons else 'updated'}"
    commit_all("\n\n".join((title, *news, trailer)))
    return "updated"


def _move_root_hooks(job: Job) -> None:
    """Move the hooks at the root of a repository with several projects, if they are older.

    Hooks check each project by its own version, so they belong on the newest of them.
    """
    file = Path(".pre-commit-config.yaml")
    if "." in job.folders or not file.is_file():
        return
    text = file.read_text("utf-8")
    address = re.escape(git_address(job.template))
    entry = rf"^ *- *repo: *[\"']?{address}[\"']? *\n(?:(?! *- *repo:).*\n)*?"
    found = re.search(rf"{entry} *rev: *[\"']?([^\s\"']+)", text, re.MULTILINE)
    version = version_of(found[1]) if found else None
    if found and version and version < Version(job.version):
        moved = text[: found.start(1)] + job.version + text[found.end(1) :]
        file.write_text(moved, "utf-8")


def _copier_update(job: Job, root: Path) -> None:
    from copier import run_update
    from copier.errors import UnsafeTemplateError

    from . import copier_speed

    copier_speed.install()
    try:
        run_update(
            root,
            vcs_ref=job.version,
            defaults=True,
            overwrite=True,
            quiet=True,
            unsafe=job.trust,
        )
    except UnsafeTemplateError as error:
        raise FleetError(
            "the template has a migration for this version. Write 'trust: true' into "
            "fleet.yml if its migrations may run"
        ) from error


@contextmanager
def _template_from_mirror(job: Job) -> Iterator[None]:
    """Let copier's git, and no other, fetch the template from the copy beside."""
    from plumbum import local

    count = int(os.environ.get("GIT_CONFIG_COUNT", "0"))
    setting = {
        "GIT_CONFIG_COUNT": str(count + 1),
        f"GIT_CONFIG_KEY_{count}": f"url.{job.mirror}.insteadOf",
        f"GIT_CONFIG_VALUE_{count}": job.template.removeprefix("git+"),
    }
    with local.env(**setting):
        yield


def _outcome_of_branch(job: Job) -> Outcome:
    """Read the branch that an earlier, interrupted update has pushed."""
    fresh_clone(job.repository, Path(job.clone), job.branch)
    os.chdir(job.clone)
    message = git("log", "-1", "--format=%B")
    ours = re.search(rf"^{TRAILER}: (\w+)$", message, re.M)
    if not ours:
        reason = f"Its branch {job.branch} is somebody's own: merge or delete it first."
        return Outcome(job.repository, "named", [reason])
    reasons = message[: ours.start()].strip().split("\n\n")[1:]
    return Outcome(job.repository, ours[1], reasons, job.branch)


def last_line(error: Exception) -> str:
    """Return what an error of another library says in the end, without a secret."""
    said = str(error).strip().splitlines() or [type(error).__name__]
    return str(without_secrets(said[-1].strip()))
