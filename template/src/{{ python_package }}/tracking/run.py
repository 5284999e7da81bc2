"""The tracked run: start, resume, join, attach a thread or process, finish, fail."""

import atexit
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kedro.framework.context import KedroContext

from .config import KedroMlflowConfig
from .experiment import experiment_id
from .params import Params
from .server import Server
from .tags import run_tags

if TYPE_CHECKING:
    from mlflow import ActiveRun
    from mlflow.entities import Run

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class Attachment:
    """What another thread or process needs to log to the run.

    It travels with the catalog into the workers of ``ParallelRunner`` and attaches a
    worker when it is unpickled there, since Kedro runs no hook in a worker that
    ``KEDRO_MP_CONTEXT`` has started.

    Attributes:
        run: the MLflow run.
        variables: the run's environment variables, credentials included. They cross in
            the worker's pipe and are shown nowhere.
        owner: id of the process that started the run.
    """

    run: "Run"
    variables: Mapping[str, str]
    owner: int

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if os.getpid() != self.owner:
            os.environ.update(self.variables)
            _forget_inherited_connections()
            self.attach()
            atexit.register(self.detach)  # MLflow would end the run with the worker

    def attach(self) -> None:
        """Make the run the active one of this thread, without a request."""
        from mlflow import ActiveRun

        stack = _active_runs()
        if all(active.info.run_id != self.run.info.run_id for active in stack):
            stack.append(ActiveRun(self.run))

    def detach(self) -> None:
        """Take the run off this thread's stack, without ending it."""
        stack = _active_runs()
        stack[:] = [r for r in stack if r.info.run_id != self.run.info.run_id]


class TrackedRun:
    """One Kedro run and its MLflow run, from the first request to the last.

    Args:
        run: the MLflow run, which becomes this thread's active one.
        server: given back at the end; None for a run that somebody else has started
            and will end.
    """

    def __init__(self, run: "Run", server: Server | None) -> None:
        self.run_id: str = run.info.run_id
        variables = server.variables if server else {}
        self.attachment = Attachment(run, variables, os.getpid())
        self._name = run.info.run_name or self.run_id
        self._server = server
        self._thread = threading.get_ident()
        self._started = time.monotonic()
        self._ended = False
        self._was_active = any(r.info.run_id == self.run_id for r in _active_runs())
        self.attachment.attach()
        atexit.register(self.fail)

    @classmethod
    def start(
        cls, context: KedroContext, run_params: Mapping[str, Any], params: Params
    ) -> "TrackedRun":
        """Start a run, continue the one with ``tracking.run.id``, or join an active one.

        Args:
            context: the run's context, with its configuration as ``context.mlflow``.
            run_params: what Kedro tells its hooks of the run.
            params: the parameters, logged at once.

        Raises:
            TrackingError: ``mlflow.yml`` or ``credentials.yml`` cannot be followed.
        """
        config: KedroMlflowConfig = context.mlflow  # type: ignore[attr-defined]
        active = _active_run_of_orchestrator()
        if active is not None:
            run = cls(active, server=None)
        else:
            server = Server(config.server, context)
            try:
                run = cls(_new_run(context, config, server, run_params), server)
            except BaseException:
                server.give_back()
                raise
        try:
            run.log_params(params)
        except BaseException:
            run.fail()
            raise
        return run

    def __getstate__(self) -> dict[str, Any]:
        return {"attachment": self.attachment}  # all that a worker process needs

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _thread=threading.get_ident())

    def log_params(self, params: Params) -> None:
        """Log parameters and their overflow: one request for each hundred."""
        from mlflow import MlflowClient
        from mlflow.entities import Param, RunTag
        from mlflow.utils.validation import MAX_PARAMS_TAGS_PER_BATCH

        client = MlflowClient()
        size = MAX_PARAMS_TAGS_PER_BATCH
        entries = [Param(k, v) for k, v in params.params.items()]
        for start in range(0, len(entries), size):
            client.log_batch(self.run_id, params=entries[start : start + size])
        tags = [RunTag(k, v) for k, v in params.tags.items()]
        for start in range(0, len(tags), size):
            client.log_batch(self.run_id, tags=tags[start : start + size])
        for path, text in params.files.items():
            client.log_text(self.run_id, text, path)

    def attach(self) -> None:
        """Make the run the active one of a node's thread."""
        self.attachment.attach()

    def detach(self) -> None:
        """Leave a node's thread; the thread that started the run keeps it."""
        if threading.get_ident() != self._thread:
            self.attachment.detach()

    def end(self, status: str) -> None:
        """Give the run its status, FINISHED, FAILED or KILLED; again does nothing.

        Runs that a node has opened below it and left open end with it. A run that was
        active before stays as it is.
        """
        import mlflow

        if self._ended:
            return
        self._ended = True
        atexit.unregister(self.fail)
        if self._server is None:
            if not self._was_active:
                self.attachment.detach()
            return
        try:
            self.attach()
            ended = None
            while ended != self.run_id and (active := mlflow.active_run()):
                ended = active.info.run_id
                mlflow.end_run(status)
        finally:
            self._server.give_back()
        seconds = time.monotonic() - self._started
        _logger.info("MLflow run '%s': %s after %.1f s", self._name, status, seconds)

    def fail(self) -> None:
        """Mark the run as FAILED; what goes wrong here never hides the user's error."""
        try:
            self.end("FAILED")
        except Exception as error:
            _logger.warning("MLflow run '%s' stays RUNNING: %s", self._name, error)


