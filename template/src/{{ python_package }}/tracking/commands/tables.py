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
from ..terminal.humanize import ago, size
from .check import Finding
from .diff import Difference
from .rerun import Plan
from .resume import Continuation
from .sync import Synced
from .which_run import short

_STATES = {"sent": "green", "waits": "red", "open": "cyan"}


def print_findings(findings: Sequence[Finding], project_path: Path) -> None:
    """Print a table of environments, and below it what was found in each."""
    console = Console(highlight=False)
    table = table_of("environment", "tracked", "experiment", "runs go to")
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
        print_line(console, f"{finding.environment}: {finding.message}")
    for missing in dict.fromkeys(m for found in findings for m in found.missing):
        print_line(console, f"A rerun would be without {missing}.")


def print_difference(found: Difference) -> None:
    """Print two runs side by side: what differs, and how much is equal."""
    console = Console(highlight=False)
    runs = (f"{name}\n{short(run_id)}" for run_id, name in (found.one, found.other))
    table = table_of("", "", *runs)
    for column in table.columns[1:]:  # neither run may take the other's place
        column.no_wrap, column.overflow = False, "fold"
    for row in found.rows:
        if not row.is_equal:
            cells = (Text(each or "none") for each in (row.one, row.other))
            table.add_row(row.kind, Text(row.name), *cells)
    if table.row_count:
        console.print(table)
    equal = Counter(row.kind for row in found.rows if row.is_equal)
    words = ", ".join(f"{n} {kind}{'s' * (n > 1)}" for kind, n in equal.items())
    print_line(console, f"Equal: {words or 'nothing'}.")


def print_plan(planned: Plan) -> None:
    """Print what a rerun does, and what it cannot have again."""
    console = Console(highlight=False)
    run = planned.run
    with_what = [f"commit {run.commit[:12]}"] if run.commit else []
    with_what += ["its patch"] if run.patch else []
    with_what += [f"its {run.lock[0]}"] if planned.with_uv else []
    print_line(console, f"Run {run.name} ({run.run_id}): {' with '.join(with_what)}")
    print_line(console, f"  {shlex.join(planned.words)}")
    for obstacle in planned.obstacles:
        print_line(console, f"It cannot be run again: {obstacle}.")
    for difference in planned.differences:
        print_line(console, f"Not as it was: {difference}.")


def print_continuation(planned: Continuation) -> None:
    """Print how a run goes on: what runs, and what is taken over."""
    console = Console(highlight=False)
    print_line(console, f"Run {planned.name} ({planned.run_id}) goes on:")
    print_line(console, f"  {shlex.join(planned.words)}")
    print_line(console, f"Failed or did not run: {', '.join(planned.left)}.")
    for node, dataset in planned.again.items():
        print_line(console, f"Runs again: {node}, since its {dataset} is not kept.")
    for dataset, node in planned.taken_over.items():
        print_line(console, f"Taken over: {dataset}, of {node}.")
    for difference in planned.differences:
        print_line(console, f"Not as it was: {difference}.")


def print_synced(synced: Sequence[Synced], project_path: Path) -> None:
    """Print a table of outboxes, and below it what there is to say."""
    console = Console(highlight=False)
    if not synced:
        print_line(console, "Nothing waits: every server has what was logged.")
        return
    table = table_of("run", "started", "state", "records", "files", "size", "server")
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
            print_line(console, f"{each.name}: {said}")
        if each.url:
            print_line(console, f"{each.name}: {each.url}")
    for message in dict.fromkeys(each.message for each in synced if each.message):
        names = dict.fromkeys(each.name for each in synced if each.message == message)
        print_line(console, f"{', '.join(names)}: {message}")


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


def table_of(*columns: str) -> Table:
    """Make a table whose last column wraps a text that does not fit."""
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for name in columns[:-1]:
        table.add_column(name, no_wrap=True)
    for name in columns[-1:]:
        table.add_column(name, overflow="fold")
    return table


def print_line(console: Console, text: str) -> None:
    """Print a line; wrap it at words on a terminal, but not in a file or a CI log."""
    console.print(text, markup=False, soft_wrap=not console.is_terminal)
