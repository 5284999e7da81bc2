"""Look at runs, and send what waits: ``runs``, ``logs``, ``diff``, ``ui``, ``sync`` …"""

from contextlib import ExitStack
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from kedro.framework.startup import ProjectMetadata

from ...terminal.progress import progress
from .options import env_option, environment, format_option, logs_on_stderr, print_json

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext

    from ...config.options import UiOptions
    from ...server.connection import Connection


@click.command()
@env_option
@click.option(
    "--metric",
    "metrics",
    metavar="NAME",
    multiple=True,
    help="A metric to show; may be repeated. Default: those that most runs have, as "
    "many as fit.",
)
@click.option(
    "--param",
    "params",
    metavar="NAME",
    multiple=True,
    help="A parameter to show; may be repeated. Default: those that differ, if they fit.",
)
@click.option("--pipeline", metavar="NAME", default="", help="Only its runs.")
@click.option(
    "--status",
    type=click.Choice(
        ["RUNNING", "FINISHED", "FAILED", "KILLED"], case_sensitive=False
    ),
    default=None,
    help="Only runs with this status.",
)
@click.option(
    "--since",
    metavar="TIME",
    help="Only runs that started since then: 30m, 12h, 2d, 1w, or 2026-11-20.",
)
@click.option(
    "--where",
    metavar="FILTER",
    default="",
    help='Only runs that MLflow finds with this, such as "metrics.accuracy > 0.9".',
)
@click.option(
    "--parent",
    metavar="RUN",
    help="Only its child runs, such as the trials of a sweep.",
)
@click.option(
    "--order-by",
    metavar="ORDER",
    default="",
    help='Sort by this, such as "metrics.accuracy DESC". Default: the newest first.',
)
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    metavar="NUMBER",
    default=10,
    show_default=True,
    help="How many runs to show.",
)
@click.option(
    "--watch", is_flag=True, help="Show them anew while one of them is under way."
)
@format_option
@click.pass_obj
def runs(
    metadata: ProjectMetadata,
    env: str | None,
    metrics: tuple[str, ...],
    params: tuple[str, ...],
    pipeline: str,
    status: str | None,
    since: str | None,
    where: str,
    parent: str | None,
    order_by: str,
    limit: int,
    watch: bool,
    style: str,
) -> None:
    """Show the latest runs of the project's experiment, newest first.

    Several filters are joined by 'and'. --where and --order-by are in MLflow's own words;
    with them and with --parent, only runs that the server has are shown. RUNNING? is a run whose process on this machine
    has ended. With --format json, a list with an object for each run: its ids, times,
    metrics and parameters, its store and its page.
    """
    from ..filters import Filters, point_in_time
    from ..run_table import Wanted, print_runs, watch_runs
    from ..runs import runs_of

    if watch and style == "json":
        raise click.UsageError("--watch shows a table, and no JSON.")
    start = (
        point_in_time(since, datetime.now(timezone.utc)) if since is not None else None
    )
    state = (status or "").upper()
    filters = Filters(pipeline, state, start, where, parent, order_by)
    path, wanted = metadata.project_path, Wanted(metrics, params)
    with ExitStack() as stack:
        with logs_on_stderr(), progress("Fetching the runs …"):
            source = runs_of(path, environment(env), limit, filters)
            fetch = stack.enter_context(source)
            latest = fetch()
        if watch:
            watch_runs(latest, fetch, wanted, path)
        elif style == "table":
            print_runs(latest, wanted, path)
        else:
            if latest.message:
                click.echo(latest.message, err=True)
            print_json(latest.as_dicts(latest.metrics(metrics)), metadata)


@click.command()
@env_option
@click.argument("one", metavar="RUN")
@click.argument("other", metavar="RUN")
@format_option
@click.pass_obj
def diff(
    metadata: ProjectMetadata, env: str | None, one: str, other: str, style: str
) -> None:
    """Compare two runs.

    RUN is a run's id or the beginning of it, as 'kedro mlflow runs' shows it, or its name.
    What differs in metrics, inputs, parameters and source is shown side by side. With
    --format json, an object with a row for each thing that one of them has.
    """
    from ..diff import diff as compare
    from ..tables import print_difference

    with logs_on_stderr():
        found = compare(metadata.project_path, environment(env), one, other)
    if style == "json":
        print_json(found.as_dict(), metadata)
    else:
        print_difference(found)


