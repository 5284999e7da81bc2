"""A run that goes on after it has failed: what it is tagged with, and its description."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone

from .tags import LONGEST

RESUMED = "kedro.resumed"
"""The tag with a line for each time: the session, the commit and the nodes."""

_FAILURE = re.compile(r"\*\*Failed.*?(\n\n|\Z)", re.S)  # of a description


def resumed_tag(
    earlier: Mapping[str, str], session: str, commit: str, nodes: Sequence[str]
) -> dict[str, str]:
    """Return the tag of a run that goes on.

    Args:
        earlier: the tags of the run.
        session: the id of Kedro's session.
        commit: of the code; empty if it is in no repository.
        nodes: that run.
    """
    line = f"{session} {commit[:12] or 'no-commit'} {', '.join(nodes)}"
    lines = [each for each in (earlier.get(RESUMED), line) if each]
    return {RESUMED: "\n".join(lines)[-LONGEST:]}


def sessions(tags: Mapping[str, str]) -> list[str]:
    """Return the ids of the sessions that a run consists of, which are save versions."""
    lines = tags.get(RESUMED, "").splitlines()
    return [tags.get("kedro.run_id", ""), *(line.split(" ")[0] for line in lines)]


def resumed_description(text: str, nodes: Iterable[str], now: float) -> str:
    """Return the description of a run that has finished after it was resumed.

    Args:
        text: as it was when the run had failed.
        nodes: that ran then.
        now: in seconds since 1970.
    """
    when = datetime.fromtimestamp(now, timezone.utc)
    names = ", ".join(f"`{name}`" for name in nodes)
    text = _FAILURE.sub("", text).rstrip()
    added = f"Resumed, and finished at {when:%Y-%m-%d %H:%M} UTC, with {names}."
    return f"{text}\n\n{added}".strip() if len(text) + len(added) < LONGEST else text
