"""Which projects a minimum version does not let pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .facts import Facts
from .template import version_of


def below(found: Sequence[Facts], minimum: str) -> Iterator[str]:
    """Yield a sentence for each project below a minimum, or of unknown version."""
    least = version_of(minimum)
    for fact in found:
        version = version_of(fact.version)
        if fact.state in ("stale", "untrusted") or version is None:
            yield f"{fact.project.name}: {fact.detail}"
        elif least and version < least:
            yield (
                f"{fact.project.name}: the template's version is {fact.version}, and "
                f"{minimum} is the minimum. Run copier update."
            )
