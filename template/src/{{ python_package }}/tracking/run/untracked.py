"""A run that is not tracked: why it is not, and where its nodes log to."""

import atexit
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext

from ..config.loading import mlflow_config
from ..config.options import TrackingOptions
from ..errors import TrackingError
from ..server.connection import Connection, fluent_uri
from ..server.local_store import open_local_store
from ..server.process_environment import (
    EnvironmentOverride,
    has_standing_for,
    loaded_mlflow,
    standing_suspended,
)
from .handle import this_process
from .kedro_run import forget
from .nodes import NodeNotes
from .tags import pipeline_names

_logger = logging.getLogger(__name__)


class UntrackedRun:
    """A Kedro run whose nodes log to a temporary store.

    MLflow is imported only if a node logs. Under a run that other code has started, or
    while a tracked run is open in this process, MLflow is left as it is.

    Args:
        reason: why the run is not tracked, for the log.
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason
        self.nodes: NodeNotes | None = None
        self.thread = threading.get_ident()
        self._owner = this_process()
        self._variables: dict[str, str] = {}
        self._resources = ExitStack()

    def __getstate__(self) -> dict[str, Any]:
        return {"_variables": self._variables, "_owner": self._owner, "nodes": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _resources=ExitStack())

    def open(self) -> None:
        """Make MLflow log to a temporary store, which it creates on first use."""
        with ExitStack() as resources:
            resources.callback(forget, self)
            if not _is_connected():
                folder = Path(tempfile.mkdtemp(prefix="kedro-mlflow-untracked-"))
                resources.callback(shutil.rmtree, folder, ignore_errors=True)
                uri = (folder / "store").as_uri()
                self._variables = {
                    "MLFLOW_TRACKING_URI": uri,
                    "MLFLOW_ALLOW_FILE_STORE": "true",
                    "MLFLOW_EXPERIMENT_ID": "0",
                }
                resources.enter_context(standing_suspended())
                resources.enter_context(EnvironmentOverride(self._variables))
                resources.enter_context(fluent_uri(uri))
            self._resources = resources.pop_all()
        atexit.register(self.fail)
        _logger.info("No MLflow run: turned off by %s", self._reason)

    def attach(self) -> None:
        """Use the temporary store in a worker process too, for one node."""
        if self._variables and self._owner != this_process():
            os.environ.pop(
                "MLFLOW_RUN_ID", None
            )  # a fork server keeps an earlier run's
            self._resources.enter_context(EnvironmentOverride(self._variables))

    def detach(self) -> None:
        """End the runs that a node has opened in its thread."""
        mlflow = loaded_mlflow()
        while self._variables and mlflow and mlflow.active_run() is not None:
            mlflow.end_run()
        if self._owner != this_process():
            self._resources.close()

    def loaded(self, node: object, inputs: object) -> None:
        """Do nothing: nothing is recorded."""

    def node_failed(self, node: object, error: Exception) -> None:
        """Do nothing: there is no server to wait for."""

    def end(self, status: str) -> None:
        """Delete what was logged, whatever the status; idempotent."""
        if self._owner == this_process():
            atexit.unregister(self.fail)
            self.detach()
            self._resources.close()

    def fail(self, error: Exception | None = None) -> None:
        """Do as ``end``."""
        self.end("FAILED")


@contextmanager
def server_to_read(context: KedroContext) -> Iterator[None]:
    """Connect to the server without a run, to load the inputs of an untracked run.

    Raises:
        TrackingError: ``mlflow.yml`` or ``credentials.yml`` has an error.
    """
    if _is_connected() or has_standing_for(context):
        yield
        return
    with Connection(mlflow_config(context).server, context) as connection:
        if connection.artifact_root:
            open_local_store(connection.uri, connection.artifact_root)
        yield


def is_disabled() -> bool:
    """Whether the variable ``KEDRO_MLFLOW_DISABLED`` turns tracking off.

    Raises:
        TrackingError: it is neither true nor false.
    """
    value = os.environ.get("KEDRO_MLFLOW_DISABLED", "")
    if value.lower() in ("true", "1", "yes", "on"):
        return True
    if value.lower() not in ("", "false", "0", "no", "off"):
        raise TrackingError(
            f"The variable KEDRO_MLFLOW_DISABLED is '{value}'; use true or false."
        )
    return False


def disabled_by(options: TrackingOptions, run_params: Mapping[str, Any]) -> str:
    """Return why a run is not tracked; empty if it is tracked.

    Raises:
        TrackingError: ``KEDRO_MLFLOW_DISABLED`` is neither true nor false.
    """
    if is_disabled():
        return "the variable KEDRO_MLFLOW_DISABLED"
    disabled = options.disable_tracking.pipelines
    if all(name in disabled for name in pipeline_names(run_params)):
        return "tracking.disable_tracking.pipelines in mlflow.yml"
    return ""


def _is_connected() -> bool:
    """Whether another run is open, whose server is in use."""
    mlflow = loaded_mlflow()
    return (
        "MLFLOW_RUN_ID" in os.environ
        or EnvironmentOverride.is_claimed("MLFLOW_TRACKING_URI")
        or bool(mlflow and mlflow.active_run())
    )
