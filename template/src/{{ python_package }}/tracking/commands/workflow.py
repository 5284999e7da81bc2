"""Start and finish the run of a workflow, for ``kedro mlflow start`` and ``finish``."""

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import kedro
from kedro.framework.context import KedroContext
from kedro.framework.project import pipelines as registered
from kedro.pipeline import Pipeline

from ..config.loading import mlflow_config
from ..datasets.story import story
from ..errors import TrackingError, did_you_mean
from ..outbox.delivery import Delivery
from ..outbox.folder import OUTBOXES
from ..outbox.records import batch_records
from ..outbox.waiting import not_logged
from ..run.left import tasks_sent
from ..run.opening import create_run, find_experiment, new_run, refuse_changes
from ..run.parameters import Params, pipeline_params
from ..run.task import known_run, reports, run_key, runs_by_key
from ..run.untracked import disabled_by
from ..server.connection import Connection
from ..server.local_store import create_local_store
from .context import load_context

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_DEFAULT = "__default__"
_WORKFLOW = "kedro.workflow"  # tag with the pipelines and nodes, for finish
_UNSETTLED = 5  # seconds until a start that says nothing is taken for dead
_PAUSE = 0.2  # seconds between two looks
_DISABLED = "No MLflow run: turned off by %s"
_logger = logging.getLogger(__name__)
_PROBLEMS = {
    "FAILED": "failed",
    "KILLED": "killed",
    "RUNNING": "killed, or still running",
    None: "without a report",
}


class Outcome(NamedTuple):
    """How a workflow ended, and what there is to say."""

    ok: bool
    message: str


def start(
    project_path: Path,
    env: str,
    names: Sequence[str],
    nodes: Sequence[str],
    params: dict[str, Any],
) -> str | None:
    """Return the id of the run with the key of ``mlflow.yml``; create it if need be.

    None if tracking is disabled.

    Args:
        project_path: the project's root.
        env: the environment.
        names: the pipelines of the workflow.
        nodes: those nodes of them that it runs; none for all.
        params: what ``--params`` sets.

    Raises:
        TrackingError: there is no key, the server does not answer, or the run has
            another value of a parameter.
    """
    context = load_context(project_path, env, params)
    options = mlflow_config(context).tracking
    run_params: dict[str, Any] = {"pipeline_names": names, "node_names": nodes}
    run_params |= {"env": env, "runtime_params": params}
    run_params["kedro_version"] = kedro.__version__
    if reason := disabled_by(options, run_params):
        _logger.info(_DISABLED, reason)
        return None
    key, pipeline = _key(context), _pipeline(names, nodes)
    values = pipeline_params(pipeline, context.catalog, options.params)
    with _connected(context) as connection:

        def create() -> "Run":
            catalog, record = context.catalog, options.record
            told = story(pipeline, catalog, record, run_params, project_path)
            named = (values, told, connection.safe_uri)
            new = new_run(context, run_params, *named, key=key)
            return create_run(new, connection, context)

        run = _one_run(key, create, json.dumps([names, nodes]), connection, context)
        refuse_changes(run, values, "start it with another key")
        _log(run, values, connection, context)
        return str(run.info.run_id)


def finish(
    project_path: Path, env: str, names: Sequence[str], nodes: Sequence[str]
) -> Outcome:
    """End the run with the key of ``mlflow.yml``, and the nested runs that are left open.

    What tasks on this machine have not sent yet is sent before.

    Args:
        project_path: the project's root.
        env: the environment.
        names: the pipelines of the workflow; none for those that it was started with.
        nodes: those nodes of them that it runs; none for all.

    Raises:
        TrackingError: there is no key or no run with it, or the server does not answer.
    """
    context = load_context(project_path, env)
    options = mlflow_config(context).tracking
    if reason := disabled_by(options, {"pipeline_names": names or [_DEFAULT]}):
        return Outcome(True, _DISABLED % reason)
    key = _key(context)
    with _connected(context) as connection:
        run = known_run(key, connection, context)
        if not (names or nodes):
            names, nodes = json.loads(run.data.tags.get(_WORKFLOW, "[[], []]"))
        pipeline = _pipeline(names or [_DEFAULT], nodes)
        tasks_sent(connection, context, key)
        client, run_id = _client(connection), run.info.run_id
        reported = reports(client.get_run(run_id).data.tags)
        statuses = {
            node.name: reported[node.name].status if node.name in reported else None
            for node in pipeline.nodes
        }
        problems = [
            f"{words}: {', '.join(found)}"
            for status, words in _PROBLEMS.items()
            if (found := [n for n, s in statuses.items() if s == status])
        ]
        status = "FAILED" if problems else "FINISHED"
        _end_children(client, run)
        client.set_terminated(run_id, status)
    what = "; ".join(problems) or f"all {len(statuses)} nodes have succeeded"
    message = f"MLflow run '{run.info.run_name}' {status}. Nodes: {what}"
    return Outcome(not problems, message)


