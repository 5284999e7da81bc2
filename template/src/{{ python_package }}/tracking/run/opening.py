"""The MLflow run of a Kedro run: join an active one, continue one, or create one."""

import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kedro.framework.context import KedroContext

from ..config.loading import environment, key_location, mlflow_config
from ..errors import TrackingError
from ..server.connection import Connection
from . import active_runs
from .experiment import experiment_id
from .handle import RunHandle
from .parameters import Params
from .tags import pipeline_names, run_tags

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

OPENING = "kedro.opening"
"""Tag to find a run that a server may have created without answering."""


def joined_run(params: Params) -> "tuple[Run, str] | None":
    """Return the run that other code has started, and its tracking URI.

    It is active in MLflow, or ``MLFLOW_RUN_ID`` names it. It is requested from its
    server, since MLflow's own copy is as old as the run's start.

    Raises:
        TrackingError: it has another value of one of the parameters.
    """
    active = active_runs.active_run()
    run_id = active.info.run_id if active else active_runs.run_id_of_orchestrator()
    if not run_id:
        return None
    from mlflow import MlflowClient, get_tracking_uri

    tracking_uri = get_tracking_uri()
    run = MlflowClient(tracking_uri).get_run(run_id)
    _refuse_changes(run, params)
    return run, tracking_uri


def continued_run(
    client: "MlflowClient",
    run_id: str,
    connection: Connection,
    context: KedroContext,
    params: Params,
) -> "Run":
    """Reopen the run of ``tracking.run.id``; it keeps its name, experiment and tags.

    Raises:
        TrackingError: the run does not exist, or has another value of a parameter.
    """
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
        _refuse_changes(run, params)
        client.update_run(run_id, status="RUNNING")
        return run
    except MlflowException as error:
        if error.error_code not in (
            "RESOURCE_DOES_NOT_EXIST",
            "INVALID_PARAMETER_VALUE",
        ):
            raise
        raise TrackingError(
            f"{key_location('tracking.run.id', context.config_loader)} is '{run_id}', and "
            f"{connection.safe_uri} has no such run. Copy the id from the run's page, or "
            "let it be null for a new run."
        ) from None


def new_run(
    client: "MlflowClient",
    connection: Connection,
    context: KedroContext,
    run_params: Mapping[str, Any],
    parent: RunHandle | None,
) -> "Run":
    """Create a run: a request for its experiment and one for the run.

    Args:
        client: of the run's server.
        connection: to that server.
        context: the run's.
        run_params: what Kedro passes to its hooks about the run.
        parent: the run whose node starts this one; None for most runs.

    Raises:
        TrackingError: the experiment may not be created or restored.
    """
    from mlflow.tracking.context.registry import resolve_tags

    tracking = mlflow_config(context).tracking
    experiment = experiment_id(
        client, tracking.experiment, context, connection.artifact_root
    )
    tags = run_tags(
        run_params,
        environment(context.config_loader),
        context.project_path,
        tracking.params.redact,
    )
    if parent:
        tags["mlflow.parentRunId"] = parent.run.info.run_id
    tags[OPENING] = uuid.uuid4().hex
    name = tracking.run.name or "+".join(pipeline_names(run_params))
    try:
        return client.create_run(experiment, tags=resolve_tags(tags), run_name=name)
    except BaseException:
        _end_unanswered(client, experiment, tags[OPENING])
        raise


def _end_unanswered(client: "MlflowClient", experiment: str, opening: str) -> None:
    """End the run that a server may have created without answering."""
    with suppress(Exception):  # the server is away, and the first error says so
        for run in client.search_runs([experiment], f"tags.`{OPENING}` = '{opening}'"):
            client.set_terminated(run.info.run_id, "FAILED")


def _refuse_changes(run: "Run", params: Params) -> None:
    """Refuse changed parameters before the run's status changes; MLflow would later."""
    known = run.data.params
    for name, value in params.params.items():
        if known.get(name, value) != value:
            raise TrackingError(
                f"The run {run.info.run_id} has the parameter '{name}' already, as "
                f"'{known[name]}'; it cannot become '{value}'. Use the same value, or "
                "let tracking.run.id be null for a new run."
            )
