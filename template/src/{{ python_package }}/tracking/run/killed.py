"""What a run records of itself, if its process is killed before it can."""

from pathlib import Path
from typing import Any

from ..outbox.folder import new_file
from ..outbox.journal import Record
from ..outbox.outbox import Outbox
from ..outbox.records import file_record
from ..outbox.replay import notes
from .console import console_log
from .timeline import node_runs, trace_record

_NOTE, _KILLED = "story", "KILLED"


def note_story(
    outbox: Outbox,
    run_id: str,
    *,
    name: str,
    command: str,
    has_timeline: bool,
    log: str,
    max_bytes: int,
) -> None:
    """Note what ``last_words`` needs.

    Args:
        outbox: of the run.
        run_id: the run.
        name: what runs.
        command: what has started it.
        has_timeline: whether the run gets a timeline.
        log: the path of its log in its artifacts.
        max_bytes: of the log; 0 for none.
    """
    data: dict[str, Any] = {"run": run_id, "name": name, "command": command}
    data |= {"has_timeline": has_timeline, "log": log, "max_bytes": max_bytes}
    outbox.note(run_id, _NOTE, **data)


def last_words(folder: Path, end: int) -> list[Record]:
    """Return the timeline and the log of a killed run.

    Args:
        folder: its outbox.
        end: when its process ended, in milliseconds since 1970.
    """
    found = []
    for story in notes(folder, _NOTE):
        run_id = story["run"]
        nodes = node_runs(notes(folder, "node"), end * 1_000_000, _KILLED)
        if story["has_timeline"] and nodes:
            words = story["name"], story["command"], nodes, _KILLED
            found.append(trace_record(run_id, "", *words))
        if text := console_log(folder, story["max_bytes"]):
            copy = new_file(folder, run_id, story["log"])
            copy.write_text(text, "utf-8")
            path = story["log"]
            found.append(file_record(run_id, copy, folder, path, is_optional=True))
    return found
