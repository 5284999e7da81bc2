"""Which ring is the next one to get a version."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from packaging.version import Version

from .errors import FleetError
from .facts import Facts
from .forge import Forge
from .job import branch_for
from .template import version_of


def next_ring(
    found: Sequence[Facts],
    target: Version,
    tag: str,
    forge: Forge | None,
    say: Callable[[str], None],
) -> int | None:
    """Return the ring to open: the first in which a project lacks version and branch.

    Args:
        found: where every project stands.
        target: the version.
        tag: its tag.
        forge: asked whether a merged project is green; None where nobody can be asked.
        say: is told what a ring waits for.

    Returns:
        None when every project has the version, or when a ring waits.
    """
    for ring in sorted({fact.project.ring for fact in found}):
        facts = [fact for fact in found if fact.project.ring == ring]
        lacking = [fact for fact in facts if not _has(fact, target)]
        if not lacking:
            red = [f.project.name for f in facts if not _green(forge, f)]
            if red:
                say(
                    f"Ring {ring} has {tag}, but the CI is not green: {', '.join(red)}."
                )
                return None
            continue
        waiting = [fact for fact in lacking if branch_for(tag) in fact.branches]
        if len(waiting) < len(lacking):  # interrupted, perhaps, or put right since
            return ring
        names = ", ".join(fact.project.name for fact in lacking)
        say(
            f"Ring {ring} waits: {names} without {tag}. Merge the branches "
            f"{branch_for(tag)}."
        )
        return None
    say(f"Every project has {tag}.")
    return None


def _has(fact: Facts, target: Version) -> bool:
    version = version_of(fact.version)
    return fact.state != "stale" and version is not None and version >= target


def _green(forge: Forge | None, fact: Facts) -> bool:
    if forge is None:
        return True
    try:
        return forge.green(fact.project.repository)
    except Exception as error:  # the library's
        name = fact.project.name
        raise FleetError(
            f"{name}: whether its CI is green is unknown: {error}"
        ) from error
