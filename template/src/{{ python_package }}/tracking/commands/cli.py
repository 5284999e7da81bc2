"""``kedro mlflow …``: set up tracking, look at runs, start and finish workflows."""

import json
import logging
import os
import re
import sys
from contextlib import AbstractContextManager, redirect_stdout
from pathlib import Path
from typing import Any, TextIO

import click
from kedro.framework.cli.project import run
from kedro.framework.project import settings
from kedro.framework.startup import ProjectMetadata

_env_option = click.option(
    "--env",
    "-e",
    metavar="NAME",
    help="Environment, a folder of conf/. Default: KEDRO_ENV, or else local.",
)
_format_option = click.option(
    "--format",
    "style",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="For people, or for a program.",
)


_pipeline_option = click.option(
    "--pipeline", metavar="NAME", help="Only a model of this pipeline."
)


_pipelines_option = click.option(
    "--pipelines",
    metavar="NAMES",
    default="__default__",
    help="The pipelines of the workflow, joined by commas. Default: the default one.",
)


def _options_of_run(*names: str) -> list[click.Parameter]:
    """Return options of ``kedro run``, which read their values in the same way."""
    return [option for option in run.params if option.name in names]


@click.group(name="mlflow")
def mlflow_commands() -> None:
    """Where the runs of this project go: set it up, check it, look at them."""


@mlflow_commands.command()
@_env_option
@click.option("--force", is_flag=True, help="Write over the file that is there.")
@click.pass_obj
def init(metadata: ProjectMetadata, env: str | None, force: bool) -> None:
    """Write the mlflow.yml of an environment.

    For base it holds every key with its default; for any other environment what is to
    differ there.
    """
    from ..config.rendering import documented_yaml, environment_yaml
    from ..errors import TrackingError

    env = _environment(env)
    if not re.fullmatch(r"\w[\w-]*", env):
        raise TrackingError(
            f"'{env}' is no name for an environment; use letters, digits, dashes and "
            "underscores, for example --env staging."
        )
    folder = _conf_source(metadata) / env
    file = folder / "mlflow.yml"
    if file.exists() and not force:
        raise TrackingError(f"{file} exists already; --force overwrites it.")
    folder.mkdir(parents=True, exist_ok=True)
    text = documented_yaml() if env == "base" else environment_yaml(env)
    file.write_text(text, encoding="utf-8")
    click.echo(f"Wrote {file}")


@mlflow_commands.command()
@_env_option
@click.option(
    "--host",
    metavar="NAME",
    help="Host to listen on. Default: ui.host of mlflow.yml, or else localhost.",
)
@click.option(
    "--port",
    type=int,
    metavar="NUMBER",
    help="Port to listen on. Default: ui.port of mlflow.yml, or else the first free one "
    "from 5000.",
)
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
    from ..config.loading import mlflow_config
    from ..server.connection import Connection
    from ..server.workspace import home
    from .context import load_context
    from .offline import has_offline_runs, offline_copy
    from .ui import refuse_dead_server, serve

    context = load_context(metadata.project_path, _environment(env))
    config = mlflow_config(context)
    if offline:
        with offline_copy(context) as connection:
            host = host or config.ui.host or "localhost"
            raise SystemExit(serve(connection, host, port or config.ui.port))
    with Connection(config.server, context) as connection:
        if connection.uri.startswith(("http:", "https:")):
            refuse_dead_server(connection, shows_more=has_offline_runs(context))
            click.echo(
                f"The runs are at {home(connection.safe_uri, connection.workspace)}"
            )
            raise SystemExit(click.launch(home(connection.uri, connection.workspace)))
        host = host or config.ui.host or "localhost"
        raise SystemExit(serve(connection, host, port or config.ui.port))


@mlflow_commands.command()
@_env_option
@click.option(
    "--metric",
    "metrics",
    metavar="NAME",
    multiple=True,
    help="A metric to show; may be repeated. Default: those that most runs have, as "
    "many as fit.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    metavar="NUMBER",
    default=10,
    show_default=True,
    help="How many runs to show.",
)
@_format_option
@click.pass_obj
def runs(
    metadata: ProjectMetadata,
    env: str | None,
    metrics: tuple[str, ...],
    limit: int,
    style: str,
) -> None:
    """Show the latest runs of the project's experiment, newest first.

    With --format json, a list with an object for each run: its ids, times and metrics,
    its store and its page.
    """
    from .runs import latest_runs
    from .tables import print_runs

    with _logs_on_stderr():
        latest = latest_runs(metadata.project_path, _environment(env), limit)
    if style == "json":
        if latest.message:
            click.echo(latest.message, err=True)
        _print_json(latest.as_dicts(latest.metrics(metrics)), metadata)
    else:
        print_runs(latest, metrics, metadata.project_path)


