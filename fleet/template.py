"""The template at its trusted address: its versions, and what they have changed."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from packaging.version import InvalidVersion, Version
from tracking.template.drift import released_versions

from .errors import FleetError
from .git import git


def versions(address: str) -> dict[Version, str]:
    """Return the template's versions and their tags.

    Raises:
        FleetError: the address does not answer, or has no version.
    """
    try:
        tags = released_versions(address, Path())
    except OSError as error:
        raise FleetError(f"{address}: {error}.") from error
    found = {}
    for tag in tags:
        with suppress(InvalidVersion):
            found[Version(tag)] = tag
    if not found:
        raise FleetError(f"{address} has no version: tag one, for example v0.1.0.")
    return found


def newest(found: dict[Version, str]) -> Version:
    """Return the newest version, release candidates only if there is nothing else."""
    return max((v for v in found if not v.is_prerelease), default=max(found))


def version_of(name: str) -> Version | None:
    """Return a version from a tag, or from what ``git describe`` makes of one."""
    try:
        return Version(re.sub(r"-\d+-g[0-9a-f]+$", "", name))
    except InvalidVersion:
        return None


def git_address(address: str) -> str:
    """Return the template's address as git and pre-commit take it."""
    for alias, host in {
        "gh:": "https://github.com/",
        "gl:": "https://gitlab.com/",
    }.items():
        if address.startswith(alias):
            address = host + address.removeprefix(alias)
    return address.removeprefix("git+")


def mirror(address: str, folder: Path) -> Path:
    """Copy the template's repository once, for all projects.

    Raises:
        FleetError: the address does not answer.
    """
    address = git_address(address)
    if folder.exists():
        git("remote", "set-url", "origin", address, cwd=folder)
        git("fetch", "--quiet", "--prune", "--tags", "origin", cwd=folder)
    else:
        words = ["clone", "--quiet", "--mirror", "--"]
        git(*words, address, str(folder))
    return folder


def changelog(copy: Path, old: str, new: str) -> str:
    """Return the lines that the changelog has got between two versions."""
    with suppress(FleetError):
        words = ["diff", "--unified=0", old, new, "--", "CHANGELOG.md"]
        lines = git(*words, cwd=copy).splitlines()
        added = [line[1:] for line in lines if re.match(r"\+(?!\+\+ )", line)]
        return "\n".join(added).strip()
    return ""
