"""The context of an environment and its store, for commands that run no pipeline."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.session import KedroSession

from ..config.loading import mlflow_config
from ..errors import TrackingError
from ..run.experiment import experiment_name
from ..server.connection import Connection
from ..server.local_store import is_missing, open_local_store


def load_context(
    project_path: Path, env: str, params: dict[str, Any] | None = None
) -> KedroContext:
    """Load the configuration of an environment as a run would, hooks included.

    Args:
        project_path: the project's root.
        env: the environment.
        params: what ``kedro run --params`` would set.

    Raises:
        TrackingError: the environment does not exist, or ``mlflow.yml`` has an error.
    """
    with KedroSession.create(
        project_path, save_on_close=False, env=env, runtime_params=params
    ) as session:
        context: KedroContext = session.load_context()  # type: ignore[attr-defined]
        return context


def experiment_of(context: KedroContext) -> str:
    """Return the name of an environment's experiment."""
    return experiment_name(mlflow_config(context).tracking.experiment, context)


@contextmanager
def connected(context: KedroContext) -> Iterator[Connection]:
    """Connect to the store of an environment, to look at runs that it has.

    Raises:
        TrackingError: there is no store, or the server does not answer.
    """
    with Connection(mlflow_config(context).server, context) as connection:
        if is_missing(connection.uri):
            raise TrackingError(
                f"No runs yet: the first one creates {connection.display_uri}."
            )
        if connection.artifact_root:
            open_local_store(connection.uri, connection.artifact_root)
        with connection.translate_errors():
            yield connection
