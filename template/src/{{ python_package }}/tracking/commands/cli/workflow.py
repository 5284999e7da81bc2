"""A run of many tasks: ``start``, ``finish``."""

from typing import Any

import click
from kedro.framework.cli.project import run
from kedro.framework.startup import ProjectMetadata

from .options import env_option, environment, logs_on_stderr

_pipelines_option = click.option(
    "--pipelines",
    metavar="NAMES",
    help="The pipelines of the workflow, joined by commas. Default: for start the default "
    "one, for finish those of start.",
)


def _options_of_run(*names: str) -> list[click.Parameter]:
    """Return options of ``kedro run``, which read their values in the same way."""
    return [option for option in run.params if option.name in names]


@click.command(params=_options_of_run("node_names", "params"))
@env_option
@_pipelines_option
@click.pass_obj
def start(
    metadata: ProjectMetadata,
    env: str | None,
    pipelines: str | None,
    node_names: list[str],
    params: dict[str, Any],
) -> None:
    """Create the run of a workflow, and print its id.

    Its tasks find it by tracking.run.key. If the run with the key is there already, it
    stays as it is.
    """
    from ..workflow import start as start_workflow

    with logs_on_stderr():
        names = (pipelines or "__default__").split(",")
        arguments = (environment(env), names, node_names, params)
        run_id = start_workflow(metadata.project_path, *arguments)
    if run_id:
        click.echo(run_id)


@click.command(params=_options_of_run("node_names"))
@env_option
@_pipelines_option
@click.pass_obj
def finish(
    metadata: ProjectMetadata,
    env: str | None,
    pipelines: str | None,
    node_names: list[str],
) -> None:
    """End the run of a workflow, with the status that its tasks report.

    FINISHED if every node, of those named, has reported success. Otherwise FAILED, with
    the names of the other nodes and the exit code 1.
    """
    from ..workflow import finish as finish_workflow

    with logs_on_stderr():
        names = pipelines.split(",") if pipelines else []
        arguments = (environment(env), names, node_names)
        outcome = finish_workflow(metadata.project_path, *arguments)
    click.echo(outcome.message)
    raise SystemExit(0 if outcome.ok else 1)
