"""Serve the model of a pipeline, call it for a file, and make it of an ended run."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from kedro.framework.context import KedroContext
from kedro.framework.project import pipelines
from kedro.io import CatalogProtocol, DatasetError
from kedro.pipeline import Node

from ..datasets import inner_dataset
from ..datasets.artifacts import MlflowArtifactDataset
from ..datasets.models import MlflowModelTrackingDataset
from ..errors import TrackingError, did_you_mean
from ..server.connection import Connection
from ..serving.connect import models
from ..serving.flavor import PIPELINE
from ..serving.node import Packing
from .context import connected, experiment_of, load_context
from .ui import is_free, run_server
from .which_run import run_id_of

_HOST = "127.0.0.1"


@contextmanager
def downloaded_model(
    project: Path, env: str, which: str | None, name: str | None
) -> Iterator[str]:
    """Yield the folder of a model that is downloaded until then.

    Args:
        project: the project.
        env: its environment.
        which: a run's id, a model's id, the name of a registered model or a URI; None for
            the newest one of the experiment.
        name: only a model with this name, which ``pipeline_model`` has given it.

    Raises:
        TrackingError: there is none, or the server does not answer.
    """
    context = load_context(project, env)
    with TemporaryDirectory(prefix="kedro-mlflow-") as folder:
        with _connected(context) as connection:
            from mlflow.artifacts import download_artifacts

            if which and re.fullmatch("[0-9a-f]{8,31}", which):
                which = run_id_of(which, connection, context)
            uri = _uri(which, name, context)
            click.echo(f"The model is {uri}", err=True)
            path = download_artifacts(uri, dst_path=folder)
        yield path  # without a login


@contextmanager
def _connected(context: KedroContext) -> Iterator[Connection]:
    """Connect to the server; what MLflow and the catalog refuse becomes a sentence."""
    from mlflow.exceptions import MlflowException

    try:
        with connected(context) as connection:
            yield connection
    except (MlflowException, DatasetError) as error:
        raise TrackingError(str(error)) from None


def _uri(which: str | None, name: str | None, context: KedroContext) -> str:
    from mlflow import MlflowClient

    if which and not re.fullmatch("[0-9a-f]{32}", which):
        if ":" in which:
            return which
        if re.match(r"m-|.*[/@]", which):
            return f"models:/{which}"
        return f"models:/{which}/latest"
    experiment = experiment_of(context)
    client = MlflowClient()
    if which:
        ids = [client.get_run(which).info.experiment_id]
    else:
        there = client.get_experiment_by_name(experiment)
        ids = [there.experiment_id] if there else []
    for model in client.search_logged_models(ids) if ids else ():
        own = model.tags.get(PIPELINE)
        if own and name in (None, own) and which in (None, model.source_run_id):
            return f"models:/{model.model_id}"
    of = f"the run {which}" if which else f"the experiment '{experiment}'"
    raise TrackingError(
        f"There is no model of a pipeline{f' with the name {name!r}' if name else ''} in {of}. "
        "A node of pipeline_model(…) makes one when its pipeline runs, 'kedro "
        "mlflow package' does so afterwards, and 'kedro mlflow sync' sends what waits."
    )


def serve(model: str, port: int) -> int:
    """Serve a model on this machine until Ctrl-C; returns the exit code of MLflow's server.

    Raises:
        TrackingError: the port is taken.
    """
    if not is_free(_HOST, port):
        raise TrackingError(f"Port {port} is taken; give another with --port.")
    where = ("--host", _HOST, "--port", port, "--env-manager", "local")
    here = str(Path(sys.executable).parent)  # MLflow looks for uvicorn on the path
    env = {**os.environ, "PATH": os.pathsep.join((here, os.environ.get("PATH", "")))}
    ready = f"Call the model, until Ctrl-C, with:\n{_curl(model, port)}"
    command = _mlflow("serve", model, *where)
    return run_server(command, env, (_HOST, port), lambda: click.echo(ready))


def _curl(model: str, port: int) -> str:
    request = json.loads(Path(model, "serving_input_example.json").read_text("utf-8"))
    if table := request.get("dataframe_split"):
        table["data"] = table["data"][:1]
    return (
        f"curl http://{_HOST}:{port}/invocations -H 'Content-Type: application/json' "
        f"-d {shlex.quote(json.dumps(request))}"
    )


def predict(model: str, file: Path) -> str:
    """Return the answer for a file of JSON, as a request has it, or CSV.

    Raises:
        TrackingError: MLflow or the model has failed.
    """
    request = file.read_text("utf-8")
    if file.suffix == ".csv":
        import pandas

        table = json.loads(pandas.read_csv(file).to_json(orient="split"))
        request = json.dumps({"dataframe_split": table})
    done = subprocess.run(
        _mlflow("predict", model, "--env-manager", "local"),
        input=request, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        said = re.split(r"(?m)^[\w.]+(?:Error|Exception): ", done.stderr)[-1].strip()
        raise TrackingError(f"The model does not answer for {file}: {said}")
    return done.stdout


def package(project: Path, env: str, which: str, pipeline: str) -> list[str]:
    """Log the models of a pipeline to a run that has ended, from the run's artifacts.

    Args:
        project: the project.
        env: its environment.
        which: the run, as ``run_id_of`` takes it.
        pipeline: a registered pipeline.

    Returns:
        Their URIs.

    Raises:
        TrackingError: the pipeline has no node that makes a model, or the run does not
            have what a model needs.
    """
    context = load_context(project, env)
    nodes = list(models(pipelines[pipeline])) if pipeline in pipelines else []
    if not nodes:
        known = [name for name, found in pipelines.items() if any(models(found))]
        raise TrackingError(
            f"'{pipeline}' is no pipeline with a node of pipeline_model(…)"
            f"{did_you_mean(pipeline, known)}; there are: {', '.join(known) or 'none'}."
        )
    with _connected(context) as connection:
        from mlflow import MlflowClient

        run_id = run_id_of(which, connection, context)
        MlflowClient().get_run(run_id)  # or else an error that names it
        return [_logged(context.catalog, *each, run_id) for each in nodes]


def _logged(
    catalog: "CatalogProtocol[Any, Any]", node: Node, packing: Packing, run_id: str
) -> str:
    datasets = {name: inner_dataset(catalog.get(name)) for name in packing.artifacts}
    for name, dataset in datasets.items():
        if not isinstance(dataset, (MlflowArtifactDataset, MlflowModelTrackingDataset)):
            raise TrackingError(
                f"The model needs '{name}', which is in no run, but in a "
                f"{type(dataset).__name__}. Wrap it in MlflowArtifactDataset."
            )
        dataset.run_id = run_id
    try:
        model = packing(*(catalog.load(name) for name in node.inputs))
    except DatasetError as error:
        raise TrackingError(
            f"The run {run_id} does not have what the model needs. Give a run that has "
            f"trained it. {error}"
        ) from None
    target = inner_dataset(catalog.get(node.outputs[0]))
    target.add_save_args(datasets=datasets, run_id=run_id)
    return str(target.log(model).model_uri)


def _mlflow(command: str, model: str, *words: object) -> list[str]:
    start = [sys.executable, "-m", "mlflow", "models", command, "--model-uri", model]
    return [*start, *map(str, words)]
