"""Which run somebody means: by its id, the beginning of the id, or its name."""

import re
from typing import TYPE_CHECKING

from kedro.framework.context import KedroContext

from ..errors import TrackingError
from ..outbox.folder import is_local, known_id
from ..server.connection import Connection
from .context import experiment_of

if TYPE_CHECKING:
    from mlflow.entities import Run

SHORT = 8  # characters of an id that a list shows
_MANY = 5  # runs of one name that a message lists
_NEWEST_FIRST = ["attributes.start_time DESC"]
_SEARCHED = 1000  # runs at most that a name may be


def short(run_id: str) -> str:
    """Return the beginning of an id that tells runs of one project apart."""
    return run_id[: run_id.find("-") + 1 + SHORT]  # of "local-…", those after it


def run_of(which: str, connection: Connection, context: KedroContext) -> "Run":
    """Return a run: one to three requests.

    Args:
        which: as in ``run_id_of``.
        connection: to the environment's server.
        context: the context of the environment.

    Raises:
        TrackingError: as in ``run_id_of``.
    """
    return run_with_id(run_id_of(which, connection, context), connection)


def run_with_id(run_id: str, connection: Connection) -> "Run":
    """Return a run: one request.

    Raises:
        TrackingError: the store has no such run.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        return MlflowClient(connection.uri).get_run(run_id)
    except MlflowException as error:
        if "API request to" in error.message:
            raise
        raise TrackingError(
            f"{connection.display_uri} has no run {run_id}. 'kedro mlflow runs' lists the "
            "latest ones."
        ) from None


def run_or_newest(
    which: str | None, connection: Connection, context: KedroContext
) -> "Run":
    """Return a run: one to three requests.

    Args:
        which: as in ``run_id_of``; None for the newest of the environment's experiment.
        connection: to the environment's server.
        context: the context of the environment.

    Raises:
        TrackingError: as in ``run_id_of``, or there are no runs yet.
    """
    if which is not None:
        return run_of(which, connection, context)
    if found := newest_run(connection, context):
        return found
    raise TrackingError(f"No runs yet at {connection.display_uri}.")


def newest_run(
    connection: Connection, context: KedroContext, where: str = ""
) -> "Run | None":
    """Return the newest run of the environment's experiment, if any: two requests.

    Args:
        connection: to the environment's server.
        context: the context of the environment.
        where: a filter in MLflow's words; empty for none.
    """
    found = _runs_found(where, connection, context, 1)
    return found[0] if found else None


def _runs_found(
    where: str, connection: Connection, context: KedroContext, limit: int
) -> "list[Run]":
    """Return the newest runs of the environment's experiment that a filter finds."""
    from mlflow import MlflowClient

    client = MlflowClient(connection.uri)
    if experiment := client.get_experiment_by_name(experiment_of(context)):
        ids = [experiment.experiment_id]
        return list(
            client.search_runs(ids, where, max_results=limit, order_by=_NEWEST_FIRST)
        )
    return []


def run_id_of(which: str, connection: Connection, context: KedroContext) -> str:
    """Return the id of a run: none or two requests.

    Args:
        which: its id, or in the experiment of the environment the beginning of its id,
            or its name.
        connection: to the environment's server.
        context: the context of the environment.

    Raises:
        TrackingError: there is none, there are several, or the server does not have it
            yet.
    """
    if is_local(which) and is_local(known := known_id(which)):
        raise TrackingError(
            f"{connection.display_uri} does not have the run {known} yet; 'kedro mlflow sync' "
            "sends it."
        )
    if re.fullmatch("[0-9a-f]{32}", known_id(which)):
        return known_id(which)
    found: list[Run] = []
    if '"' not in which:
        is_begun = re.fullmatch("[0-9a-f]{4,31}", which)
        what = f"run_id LIKE '{which}%'" if is_begun else f'run_name = "{which}"'
        found = _runs_found(f"attributes.{what}", connection, context, _SEARCHED)
    if len(found) == 1:
        return str(found[0].info.run_id)
    if not found:
        name = experiment_of(context)
        raise TrackingError(
            f"The experiment '{name}' at {connection.display_uri} has no run '{which}'. "
            "'kedro mlflow runs' lists the latest ones, with their ids; --env names another "
            "environment, with runs of its own."
        )
    ids = ", ".join(short(run.info.run_id) for run in found[:_MANY])
    more = f" and {len(found) - _MANY} more" if len(found) > _MANY else ""
    raise TrackingError(
        f"'{which}' is {len(found)} runs: {ids}{more}. Give one of them."
    )
