"""The MLflow run of a Kedro run: join an active one, continue one, or create one."""

import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from kedro.framework.context import KedroContext

from ..config.loading import RESUME, environment, key_location, mlflow_config
from ..errors import TrackingError
from ..outbox.delivery import delivering
from ..outbox.folder import OPENING, OUTBOXES, RUN_KEY, known_id, local_id
from ..outbox.outbox import Outbox
from ..outbox.records import info_record
from ..server.availability import ServerAway
from ..server.connection import Connection
from ..server.http_errors import is_refusal
from ..server.offline import Offline
from ..server.uris import artifact_root, is_database
from . import active_runs
from .experiment import experiment_id, experiment_name
from .handle import RunHandle
from .parameters import Params
from .story import Story
from .tags import run_name, run_tags
from .task import known_run

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_UNTIL_OFFLINE = 10  # seconds for a slow server, which is then waited for meanwhile
_PARENT = "mlflow.parentRunId"
_ID = re.compile(r"(local-)?[0-9a-f]{32}")  # of a run


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
    refuse_changes(run, params, "run in a process of its own")
    return run, tracking_uri


class NewRun(NamedTuple):
    """What a run is created with.

    Attributes:
        opening: its local id, to find a run that was created without an answer.
        experiment: the name of its experiment.
        name: its own name.
        tags: its tags, MLflow's own included.
        start_time: in milliseconds since 1970.
        key: the key of the run of a workflow, which a task joins.
    """

    opening: str
    experiment: str
    name: str
    tags: dict[str, str]
    start_time: int
    key: str | None = None


def new_run(
    context: KedroContext,
    run_params: Mapping[str, Any],
    params: Params,
    story: Story,
    tracking_uri: str,
    parent: RunHandle | None = None,
    key: str | None = None,
) -> NewRun:
    """Return what a run is created with, without a request.

    Args:
        context: the run's.
        run_params: what Kedro passes to its hooks about the run.
        params: its parameters.
        story: what it records of itself.
        tracking_uri: its server, without a login.
        parent: the run whose node starts this one; None for most runs.
        key: the key of the run of a workflow; None for most runs.
    """
    from mlflow.tracking.context.registry import resolve_tags

    tracking = mlflow_config(context).tracking
    tags = run_tags(
        run_params,
        environment(context.config_loader),
        context.project_path,
        story.source,
        tracking.params.redact,
    )
    tags |= story.tags(tags["kedro_command"], params.params, tracking_uri)
    if parent:
        tags[_PARENT] = parent.run.info.run_id
    if key:
        tags[RUN_KEY] = key
    opening = tags[OPENING] = local_id()
    return NewRun(
        opening,
        experiment_name(tracking.experiment, context),
        tracking.run.name or run_name(run_params),
        resolve_tags(tags),
        int(time.time() * 1000),
        key,
    )


