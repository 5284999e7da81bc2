"""Where the fleet stands: a table, JSON, or a page for a browser."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Column, Table

from .facts import STATES, Facts, Project
from .last_runs import LastRun
from .outcome import OUTCOMES, Outcome

COLOURS = {
    "current": "green",
    "behind": "yellow",
    "ahead": "cyan",
    "stale": "magenta",
    "edited": "blue",
    "untrusted": "red",
    "broken": "red",
    "updated": "green",
    "draft": "yellow",
    "named": "red",
}


Runs = Mapping[Project, LastRun] | None
"""The last run of each project; None when no tracking server is known."""


def table(found: Sequence[Facts], newest: str, runs: Runs = None) -> Table:
    """Return the facts for a terminal."""
    last = [] if runs is None else ["last run"]
    columns = ["ring", "project", "version", *last, "state", "what to do"]
    made = Table(*map(_folding, columns), title=_title(found))
    made.caption = f"The newest version is {newest}."
    for fact in found:
        state = f"[{COLOURS[fact.state]}]{fact.state}[/]"
        ring = str(fact.project.ring)
        words = [ring, fact.project.name, fact.version]
        if runs is not None:
            words.append(str(runs.get(fact.project, "none")))
        made.add_row(*map(escape, words), state, escape(fact.what_to_do))
    return made


def as_json(found: Sequence[Facts], newest: str, runs: Runs = None) -> str:
    """Return the facts for a program."""
    projects = [
        {
            "repository": fact.project.repository,
            "folder": fact.project.folder,
            "ring": fact.project.ring,
            "version": fact.version,
            "state": fact.state,
            "detail": fact.detail,
            "branch": fact.waiting,
            **({} if runs is None else {"last_run": _as_dict(runs, fact)}),
        }
        for fact in found
    ]
    return json.dumps({"newest": newest, "projects": projects}, indent=2)


def _as_dict(runs: Mapping[Project, LastRun], fact: Facts) -> dict[str, Any] | None:
    return asdict(runs[fact.project]) if fact.project in runs else None


def as_html(found: Sequence[Facts], newest: str, runs: Runs = None) -> str:
    """Return one page with a chart, which needs no other file."""
    from jinja2 import Template

    page = Path(__file__).with_name("status.html.jinja").read_text("utf-8")
    counts = Counter(fact.state for fact in found)
    template = Template(page, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return str(
        template.render(
            title=_title(found),
            newest=newest,
            counts={state: counts[state] for state in STATES if counts[state]},
            versions=Counter(fact.version or "none" for fact in found),
            facts=found,
            runs=runs,
            date=f"{datetime.now():%Y-%m-%d %H:%M}",
        )
    )


def outcomes(found: Sequence[Outcome]) -> Table:
    """Return what has come of an update, for a terminal."""
    counts = Counter(outcome.result for outcome in found)
    title = ", ".join(f"{counts[name]} {name}" for name in OUTCOMES if counts[name])
    columns = map(_folding, ("repository", "result", "branch or request", "reasons"))
    made = Table(*columns, title=title)
    for outcome in found:
        result = f"[{COLOURS[outcome.result]}]{outcome.result}[/]"
        log = (
            [f"The checks' log: {os.path.relpath(outcome.log)}"] if outcome.log else []
        )
        where = outcome.request or outcome.branch
        reasons = escape("\n".join((*outcome.reasons, *log)))
        made.add_row(escape(outcome.name), result, escape(where), reasons)
    return made


def _folding(name: str) -> Column:
    """Return a column that cuts no address."""
    return Column(name, overflow="fold")


def _title(found: Sequence[Facts]) -> str:
    current = sum(fact.state == "current" for fact in found)
    return f"{current} of {len(found)} projects are current"
