"""The projects that ``fleet.yml`` names, with groups looked up at the forge."""

from __future__ import annotations

from collections.abc import Iterator

from .config import Fleet, Member
from .errors import FleetError
from .facts import Project
from .forge import connect


def projects(fleet: Fleet, ring: int | None = None) -> list[Project]:
    """Return the projects of the fleet, in the order of its rings.

    Args:
        fleet: the content of ``fleet.yml``.
        ring: only this one, counted from 1.

    Raises:
        FleetError: there is no such ring, or a group cannot be looked up.
    """
    if ring is not None and not 1 <= ring <= len(fleet.rings):
        raise FleetError(f"fleet.yml has rings 1 to {len(fleet.rings)}, and no {ring}.")
    found: dict[tuple[str, str], Project] = {}
    for number, members in enumerate(fleet.rings, 1):
        for member in members:
            for repository in _repositories(fleet, member):
                for folder in member.folders:
                    project = Project(repository, folder, number)
                    found.setdefault((repository, folder), project)
    return [project for project in found.values() if ring in (None, project.ring)]


def _repositories(fleet: Fleet, member: Member) -> Iterator[str]:
    if member.repository:
        yield member.repository
    elif fleet.forge is None:
        raise FleetError(f"The group {member.group} needs 'forge' in fleet.yml.")
    elif member.group:
        try:
            yield from connect(fleet.forge.model_dump()).repositories(member.group)
        except FleetError:
            raise
        except Exception as error:  # the library's
            raise FleetError(f"The group {member.group}: {error}") from error
