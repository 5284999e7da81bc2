"""A run that leaves no trace in MLflow, whatever its nodes call."""

import atexit
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext

from ..notebook import is_open_in_notebook, suspended
from ..server.connection import Connection, fluent_uri
from ..server.process_environment import EnvironmentOverride

_logger = logging.getLogger(__name__)


class UntrackedRun:
    """Sends what nodes log by themselves to a folder that is thrown away.

    It costs no ``import mlflow`` where no node does that, and has the methods of
    ``TrackedRun`` that hooks call. Under a run that somebody else has started, or while
    a tracked one is under way in this process, it leaves MLflow alone.

    Args:
        reason: what keeps the run untracked, for the log.
    """

    def __init__(self, reason: str) -> None:
        self._surroundings = ExitStack()
        folder = Path(tempfile.mkdtemp(prefix="kedro-mlflow-untracked-"))
        self._surroundings.callback(shutil.rmtree, folder, ignore_errors=True)
        self._joined = _is_joined()
        uri = (folder / "store").as_uri()  # which MLflow makes when it is used
        variables = {
            "MLFLOW_TRACKING_URI": uri,
            "MLFLOW_ALLOW_FILE_STORE": "true",
            "MLFLOW_EXPERIMENT_ID": "0",
        }
        self._variables = {} if self._joined else variables
        if not self._joined:
            self._surroundings.enter_context(suspended())
            self._surroundings.enter_context(EnvironmentOverride(variables))
            self._surroundings.enter_context(fluent_uri(uri))
        self._ended = False
        atexit.register(self.fail)
        _logger.info("No MLflow run: turned off by %s", reason)

    def __getstate__(self) -> dict[str, Any]:
        return {"_variables": self._variables, "_joined": self._joined}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        os.environ.update(self._variables)

    def attach(self) -> None:
        """Nothing: there is no run."""

    def detach(self) -> None:
        """Close what a node has opened in its thread."""
        while not self._joined and _active_run() is not None:
            sys.modules["mlflow"].end_run()

    def notice(self, error: Exception) -> None:
        """Nothing: no server is waited for."""

    def end(self, status: str) -> None:
        """Throw away what was logged, whatever the status; again does nothing."""
        if not self._ended:
            self._ended = True
            atexit.unregister(self.fail)
            self.detach()
            self._surroundings.close()

    def fail(self, error: Exception | None = None) -> None:
        """As at any end."""
        self.end("FAILED")


@contextmanager
def server_to_read(context: KedroContext) -> Iterator[None]:
    """Reach the server without a run: for the inputs of an untracked one, or a dataset.

    Raises:
        TrackingError: ``mlflow.yml`` or ``credentials.yml`` cannot be followed.
    """
    if _is_joined() or is_open_in_notebook(context):
        yield
        return
    with Connection(context.mlflow.server, context):  # type: ignore[attr-defined]
        yield


def _is_joined() -> bool:
    """Whether there is another run, whose server is in use."""
    return (
        "MLFLOW_RUN_ID" in os.environ
        or EnvironmentOverride.is_claimed("MLFLOW_TRACKING_URI")
        or _active_run() is not None
    )


def _active_run() -> Any | None:
    mlflow = sys.modules.get("mlflow")
    return mlflow.active_run() if mlflow else None
