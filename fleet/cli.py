"""The commands of ``kedro-mlflow-fleet``."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import click
from packaging.version import Version
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, track
from tracking.template.drift import answers

from . import report
from .config import Fleet, load
from .enforce import below
from .errors import FleetError
from .facts import Facts, Project, facts, facts_of_all
from .forge import connect
from .job import Job
from .last_runs import last_runs
from .outcome import Outcome, slug
from .projects import projects
from .promote import next_ring
from .run import run
from .template import mirror, newest, version_of, versions

STATE = ".kedro-mlflow-fleet"
"""The folder beside ``fleet.yml`` for clones and for what is done already."""

_jobs = click.option(
    "--jobs",
    type=click.IntRange(1),
    default=os.cpu_count() or 2,
    help="How many projects at once. Default: one for each core.",
)


@click.group()
@click.option(
    "--fleet",
    "file",
    type=click.Path(path_type=Path),
    default=Path("fleet.yml"),
    help="The file that names the projects. Default: fleet.yml.",
)
@click.pass_context
def main(context: click.Context, file: Path) -> None:
    """Keep all projects of an organisation on the template."""
    context.obj = file


@main.command()
@click.option(
    "--format", "style", type=click.Choice(["table", "json", "html"]), default="table"
)
@_jobs
@click.pass_obj
def status(file: Path, style: str, jobs: int) -> None:
    """Show where every project stands."""
    fleet = load(file)
    known = versions(fleet.template)
    latest = known[newest(known)]
    found = _facts(fleet, newest(known), jobs)
    runs = None
    if fleet.tracking_uri:
        try:
            runs = last_runs(fleet.tracking_uri, found)
        except FleetError as error:
            click.echo(error.message, err=True)
    if style == "table":
        _console().print(report.table(found, latest, runs))
    else:
        page = report.as_json if style == "json" else report.as_html
        click.echo(page(found, latest, runs))


@main.command()
@click.argument("version")
@click.option("--ring", type=int, required=True, help="Which ring gets the version.")
@click.option("--dry-run", is_flag=True, help="Show the diffs; push nothing.")
@_jobs
@click.pass_obj
def update(file: Path, version: str, ring: int, dry_run: bool, jobs: int) -> None:
    """Bring a version of the template to one ring.

    Each repository is updated in a fresh clone and pushed as a branch; where a forge is
    configured, a request is opened: a draft, if a person has to decide something. After
    Ctrl-C the same command goes on with the rest. The exit code is 1 when a project was
    only named.
    """
    fleet = load(file)
    _update(file, fleet, version, projects(fleet, ring), dry_run, jobs)


@main.command()
@click.argument("version")
@click.option("--dry-run", is_flag=True, help="Only say which ring is next.")
@_jobs
@click.pass_obj
def promote(file: Path, version: str, dry_run: bool, jobs: int) -> None:
    """Open the next ring for a version, when the last one is merged and green.

    While a ring waits for that, say what it waits for.
    """
    fleet = load(file)
    tag = _tag(fleet, version)
    target = Version(tag)
    found = _facts(fleet, target, jobs)
    forge = connect(fleet.forge.model_dump()) if fleet.forge else None
    ring = next_ring(found, target, tag, forge, click.echo)
    if ring is None:
        return
    click.echo(f"Ring {ring} is next.")
    if not dry_run:
        _update(file, fleet, tag, projects(fleet, ring), False, jobs)


@main.command()
@click.argument("folder", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--minimum", help="The lowest version. Default: that of fleet.yml.")
@_jobs
@click.pass_obj
def enforce(file: Path, folder: Path | None, minimum: str | None, jobs: int) -> None:
    """Fail where a version is below the minimum: in FOLDER, or in the whole fleet.

    A project whose version cannot be trusted fails too.
    """
    fleet = load(file) if minimum is None or folder is None else None
    lowest = minimum or (fleet.minimum if fleet else None)
    least = version_of(lowest or "")
    if lowest is None or least is None:
        raise FleetError(
            f"{lowest or 'Nothing'} is no minimum: write 'minimum: v0.3.0' into {file}, "
            "or give --minimum v0.3.0."
        )
    if folder is not None:
        address = fleet.template if fleet else answers(folder).get("_src_path", "")
        name = answers(folder).get("project_slug", folder.resolve().name)
        found = [facts(folder, Project(name, ".", 1), address, least)]
    else:
        found = _facts(load(file), least, jobs)
    sentences = list(below(found, lowest))
    for sentence in sentences:
        click.echo(sentence)
    raise SystemExit(1 if sentences else 0)


def _facts(fleet: Fleet, target: Version, jobs: int) -> list[Facts]:
    every = projects(fleet)
    reading = facts_of_all(every, fleet.template, target, jobs)
    console = _console(stderr=True)
    shown = track(
        reading, "Reading", len(every), console=console, disable=not console.is_terminal
    )
    return list(shown)


def _update(
    file: Path,
    fleet: Fleet,
    version: str,
    members: Sequence[Project],
    dry_run: bool,
    at_once: int,
) -> None:
    tag = _tag(fleet, version)
    state = file.parent.resolve() / STATE
    state.mkdir(exist_ok=True)
    (state / ".gitignore").write_text("*\n", "utf-8")
    copy = mirror(fleet.template, state / "template.git")
    jobs = [
        Job(
            repository=repository,
            folders=[project.folder for project in group],
            template=fleet.template,
            mirror=str(copy),
            version=tag,
            trust=fleet.trust,
            checks=fleet.checks,
            timeout_minutes=fleet.timeout_minutes,
            forge=fleet.forge.model_dump() if fleet.forge else None,
            record=str(
                state / ("dry" if dry_run else tag) / f"{slug(repository)}.json"
            ),
            dry_run=dry_run,
        )
        for repository, group in groupby(members, lambda project: project.repository)
    ]
    _show(_done(jobs, at_once), dry_run)


def _done(jobs: Sequence[Job], at_once: int) -> list[Outcome]:
    """Do the jobs, with progress for a person."""
    found: list[Outcome] = []
    console = _console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("Updating", total=len(jobs))

        def say(repository: str) -> None:
            progress.update(task, description=escape(repository[-40:]))

        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
        try:
            for outcome in run(jobs, at_once, say):
                found.append(outcome)
                progress.advance(task)
                if not console.is_terminal:
                    count = f"{len(found)} of {len(jobs)}"
                    click.echo(f"{count}: {_heading(outcome)}", err=True)
        except KeyboardInterrupt:
            click.echo(
                f"Interrupted after {len(found)} of {len(jobs)}. The same command goes on "
                "with the rest.",
                err=True,
            )
            raise SystemExit(130) from None
    order = [job.repository for job in jobs]
    return sorted(found, key=lambda outcome: order.index(outcome.repository))


def _show(found: Sequence[Outcome], dry_run: bool) -> None:
    console = _console()
    for outcome in found if dry_run else ():
        click.echo(f"=== {_heading(outcome)}")
        click.echo(outcome.diff, nl=False)
    console.print(report.outcomes(found))
    raise SystemExit(1 if any(o.result == "named" for o in found) else 0)


def _heading(outcome: Outcome) -> str:
    where = outcome.request or outcome.branch
    return ", ".join(filter(None, (f"{outcome.name}: {outcome.result}", where)))


def _tag(fleet: Fleet, version: str) -> str:
    """Return the template's tag for a version.

    Raises:
        FleetError: the template has no such version.
    """
    known = versions(fleet.template)
    wanted = version_of(version)
    if wanted is None or wanted not in known:
        latest = known[newest(known)]
        raise FleetError(f"{fleet.template} has no {version}; the newest is {latest}.")
    return known[wanted]


def _console(*, stderr: bool = False) -> Console:
    return Console(stderr=stderr, highlight=False, soft_wrap=False)


if __name__ == "__main__":
    main()
