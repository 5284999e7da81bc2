"""Name what older versions of the template have left in a project."""

from __future__ import annotations

import sys
from pathlib import Path

from tracking.template import obsolete_files


def main() -> int:
    """Name each file that the template no longer has, and what replaces it."""
    found = obsolete_files(Path())
    for name, instead in found.items():
        print(  # noqa: T201
            f"{name}: the template no longer has it; {instead}. Move what you need of "
            "it, then delete it.",
            file=sys.stderr,
        )
    return 1 if found else 0
