"""Models of pipelines: ``serve``, ``predict``, ``package``."""

from pathlib import Path

import click
from kedro.framework.startup import ProjectMetadata

from .options import env_option, environment, logs_on_stderr

_name_option = click.option(
    "--name",
    metavar="NAME",
    help="Only a model with this name, which pipeline_model(…) has given it.",
)


@click.command()
@click.argument("model", required=False)
@env_option
@_name_option
@click.option("--port", type=int, metavar="NUMBER", default=8080, show_default=True)
@click.pass_obj
def serve(
    metadata: ProjectMetadata,
    model: str | None,
    env: str | None,
    name: str | None,
    port: int,
) -> None:
    """Serve the model of a pipeline, and show the command that calls it.

    MODEL is a run's or model's id, the name of a registered model, also with @alias or
    /version, or a URI. Default: the newest model of a pipeline in the experiment.
    """
    from ..serving import downloaded_model, serve

    path = metadata.project_path
    with downloaded_model(path, environment(env), model, name) as folder:
        raise SystemExit(serve(folder, port))


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("model", required=False)
@env_option
@_name_option
@click.pass_obj
def predict(
    metadata: ProjectMetadata,
    file: Path,
    model: str | None,
    env: str | None,
    name: str | None,
) -> None:
    """Print the answer of a pipeline's model for a file.

    FILE is CSV, or JSON as a request has it. MODEL as for serve.
    """
    from ..serving import downloaded_model, predict

    path = metadata.project_path
    with logs_on_stderr():
        with downloaded_model(path, environment(env), model, name) as folder:
            answer = predict(folder, file)
    click.echo(answer)


@click.command()
@click.argument("run")
@env_option
@click.option(
    "--pipeline", metavar="NAME", required=True, help="Has a node of pipeline_model."
)
@click.pass_obj
def package(
    metadata: ProjectMetadata, run: str, env: str | None, pipeline: str
) -> None:
    """Log the model of a pipeline to a run that has ended.

    It is made of the artifacts of RUN: its id or the beginning of it, or its name.
    """
    from ..serving import package

    with logs_on_stderr():
        made = package(metadata.project_path, environment(env), run, pipeline)
    click.echo("\n".join(made))
