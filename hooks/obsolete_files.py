"""Name what older versions of the template have left in a project."""

from __future__ import annotations

from pathlib import Path

from tracking.template.drift import obsolete_files

from . import say


def main() -> int:
    """Name each file that the template no longer has, and what replaces it."""
    found = obsolete_files(Path())
    for name, instead in found.items():
        say(
            f"{name}: the template no longer has it; {instead}. Move what you need of "
            "it, then delete it."
        )
    return 1 if found else 0