@mlflow_commands.command()
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
@_format_option
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
    from .sync import sync as sync_outboxes
    from .tables import print_synced, sending

    with _logs_on_stderr(), sending() as on_progress:
        arguments = (metadata.project_path, folder, dry_run, any_host, on_progress)
        synced = list(sync_outboxes(*arguments))
    if style == "json":
        _print_json([each.as_dict() for each in synced], metadata)
    else:
        print_synced(synced, metadata.project_path)
    raise SystemExit(1 if any(each.state == "waits" for each in synced) else 0)


@mlflow_commands.command(params=_options_of_run("node_names", "params"))
@_env_option
@_pipelines_option
@click.pass_obj
def start(
    metadata: ProjectMetadata,
    env: str | None,
    pipelines: str,
    node_names: list[str],
    params: dict[str, Any],
) -> None:
    """Create the run of a workflow, whose tasks find it by tracking.run.key.

    If the run with the key is there already, it stays as it is. Prints the run's id.
    """
    from .workflow import start as start_workflow

    with _logs_on_stderr():
        arguments = (_environment(env), pipelines.split(","), node_names, params)
        run_id = start_workflow(metadata.project_path, *arguments)
    if run_id:
        click.echo(run_id)


@mlflow_commands.command(params=_options_of_run("node_names"))
@_env_option
@_pipelines_option
@click.pass_obj
def finish(
    metadata: ProjectMetadata, env: str | None, pipelines: str, node_names: list[str]
) -> None:
    """End the run of a workflow, with the status that its tasks have reported.

    FINISHED if every node, of those named, has reported success. Otherwise FAILED, with
    the names of the other nodes and the exit code 1.
    """
    from .workflow import finish as finish_workflow

    with _logs_on_stderr():
        arguments = (_environment(env), pipelines.split(","), node_names)
        outcome = finish_workflow(metadata.project_path, *arguments)
    click.echo(outcome.message)
    raise SystemExit(0 if outcome.ok else 1)


@mlflow_commands.command()
@click.argument("model", required=False)
@_env_option
@_pipeline_option
@click.option("--port", type=int, metavar="NUMBER", default=8080, show_default=True)
@click.pass_obj
def serve(
    metadata: ProjectMetadata,
    model: str | None,
    env: str | None,
    pipeline: str | None,
    port: int,
) -> None:
    """Serve the model of a pipeline, and show the command that calls it.

    MODEL is a run's or model's id, the name of a registered model, also with @alias or
    /version, or a URI. Default: the newest model of a pipeline in the experiment.
    """
    from .serving import downloaded_model, serve

    path = metadata.project_path
    with downloaded_model(path, _environment(env), model, pipeline) as folder:
        raise SystemExit(serve(folder, port))


@mlflow_commands.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("model", required=False)
@_env_option
@_pipeline_option
@click.pass_obj
def predict(
    metadata: ProjectMetadata,
    file: Path,
    model: str | None,
    env: str | None,
    pipeline: str | None,
) -> None:
    """Print the answer of a pipeline's model for a file.

    FILE is CSV, or JSON as a request has it. MODEL as for serve.
    """
    from .serving import downloaded_model, predict

    path = metadata.project_path
    with _logs_on_stderr():
        with downloaded_model(path, _environment(env), model, pipeline) as folder:
            answer = predict(folder, file)
    click.echo(answer)


@mlflow_commands.command()
@click.argument("run")
@_env_option
@click.option(
    "--pipeline", metavar="NAME", required=True, help="Has a node of pipeline_model."
)
@click.pass_obj
def package(
    metadata: ProjectMetadata, run: str, env: str | None, pipeline: str
) -> None:
    """Log the model of a pipeline to a RUN that has ended, from the run's artifacts."""
    from .serving import package

    with _logs_on_stderr():
        made = package(metadata.project_path, _environment(env), run, pipeline)
    click.echo("\n".join(made))