def _one_run(
    key: str,
    create: "Callable[[], Run]",
    workflow: str,
    connection: Connection,
    context: KedroContext,
) -> "Run":
    """Return the run with a key, the same to all starts, and create it if need be.

    MLflow has no unique tag, so starts at the same moment each create a run. One that has
    seen no other gives its run the tag of a workflow, which settles it. Each of the others
    sees that run or an older one, and deletes its own.
    """
    client, mine = _client(connection), None
    until = time.monotonic() + _UNSETTLED
    while True:
        found = runs_by_key(key, connection, context)
        if not found and mine is None:
            mine = create().info.run_id
            continue
        ids = [run.info.run_id for run in found]
        settled = next((run for run in found if _WORKFLOW in run.data.tags), None)
        if mine and mine in ids and mine != (settled or found[0]).info.run_id:
            client.delete_run(mine)
            mine = None
        if settled:
            return settled
        if found and (ids == [mine] or time.monotonic() > until):
            client.set_tag(ids[0], _WORKFLOW, workflow)
            return found[0]
        time.sleep(_PAUSE)


def _key(context: KedroContext) -> str:
    if key := run_key(mlflow_config(context).tracking.run):
        return key
    raise TrackingError(
        "This workflow has no key. Set tracking.run.key in mlflow.yml, or the variable "
        "KEDRO_MLFLOW_RUN_KEY, to a name that all its tasks share and no other workflow "
        "has, such as the run id of the orchestrator."
    )


def _pipeline(names: Sequence[str], nodes: Sequence[str]) -> Pipeline:
    for name in names:
        if name not in registered:
            raise TrackingError(
                f"There is no pipeline '{name}'{did_you_mean(name, registered)}. There "
                f"are: {', '.join(registered)}."
            )
    pipeline = sum((registered[name] for name in names), Pipeline([]))
    try:
        return pipeline.only_nodes(*nodes) if nodes else pipeline
    except ValueError as error:
        raise TrackingError(str(error)) from None


@contextmanager
def _connected(context: KedroContext) -> Iterator[Connection]:
    with Connection(mlflow_config(context).server, context) as connection:
        if connection.artifact_root:
            create_local_store(connection.uri, connection.artifact_root)
        with connection.translate_errors():
            yield connection


def _client(connection: Connection) -> "MlflowClient":
    from mlflow import MlflowClient

    return MlflowClient(connection.uri)


def _log(
    run: "Run", values: Params, connection: Connection, context: KedroContext
) -> None:
    """Log the parameters that the run does not have."""
    from mlflow.entities import Param, RunTag

    run_id, known = run.info.run_id, run.data
    params = [Param(k, v) for k, v in values.params.items() if k not in known.params]
    tags = [RunTag(k, v) for k, v in values.tags.items() if k not in known.tags]

    def experiment(name: str) -> str:
        return find_experiment(connection.uri, context, name)

    delivery = Delivery(connection.uri, context.project_path / OUTBOXES, experiment)
    refused = delivery.log(batch_records(run_id, params=params, tags=tags))
    if refused:
        raise TrackingError(not_logged(refused))
    for path, text in values.files.items():
        _client(connection).log_text(run_id, text, path)


def _end_children(client: "MlflowClient", run: "Run") -> None:
    """End as KILLED the runs that killed tasks have left open below a run."""
    query = f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
    for child in client.search_runs([run.info.experiment_id], query):
        _end_children(client, child)
        if child.info.status == "RUNNING":
            client.set_terminated(child.info.run_id, "KILLED")
