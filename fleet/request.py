"""What a request for an update says."""

from __future__ import annotations

import re
from pathlib import Path

from .errors import FleetError
from .git import git
from .job import Job
from .outcome import Outcome
from .template import changelog


def title_and_body(job: Job, outcome: Outcome) -> tuple[str, str]:
    """Return the title and the text of a request, from the branch that was pushed.

    The working directory is the clone with that branch.
    """
    title = git("log", "-1", "--format=%s").strip()
    old = re.search(r"from (\S+) to", title)
    news = changelog(Path(job.mirror), old[1], job.version) if old else ""
    try:
        stat = git("diff", "--stat", f"HEAD~{len(job.folders)}")
    except FleetError:
        stat = (
            ""  # the branch of an update that was interrupted, cloned without history
        )
    parts = {
        "To decide": "\n".join(f"- {_indented(reason)}" for reason in outcome.reasons),
        "What is new": news,
        "Files": f"```\n{stat.strip()}\n```" if stat.strip() else "",
    }
    return title, "\n\n".join(
        f"## {name}\n\n{text}" for name, text in parts.items() if text
    )


def _indented(reason: str) -> str:
    first, *rest = reason.splitlines()
    block = "".join(f"\n  {line}" for line in ("```", *rest, "```")) if rest else ""
    return first + block
