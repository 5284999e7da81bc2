"""A version of the template as copier renders it with a project's answers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


class RenderError(OSError):
    """copier could not render a version, for a reason that the message states."""


@contextmanager
def rendered(answers: Mapping[str, Any], version: str = "") -> Iterator[Path]:
    """Render a version of the template, and delete it afterwards.

    Args:
        answers: the content of a project's ``.copier-answers.yml``, whose address is
            rendered.
        version: a tag or commit; by default the one that the answers state.

    Yields:
        The rendered project. Files that an update would leave alone are in it too.

    Raises:
        RenderError: the template cannot be reached, lacks the version, or is refused.
    """
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_PREFIX"):
        os.environ.pop(name, None)  # those of the commit that a hook runs for
    from copier import run_copy

    given = {name: v for name, v in answers.items() if not name.startswith("_")}
    version = version or str(answers.get("_commit", ""))
    address = str(answers.get("_src_path", ""))
    with TemporaryDirectory() as folder:
        try:
            run_copy(
                address,
                folder,
                data=given,
                vcs_ref=version,
                defaults=True,
                overwrite=True,
                quiet=True,
                skip_tasks=True,
            )
        except Exception as error:  # copier's, git's, Jinja's
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise RenderError(
                f"copier cannot render {version or 'the template'}: {reason[-1].strip()}"
            ) from error
        yield Path(folder)