def is_disabled(config: KedroMlflowConfig, run_params: Mapping[str, Any]) -> bool:
    """Whether ``mlflow.yml`` or ``KEDRO_MLFLOW_DISABLED`` keeps a run untracked."""
    if os.environ.get("KEDRO_MLFLOW_DISABLED", "").lower() in ("true", "1"):
        return True
    disabled = config.tracking.disable_tracking.pipelines
    return all(name in disabled for name in _pipeline_names(run_params))


def _pipeline_names(run_params: Mapping[str, Any]) -> list[str]:
    name = run_params.get("pipeline_name") or "__default__"
    return run_params.get("pipeline_names") or [name]


def _new_run(
    context: KedroContext,
    config: KedroMlflowConfig,
    server: Server,
    run_params: Mapping[str, Any],
) -> "Run":
    import mlflow

    tracking = config.tracking
    name = tracking.experiment.name or context._package_name
    experiment = experiment_id(
        mlflow.MlflowClient(),
        name,
        tracking.experiment,
        context.project_path,
        server.artifact_root,
    )
    server.lend({"MLFLOW_EXPERIMENT_ID": experiment})  # for runs that nodes open
    run = mlflow.start_run(
        run_id=tracking.run.id,
        experiment_id=experiment,
        run_name=None
        if tracking.run.id
        else tracking.run.name or "+".join(_pipeline_names(run_params)),
        tags=run_tags(
            run_params,
            _environment(context),
            context.project_path,
            tracking.params.redact,
        ),
    )
    _logger.info(
        "MLflow run '%s' in experiment '%s' at %s", run.info.run_name, name, server.uri
    )
    return run


def _environment(context: KedroContext) -> str:
    loader = context.config_loader
    return context.env or getattr(loader, "default_run_env", None) or "base"


def _active_run_of_orchestrator() -> "Run | None":
    """The run that is active already, in MLflow or by ``MLFLOW_RUN_ID``."""
    import mlflow

    if (active := mlflow.active_run()) is not None:
        return active
    run_id = os.environ.get("MLFLOW_RUN_ID")
    return mlflow.MlflowClient().get_run(run_id) if run_id else None


def _active_runs() -> "list[ActiveRun]":
    """MLflow's stack of this thread: private, seen in 3.4 to 3.17, guarded by a test."""
    from mlflow.tracking import fluent

    return fluent._active_run_stack.get()


def _forget_inherited_connections() -> None:
    """Drop database connections that a forked worker shares with its parent."""
    if "mlflow" not in sys.modules:
        return
    from mlflow.tracking._tracking_service.utils import _get_store

    if (engine := getattr(_get_store(), "engine", None)) is not None:
        engine.dispose(close=False)