@mlflow_commands.command()
@_env_option
@click.option("--all", "every", is_flag=True, help="Check every environment.")
@click.option(
    "--template", is_flag=True, help="Compare with the template, not a server."
)
@_format_option
@click.pass_obj
def check(
    metadata: ProjectMetadata,
    env: str | None,
    every: bool,
    template: bool,
    style: str,
) -> None:
    """Say where runs would go, and whether they would get there.

    The exit code is 1 when a run would not be tracked. With --format json, a list with
    an object for each environment.

    With --template, say instead which version of the template the project follows,
    whether a newer one is out, and what an update would meet: edited files of the
    template, files that it no longer has, conflicts that wait for a decision. The exit
    code is 1 when there is such a file; the JSON is one object.
    """
    if template:
        raise SystemExit(_check_template(metadata, style))
    from ..config.project import environments
    from ..terminal.progress import progress
    from .check import check as check_environment
    from .tables import print_findings

    names = environments(_conf_source(metadata)) if every else [_environment(env)]
    findings = []
    with _logs_on_stderr():
        for name in names:
            with progress(f"Trying {name} …"):
                findings.append(check_environment(metadata.project_path, name))
    if style == "json":
        _print_json([finding.as_dict() for finding in findings], metadata)
    else:
        print_findings(findings, metadata.project_path)
    raise SystemExit(0 if all(finding.ok for finding in findings) else 1)


@mlflow_commands.command()
@_env_option
@click.argument("one", metavar="RUN")
@click.argument("other", metavar="RUN")
@_format_option
@click.pass_obj
def diff(
    metadata: ProjectMetadata, env: str | None, one: str, other: str, style: str
) -> None:
    """Compare two runs, by their ids.

    What differs in metrics, inputs, parameters and source is shown side by side. With
    --format json, an object with a row for each thing that one of them has.
    """
    from .diff import diff as compare
    from .tables import print_difference

    with _logs_on_stderr():
        found = compare(metadata.project_path, _environment(env), one, other)
    if style == "json":
        _print_json(found.as_dict(), metadata)
    else:
        print_difference(found)


@mlflow_commands.command()
@_env_option
@click.argument("run_id", metavar="RUN_ID")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Only say what would run, and what is not as it was.",
)
@_format_option
@click.pass_obj
def rerun(
    metadata: ProjectMetadata,
    env: str | None,
    run_id: str,
    dry_run: bool,
    style: str,
) -> None:
    """Run a recorded run again, and compare the two.

    Commit, patch, packages and command are those of the run. The code is checked out
    beside the project, which stays as it is. The new run has the tag kedro.rerun_of.

    The exit code is that of 'kedro run', or 1 when metrics or inputs differ, or when the
    run cannot be run again. With --format json, an object.
    """
    from .rerun import plan
    from .rerun import rerun as run_again
    from .tables import print_difference, print_plan

    project, env = metadata.project_path, _environment(env)
    with _logs_on_stderr():
        planned = plan(project, env, run_id)
    if style == "table":
        print_plan(planned)
    if planned.obstacles or dry_run:
        if style == "json":
            _print_json(planned.as_dict(), metadata)
        raise SystemExit(1 if planned.obstacles else 0)
    with _logs_on_stderr():
        code, found = run_again(project, env, planned)
    if style == "json":
        _print_json({**planned.as_dict(), **found.as_dict()}, metadata)
    else:
        print_difference(found)
    raise SystemExit(code or (0 if found.is_reproduced else 1))


def _check_template(metadata: ProjectMetadata, style: str) -> int:
    from dataclasses import asdict

    from ..template.drift import drift

    found = drift(metadata.project_path)
    if style == "json":
        _print_json(asdict(found), metadata)
        return 0 if found.ok else 1
    click.echo(f"template: {found.version or 'unknown'}; {found.message}.")
    for name in found.edited:
        click.echo(f"edited: {name} is the template's; make the change there.")
    for name, instead in found.obsolete.items():
        click.echo(f"obsolete: {name} is no longer the template's; {instead}.")
    for name in found.unmerged:
        click.echo(f"unmerged: {name} waits for a decision after an update.")
    return 0 if found.ok else 1


def _print_json(content: Any, metadata: ProjectMetadata) -> None:
    """Print JSON, and warn on stderr if Kedro has logged to stdout before it.

    Kedro logs which logging configuration it uses when it is imported, before it knows
    the project, unless ``conf/logging.yml`` exists in the working directory.
    """
    click.echo(json.dumps(content))
    if logging.getLogger("kedro.framework.project").isEnabledFor(logging.INFO):
        file = _conf_source(metadata) / "logging.yml"
        click.echo(
            "Kedro has logged to stdout before the JSON. Call this command in "
            f"{metadata.project_path}, or set KEDRO_LOGGING_CONFIG={file}.",
            err=True,
        )


def _logs_on_stderr() -> AbstractContextManager[TextIO]:
    """Send Kedro's logs, which go to stdout, to stderr: stdout is for the result."""
    return redirect_stdout(sys.stderr)


def _environment(env: str | None) -> str:
    default = settings.CONFIG_LOADER_ARGS.get("default_run_env") or "local"
    return env or os.environ.get("KEDRO_ENV") or default


def _conf_source(metadata: ProjectMetadata) -> Path:
    return metadata.project_path / str(settings.CONF_SOURCE)
