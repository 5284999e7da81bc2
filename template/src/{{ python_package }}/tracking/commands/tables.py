"""Print results of commands as tables that fit the terminal and need no colour."""

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table
from rich.text import Text

from ..outbox.left import Left
from ..server.uris import display_uri
from ..terminal.humanize import ago, duration, size
from .check import Finding
from .diff import Difference
from .rerun import Plan
from .runs import LatestRun, LatestRuns
from .sync import Synced

_STATES = {"sent": "green", "waits": "red", "open": "cyan"}
_COLOURS = {"FINISHED": "green", "FAILED": "red", "KILLED": "red", "RUNNING": "cyan"}


def print_findings(findings: Sequence[Finding], project_path: Path) -> None:
    """Print a table of environments, and below it what was found in each."""
    console = Console(highlight=False)
    table = _table("environment", "tracked", "experiment", "runs go to")
    for finding in findings:
        verdict = Text("yes", "green") if finding.ok else Text("no", "red")
        uri = finding.tracking_uri
        to = display_uri(uri, project_path) if uri else "unknown"
        to += f", workspace {finding.workspace}" if finding.workspace else ""
        experiment = finding.experiment or "unknown"
        table.add_row(finding.environment, verdict, Text(experiment), Text(to))
    console.print(table)
    console.print()
    for finding in findings:
        _print_line(console, f"{finding.environment}: {finding.message}")
    for missing in dict.fromkeys(m for found in findings for m in found.missing):
        _print_line(console, f"A rerun would be without {missing}.")


def print_difference(found: Difference) -> None:
    """Print two runs side by side: what differs, and how much is equal."""
    console = Console(highlight=False)
    table = _table("", "", *(name for _, name in (found.one, found.other)))
    for row in found.rows:
        if not row.is_equal:
            cells = (Text(each or "none") for each in (row.one, row.other))
            table.add_row(row.kind, Text(row.name), *cells)
    if table.row_count:
        console.print(table)
    equal = Counter(row.kind for row in found.rows if row.is_equal)
    words = ", ".join(f"{n} {kind}{'s' * (n > 1)}" for kind, n in equal.items())
    _print_line(console, f"Equal: {words or 'nothing'}.")


def print_plan(planned: Plan) -> None:
    """Print what a rerun does, and what it cannot have again."""
    console = Console(highlight=False)
    run = planned.run
    with_what = [f"commit {run.commit[:12]}"] if run.commit else []
    with_what += ["its patch"] if run.patch else []
    with_what += [f"its {run.lock[0]}"] if planned.with_uv else []
    _print_line(console, f"Run {run.name} ({run.run_id}): {' with '.join(with_what)}")
    _print_line(console, f"  {shlex.join(planned.words)}")
    for obstacle in planned.obstacles:
        _print_line(console, f"It cannot be run again: {obstacle}.")
    for difference in planned.differences:
        _print_line(console, f"Not as it was: {difference}.")


def print_runs(latest: LatestRuns, wanted: Sequence[str], project_path: Path) -> None:
    """Print a table of runs, with the wanted metrics, or with as many as fit."""
    console = Console(highlight=False)
    if not latest.runs:
        _print_line(console, latest.message)
        return
    metrics = latest.metrics(wanted)
    if latest.message:
        _print_line(console, f"{latest.message}\n")
    table = _runs(latest.runs, metrics)
    hidden: list[str] = []
    while metrics and not wanted and _width(table) > console.width:
        hidden.insert(0, metrics.pop())
        table = _runs(latest.runs, metrics)
    if wanted:  # let the terminal break long lines, so that no number is cut off
        console = Console(highlight=False, width=max(console.width, _width(table)))
    address = display_uri(latest.tracking_uri, project_path)
    _print_line(console, f"Experiment '{latest.experiment}' at {address}\n")
    console.print(table)
    failed = [run for run in latest.runs if run.error]
    if failed or hidden:
        console.print()
    for run in failed:
        _print_line(console, f"{run.short_id} {run.name} failed in {run.error}")
    if hidden:
        _print_line(console, f"--metric NAME shows another: {', '.join(hidden)}")


def print_synced(synced: Sequence[Synced], project_path: Path) -> None:
    """Print a table of outboxes, and below it what there is to say."""
    console = Console(highlight=False)
    if not synced:
        _print_line(console, "Nothing waits: every server has what was logged.")
        return
    table = _table("run", "started", "state", "records", "files", "size", "server")
    now = datetime.now(timezone.utc)
    for each in synced:
        table.add_row(
            Text(each.name),
            ago(each.started, now),
            Text(each.state, _STATES.get(each.state, "")),
            f"{each.was.records:,}",
            f"{each.was.files:,}",
            size(each.was.bytes),
            display_uri(each.tracking_uri, project_path),
        )
    console.print(table)
    for each in synced:
        if each.local_id and each.run_id and each.state == "sent":
            said = f"{each.local_id} is {each.run_id} on the server"
            _print_line(console, f"{each.name}: {said}")
        if each.url:
            _print_line(console, f"{each.name}: {each.url}")
    for message in dict.fromkeys(each.message for each in synced if each.message):
        names = dict.fromkeys(each.name for each in synced if each.message == message)
        _print_line(console, f"{', '.join(names)}: {message}")


@contextmanager
def sending() -> Iterator[Callable[[Left, float], bool]]:
    """Show a progress bar on a terminal; yield what updates it."""
    with Progress(console=Console(stderr=True), transient=True) as bar:
        tasks: dict[Path, TaskID] = {}

        def update(left: Left, part: float) -> bool:
            if left.folder not in tasks:
                name = left.about.name or left.run_id
                tasks[left.folder] = bar.add_task(f"Sending '{name}'", total=1.0)
            bar.update(tasks[left.folder], completed=part)
            return False

        yield update


def _runs(runs: Sequence[LatestRun], metrics: Sequence[str]) -> Table:
    table = _table("id", "status", "started", "took", "run")
    names_say_it = all(run.pipeline in (run.name, "", "__default__") for run in runs)
    if not names_say_it:
        table.add_column("pipeline", overflow="fold")
    for metric in metrics:
        table.add_column(Text(metric), justify="right", no_wrap=True)
    now = datetime.now(timezone.utc)
    for run in runs:
        table.add_row(
            run.short_id,
            Text(_status(run), _COLOURS.get(run.status, "")),
            ago(run.started, now),
            duration(run.seconds) if run.seconds is not None else "",
            Text(run.name),
            *([] if names_say_it else [Text(run.pipeline)]),
            *(_number(run.metrics.get(metric)) for metric in metrics),
        )
    return table


def _status(run: LatestRun) -> str:
    return f"{run.status} (waits here)" if run.waits else run.status


def _table(*columns: str) -> Table:
    """Make a table whose last column wraps a text that does not fit."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    *others, last = columns
    for name in others:
        table.add_column(name, no_wrap=True)
    table.add_column(last, overflow="fold")
    return table


def _width(table: Table) -> int:
    console = Console()
    whole = console.options.update(max_width=999)
    return console.measure(table, options=whole).maximum


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _print_line(console: Console, text: str) -> None:
    """Print a line; wrap it at words on a terminal, but not in a file or a CI log."""
    console.print(text, markup=False, soft_wrap=not console.is_terminal)
