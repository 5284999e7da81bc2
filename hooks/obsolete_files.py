"""Name what older versions of the template have left in a project."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

from tracking.template.drift import obsolete_files, tracking_packages

from . import say
from .projects import projects


def main() -> int:
    """Name each file that the template no longer has, and what replaces it."""
    found = [
        (root / name, instead)
        for root in projects()
        for name, instead in obsolete_files(root, _list_of(root)).items()
    ]
    for path, instead in found:
        say(
            f"{path.as_posix()}: the template no longer has it; {instead}. Move what you "
            "need of it, then delete it."
        )
    return 1 if found else 0


def _list_of(root: Path) -> Mapping[str, str]:
    """Read the list of the project's own version.

    These hooks may be newer than the project: what they call obsolete may be all that an
    older version has. The project's code is not run for it.
    """
    found: dict[str, str] = {}
    for folder in tracking_packages(root):
        try:
            module = ast.parse((folder / "template/drift.py").read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue  # other hooks report that the file is missing or in conflict
        for node in module.body:
            if isinstance(node, ast.AnnAssign) and node.value:
                if ast.unparse(node.target) == "OBSOLETE":
                    found |= ast.literal_eval(node.value)
    return found
