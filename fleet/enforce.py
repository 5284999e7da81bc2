"""Which projects a minimum version does not let pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from packaging.version import Version

from .facts import Facts
from .template import version_of


def below(found: Sequence[Facts], minimum: Version) -> Iterator[str]:
    """Yield a sentence for each project below a minimum, or of unknown version."""
    for fact in found:
        version = version_of(fact.version)
        if fact.state in ("stale", "untrusted") or version is None:
            yield f"{fact.project.name}: {fact.detail}"
        elif version < minimum:
            yield (
                f"{fact.project.name}: the template's version is {fact.version}, and "
                f"{minimum} is the minimum. Run copier update."
            )
