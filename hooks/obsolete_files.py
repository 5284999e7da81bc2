"""Name or delete what older versions of the template have left in a project."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

from tracking.template.drift import obsolete_files, tracking_packages

from . import say
from .old_render import RenderError, rendered
from .projects import projects
from .update_guard import answers, update_of


def main() -> int:
    """Delete each file that nobody has edited; name the others and what replaces them."""
    found = [name for root in projects() for name in _left_in(root)]
    return 1 if found else 0


def delete_unedited(root: Path, old: Path) -> list[str]:
    """Delete the files that the template no longer has and the project has not edited.

    Args:
        root: the project's root.
        old: the version before the update, rendered with the project's answers.

    Returns:
        Their paths from the project's root.
    """
    found = [
        name
        for name in obsolete_files(root, obsolete_of(root))
        if (old / name).is_file() and _text(root / name) == _text(old / name)
    ]
    for name in found:
        (root / name).unlink()
    return found


def obsolete_of(root: Path) -> Mapping[str, str]:
    """Return the list of obsolete files of the project's own version.

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


def _left_in(root: Path) -> list[str]:
    """Say what has become of each obsolete file, and return their paths."""
    found = obsolete_files(root, obsolete_of(root))
    deleted: list[str] = []
    if found and (update := update_of(root)):
        try:
            with rendered(answers(root, update[0])) as old:
                deleted = delete_unedited(root, old)
        except RenderError:
            pass  # then a person compares
    for name, instead in found.items():
        path = (root / name).as_posix()
        if name in deleted:
            say(
                f"{path}: deleted; the template no longer has it, and it was not edited."
            )
        else:
            say(
                f"{path}: the template no longer has it; {instead}. Move what you need of "
                "it, then delete it."
            )
    return list(found)


def _text(file: Path) -> bytes:
    return file.read_bytes().replace(b"\r\n", b"\n")