@click.command()
@env_option
@click.argument("which", metavar="[RUN]", required=False)
@click.pass_obj
def logs(metadata: ProjectMetadata, env: str | None, which: str | None) -> None:
    """Print what a run has logged, with the traceback if it has failed.

    RUN is its id or the beginning of it, as 'kedro mlflow runs' shows it, or its name.
    Default: the newest. A run sends its log at its end; until then it is printed on the
    machine of the run alone.
    """
    from ..logs import logs_of

    with logs_on_stderr(), progress("Fetching the log …"):
        found = logs_of(metadata.project_path, environment(env), which)
    click.echo(found.title, err=True)
    for text in found.texts:
        click.echo(text, nl=False)


_host_option = click.option(
    "--host",
    metavar="NAME",
    help="Host to listen on. Default: ui.host of mlflow.yml, or else localhost.",
)
_port_option = click.option(
    "--port",
    type=int,
    metavar="NUMBER",
    help="Port to listen on. Default: ui.port of mlflow.yml, or else the first free one "
    "from 5000.",
)


@click.command()
@env_option
@_host_option
@_port_option
@click.option(
    "--offline",
    is_flag=True,
    help="Show a copy of the runs that the server does not have yet.",
)
@click.pass_obj
def ui(
    metadata: ProjectMetadata,
    env: str | None,
    host: str | None,
    port: int | None,
    offline: bool,
) -> None:
    """Open MLflow's pages on the runs of an environment.

    A store without a server gets one on this machine until Ctrl-C; the pages of an MLflow
    server open in the browser.
    """
    from ..offline import OFFLINE_HINT, has_offline_runs, offline_copy
    from ..ui import experiment_page, show

    context, listening = _listening(metadata, env, host, port)
    hint = OFFLINE_HINT if not offline and has_offline_runs(context) else ""
    with offline_copy(context) if offline else _store(context) as connection:
        find = partial(experiment_page, connection, context, hint)
        raise SystemExit(show(connection, listening, find))


@click.command(name="open")
@env_option
@click.argument("which", metavar="[RUN]", required=False)
@_host_option
@_port_option
@click.pass_obj
def open_run(
    metadata: ProjectMetadata,
    env: str | None,
    which: str | None,
    host: str | None,
    port: int | None,
) -> None:
    """Open the page of a run, in the browser.

    RUN is its id or the beginning of it, as 'kedro mlflow runs' shows it, or its name.
    Default: the newest. A store without a server gets one on this machine until Ctrl-C,
    unless 'kedro mlflow ui' shows it already.
    """
    from ..ui import run_page, show

    context, listening = _listening(metadata, env, host, port)
    with _store(context) as connection:
        find = partial(run_page, connection, context, which)
        raise SystemExit(show(connection, listening, find))


def _listening(
    metadata: ProjectMetadata, env: str | None, host: str | None, port: int | None
) -> "tuple[KedroContext, UiOptions]":
    """Return the context of an environment, and where a server is to listen."""
    from ...config.loading import mlflow_config
    from ..context import load_context

    context = load_context(metadata.project_path, environment(env))
    config = mlflow_config(context).ui
    given = {"host": host or config.host, "port": port or config.port}
    return context, config.model_copy(update=given)


def _store(context: "KedroContext") -> "Connection":
    from ...config.loading import mlflow_config
    from ...server.connection import Connection

    return Connection(mlflow_config(context).server, context)


@click.command()
@click.argument(
    "folder",
    required=False,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option("--dry-run", is_flag=True, help="Only say what waits.")
@click.option(
    "--any-host",
    is_flag=True,
    help="Take what runs of other machines have left, too. Only for machines that are "
    "gone: a run that goes on there would be marked as killed.",
)
@format_option
@click.pass_obj
def sync(
    metadata: ProjectMetadata,
    folder: Path | None,
    dry_run: bool,
    any_host: bool,
    style: str,
) -> None:
    """Send to their servers what runs have left on this machine.

    That is what a run logged while its server was away, and what a run had not sent when
    it was killed; such a run becomes KILLED. FOLDER holds outboxes of another place, such
    as a copy from a cluster; by default they are in mlruns/outbox of the project.

    The exit code is 1 when something waits still. With --format json, a list with an
    object for each run.
    """
    from ..sync import sync as sync_outboxes
    from ..tables import print_synced, sending

    with logs_on_stderr(), sending() as on_progress:
        arguments = (metadata.project_path, folder, dry_run, any_host, on_progress)
        synced = list(sync_outboxes(*arguments))
    if style == "json":
        print_json([each.as_dict() for each in synced], metadata)
    else:
        print_synced(synced, metadata.project_path)
    raise SystemExit(1 if any(each.state == "waits" for each in synced) else 0)
