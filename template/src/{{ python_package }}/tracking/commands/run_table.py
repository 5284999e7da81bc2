"""Show runs as a table that is never wider than the terminal."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from rich.console import Console, ConsoleRenderable, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..server.uris import display_uri
from ..terminal.humanize import ago, duration
from .runs import SYSTEM, LatestRun, LatestRuns
from .tables import table_of

_COLOURS = {"FINISHED": "green", "FAILED": "red", "KILLED": "red", "RUNNING": "cyan"}
_LONGEST_NAME, _SHORT_NAME = 24, 14  # characters of a run's name
_LONGEST_VALUE = 20  # characters of a parameter
_PAUSE = 2.0  # seconds between two looks at runs under way


class Wanted(NamedTuple):
    """The columns that somebody asks for; empty for those that fit."""

    metrics: Sequence[str] = ()
    params: Sequence[str] = ()


class _Column(NamedTuple):
    title: str
    cell: Callable[[LatestRun], str | Text]
    option: str = ""  # that asks for it
    is_wanted: bool = False


def print_runs(latest: LatestRuns, wanted: Wanted, project_path: Path) -> None:
    """Print a table of runs, with the wanted columns, or with as many as fit."""
    console = Console(highlight=False)
    shown = _shown(latest, wanted, project_path, console)
    console.print(shown, soft_wrap=not console.is_terminal)


def watch_runs(
    latest: LatestRuns,
    fetch: Callable[[], LatestRuns],
    wanted: Wanted,
    project_path: Path,
) -> None:
    """Show runs until none is under way, or until Ctrl-C; the last table stays.

    Args:
        latest: the runs.
        fetch: fetches them anew.
        wanted: the columns.
        project_path: the project, from which addresses are shown.
    """
    console = Console(highlight=False)
    with suppress(KeyboardInterrupt), Live(console=console, transient=True) as live:
        while any(run.is_under_way for run in latest.runs):
            if console.is_terminal:  # a file gets the last table alone
                table = _shown(latest, wanted, project_path, console)
                live.update(Group(table, Text("\nCtrl-C ends it.", "dim")))
            time.sleep(_PAUSE)
            latest = fetch()
    print_runs(latest, wanted, project_path)


def _shown(
    latest: LatestRuns, wanted: Wanted, project_path: Path, console: Console
) -> ConsoleRenderable:
    if not latest.runs:
        return Text(latest.message)
    metrics = [_metric(n, bool(wanted.metrics)) for n in latest.metrics(wanted.metrics)]
    params = [_param(n, bool(wanted.params)) for n in latest.params(wanted.params)]
    columns = [c for pair in zip_longest(metrics, params) for c in pair if c]
    columns.sort(key=lambda column: not column.is_wanted)
    tables, hidden = _tables(latest.runs, columns, console)
    address = display_uri(latest.tracking_uri, project_path)
    above = f"{latest.message}\n\n" if latest.message else ""
    parts: list[ConsoleRenderable] = [
        Text(f"{above}Experiment '{latest.experiment}' at {address}")
    ]
    for table in tables:
        parts += [Text(), table]
    below = [
        f"{run.short_id} {run.name} failed in {run.error}"
        for run in latest.runs
        if run.error
    ]
    below += [
        f"{run.short_id} {run.name} is not running any more: its process has ended. "
        "'kedro mlflow sync' makes it KILLED, 'kedro mlflow resume' continues it"
        for run in latest.runs
        if run.was_killed
    ]
    for option in ("--metric", "--param"):
        titles = [column.title for column in hidden if column.option == option]
        if names := [name for name in titles if not name.startswith(SYSTEM)]:
            below.append(f"{option} NAME shows another: {', '.join(names)}")
    return Group(*parts, *([Text()] if below else []), *map(Text, below))


def _tables(
    runs: Sequence[LatestRun], columns: Sequence[_Column], console: Console
) -> tuple[list[Table], list[_Column]]:
    """Return tables with the columns that fit, and those that are left out.

    What somebody wants is never left out: it goes to a further table. Of the rest, a
    metric and a parameter have the first places, for which names become shorter, then
    the next of each.
    """
    first = [_Column("id", lambda run: run.short_id)]
    about = _about(runs, _LONGEST_NAME)
    if not _fits(_table(runs, [*first, *about, *columns[:2]]), console):
        about = _about(runs, _SHORT_NAME)
    tables, hidden, shown = list[Table](), list[_Column](), first + about
    for column in columns:
        if _fits(_table(runs, [*shown, column]), console):
            shown.append(column)
        elif column.is_wanted:
            tables.append(_table(runs, shown))
            shown = [*first, column]
        else:
            hidden.append(column)
    return [*tables, _table(runs, shown)], hidden


def _about(runs: Sequence[LatestRun], longest_name: int) -> list[_Column]:
    now = datetime.now(timezone.utc)
    columns = [
        _Column("status", _status),
        _Column("started", lambda run: ago(run.started, now)),
        _Column(
            "took",
            lambda run: "" if run.seconds is None else duration(run.seconds),
        ),
        _Column("run", lambda run: _cut(run.name, longest_name)),
    ]
    if any(run.pipeline not in (run.name, "", "__default__") for run in runs):
        columns.append(_Column("pipeline", lambda run: run.pipeline))
    return columns


def _status(run: LatestRun) -> Text:
    doubt = "?" if run.was_killed else ""
    waits = " (waits here)" if run.waits else ""
    return Text(f"{run.status}{doubt}{waits}", _COLOURS.get(run.status, ""))


def _metric(name: str, is_wanted: bool) -> _Column:
    def number(run: LatestRun) -> str:
        value = run.metrics.get(name)
        return "" if value is None else f"{value:.4g}"

    return _Column(name, number, "--metric", is_wanted)


def _param(name: str, is_wanted: bool) -> _Column:
    def value(run: LatestRun) -> str:
        return _cut(run.params.get(name, "").replace("\n", " "), _LONGEST_VALUE)

    return _Column(name, value, "--param", is_wanted)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _table(runs: Sequence[LatestRun], columns: Iterable[_Column]) -> Table:
    columns = sorted(columns, key=lambda column: column.option)  # metrics first
    table = table_of()
    for column in columns:
        is_number = column.option == "--metric"
        table.add_column(
            Text(column.title),
            justify="right" if is_number else "left",
            no_wrap=bool(column.option) or column.title not in ("run", "pipeline"),
            overflow="fold",
        )
    for run in runs:
        table.add_row(*(_text(column.cell(run)) for column in columns))
    return table


def _text(cell: str | Text) -> Text:
    return Text(cell) if isinstance(cell, str) else cell


def _fits(table: Table, console: Console) -> bool:
    whole = console.options.update(max_width=9999)
    return console.measure(table, options=whole).maximum <= console.width