def _open(
    new: NewRun, connection: Connection, context: KedroContext, params: Params
) -> "Run":
    """Create a run on the server, continue the one of ``tracking.run.id``, or join one.

    A run that is continued or joined keeps its name, experiment and tags.

    Raises:
        ServerAway: the server does not answer.
        TrackingError: the experiment may not be created or restored; or the run to
            continue or to join does not exist, or has another value of a parameter.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(connection.uri)  # which connects to a database
    if new.key:
        run = known_run(new.key, connection, context)
        refuse_changes(run, params, "run it with another key")
        if run.info.status != "RUNNING":
            client.update_run(run.info.run_id, status="RUNNING")
        return run
    run_id = mlflow_config(context).tracking.run.id
    if run_id is None:
        return create_run(new, connection, context)
    try:
        run = client.get_run(run_id)
        is_resumed = os.environ.get(RESUME)
        way_out = "let tracking.run.id be null for a new run"
        way_out = "start a new run with 'kedro run'" if is_resumed else way_out
        refuse_changes(run, params, way_out)
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


def create_run(new: NewRun, connection: Connection, context: KedroContext) -> "Run":
    """Create a run: a request for its experiment, and one for the run.

    Raises:
        TrackingError: the experiment may not be created or restored, or there is no run
            for ``tracking.run.parent``.
    """
    from mlflow import MlflowClient

    client = MlflowClient(connection.uri)
    experiment = find_experiment(connection.uri, context, new.experiment)
    parent = {} if _PARENT in new.tags else _parent(connection, context)
    try:
        tags = {**new.tags, **parent}
        with delivering():  # or the outbox of its parent would have it, too
            return client.create_run(experiment, new.start_time, tags, new.name)
    except BaseException:
        _end_unanswered(client, experiment, new.opening)
        raise


def _parent(connection: Connection, context: KedroContext) -> dict[str, str]:
    """Return the tag of a child: one request for an id, two for a key."""
    from mlflow import MlflowClient

    parent = mlflow_config(context).tracking.run.parent
    if not parent:
        return {}
    parent = known_id(parent, context.project_path / OUTBOXES)
    try:
        if _ID.fullmatch(parent):
            run = MlflowClient(connection.uri).get_run(parent)
        else:
            run = known_run(parent, connection, context)
        return {_PARENT: run.info.run_id}
    except Exception as error:
        if not is_refusal(error):
            raise
        raise TrackingError(
            f"{key_location('tracking.run.parent', context.config_loader)} is '{parent}', "
            f"and {connection.safe_uri} has no such run. Copy the id from the run's page, "
            "or use a key."
        ) from None


def find_experiment(uri: str, context: KedroContext, name: str) -> str:
    """Return the id of an experiment on a server; ``mlflow.yml`` has its settings."""
    from mlflow import MlflowClient

    options = mlflow_config(context).tracking.experiment
    options = options.model_copy(update={"name": name})
    root = artifact_root(uri, context.project_path)
    return experiment_id(MlflowClient(uri), options, context, root)


def open_or_record(
    mode: Offline,
    new: NewRun,
    outbox: Outbox,
    connection: Connection,
    context: KedroContext,
    params: Params,
) -> "tuple[Run, ServerAway | None]":
    """Open a run, in the outbox alone if the server is away and ``mlflow.yml`` allows it.

    Returns:
        The run, and why it is in the outbox alone, if it is.

    Raises:
        TrackingError: as in ``open_run``.
    """
    is_possible = mode != "never" and outbox.folder and not is_database(connection.uri)
    if mode == "always" and is_possible:
        asked = "this is what server.offline or KEDRO_MLFLOW_OFFLINE asks for."
        return _record(new, outbox, context, ServerAway(asked))
    try:
        with connection.translate_errors(_UNTIL_OFFLINE if is_possible else None):
            run = _open(new, connection, context, params)
            record = outbox.found if new.key else outbox.opened
            record(new.opening, run)
            return run, None
    except ServerAway as away:
        if not is_possible:
            raise
        return _record(new, outbox, context, away)


def _record(
    new: NewRun, outbox: Outbox, context: KedroContext, away: ServerAway
) -> "tuple[Run, ServerAway]":
    """Open a run in its outbox alone, without a request.

    Raises:
        ServerAway: ``tracking.run.parent`` is a key, which only the server knows.
    """
    from mlflow.entities import Run, RunData, RunInfo

    options, tags = mlflow_config(context).tracking.run, new.tags
    run_id = options.id
    if options.parent and not new.key and _PARENT not in tags:
        if not _ID.fullmatch(options.parent):
            raise away
        tags = {**tags, _PARENT: options.parent}
    if run_id is None:
        run = outbox.create_local_run(None, tags, new.name, new.start_time, new.opening)
        return run, away
    outbox.write([info_record(run_id, "RUNNING", None)])
    nowhere = context.project_path.as_uri()  # only the server knows
    info = RunInfo(
        run_id, "0", "", "RUNNING", new.start_time, None, "active", nowhere, run_id
    )
    return Run(info, RunData()), away


def _end_unanswered(client: "MlflowClient", experiment: str, opening: str) -> None:
    """End the run that a server may have created without answering."""
    with suppress(Exception):  # the server is away, and the first error says so
        for run in client.search_runs([experiment], f"tags.`{OPENING}` = '{opening}'"):
            client.set_terminated(run.info.run_id, "FAILED")


def refuse_changes(run: "Run", params: Params, way_out: str) -> None:
    """Refuse changed parameters before the run's status changes; MLflow would later."""
    known = run.data.params
    for name, value in params.params.items():
        if known.get(name, value) != value:
            raise TrackingError(
                f"The run {run.info.run_id} has the parameter '{name}' already, as "
                f"'{known[name]}'; it cannot become '{value}'. Use the same value, or "
                f"{way_out}."
            )
