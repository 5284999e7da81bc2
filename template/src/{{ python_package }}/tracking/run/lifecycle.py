"""The tracked run: start, resume, join, attach a thread or process, finish, fail."""

import atexit
import os
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kedro.framework.context import KedroContext

from ..config.loading import environment, key_location
from ..config.options import KedroMlflowConfig, TrackingOptions
from ..errors import TrackingError
from ..server.availability import SECONDS, fail_fast, is_unreachable
from ..server.connection import Connection
from ..server.local_store import create_local_store
from ..server.process_environment import EnvironmentOverride
from .experiment import experiment_id, experiment_name
from .messages import NO_URL, say_ended, say_joined, say_started, say_status_is_lost
from .metric_queue import MetricQueue
from .on_termination import OnTermination
from .parameters import Params
from .tags import run_tags

if TYPE_CHECKING:
    from mlflow import ActiveRun
    from mlflow.entities import Metric, Run, RunTag

    from ..server.auth import Login


@dataclass(frozen=True, repr=False)
class RunHandle:
    """What another thread or process needs to log to the run.

    It travels with the catalog into the workers of ``ParallelRunner`` and attaches a
    worker when it is unpickled there, since Kedro runs no hook in a worker that
    ``KEDRO_MP_CONTEXT`` has started.

    Attributes:
        run: the MLflow run.
        variables: the run's environment variables, credentials included. They cross in
            the worker's pipe and are shown nowhere.
        owner: id of the process that started the run.
        nested: whether nodes may open runs below it.
        fresh: whether it had nothing in it when the Kedro run began.
        login: what MLflow asks for headers, if anything.
        pending: metrics under way, in the process that started the run.
    """

    run: "Run"
    variables: Mapping[str, str]
    owner: int
    nested: bool
    is_new: bool
    login: "Login | None"
    pending: MetricQueue | None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "pending": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if os.getpid() != self.owner:
            os.environ.update(self.variables)
            if self.login:
                self.login.register()
            _forget_inherited_connections()
            self.attach()
            atexit.register(self.detach)  # MLflow would end the run with the worker

    def attach(self) -> None:
        """Make the run the active one of this thread, without a request."""
        from mlflow import ActiveRun

        stack = _active_runs()
        if all(active.info.run_id != self.run.info.run_id for active in stack):
            stack.append(ActiveRun(self.run))
        if not self.nested:
            _set_active_runs(_WithoutSubRuns(stack))

    def log_metrics(self, metrics: "list[Metric]", tags: "list[RunTag]") -> None:
        """Log metrics: at once in a worker process, else while nodes compute."""
        if self.pending:
            self.pending.add(metrics, tags)
        else:
            from mlflow import MlflowClient

            run_id = self.run.info.run_id
            MlflowClient().log_batch(run_id, metrics, tags=tags, synchronous=True)

    def flush(self) -> None:
        """Wait until all metrics are there, before they are read."""
        if self.pending:
            self.pending.flush()

    def detach(self) -> None:
        """Take the run off this thread's stack, without ending it."""
        remaining = [r for r in _active_runs() if r.info.run_id != self.run.info.run_id]
        _set_active_runs(remaining)


class TrackedRun:
    """One Kedro run and its MLflow run, from the first request to the last.

    Args:
        run: the MLflow run, which becomes this thread's active one.
        connection: closed at the end; None for a run that somebody else has started
            and will end.
        options: ``tracking`` of ``mlflow.yml``.
    """

    def __init__(
        self, run: "Run", connection: Connection | None, options: TrackingOptions
    ) -> None:
        self.run_id: str = run.info.run_id
        variables = connection.variables if connection else {}
        self._metric_queue = MetricQueue(self.run_id)
        self.handle = RunHandle(
            run,
            variables,
            owner=os.getpid(),
            nested=options.run.nested,
            is_new=bool(connection and not options.run.id),
            login=connection.login if connection else None,
            pending=self._metric_queue,
        )
        self._connection = connection
        self._thread = threading.get_ident()
        self._started = time.monotonic()
        self._ended = threading.Lock()
        self._was_active = any(r.info.run_id == self.run_id for r in _active_runs())
        self.handle.attach()
        self._autologging = ExitStack()
        if options.disable_tracking.disable_autologging:
            from mlflow.utils.autologging_utils import disable_autologging

            self._autologging.enter_context(disable_autologging())
        self._open: list[ActiveRun] = []
        self._on_termination = OnTermination(self._kill, first=self._take_open_runs)
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
            run = cls(active, None, config.tracking)
            say_joined(active.info)
            _refuse_changes(active, params)
        else:
            connection = Connection(config.server, context)
            try:
                new = _new_run(context, config, connection, run_params, params)
                run = cls(new, connection, config.tracking)
            except BaseException:
                connection.close()
                raise
        try:
            with run._connection.translate_errors() if run._connection else nullcontext():
                run.log_params(params)
        except BaseException:
            run.fail()
            raise
        return run

    def __getstate__(self) -> dict[str, Any]:
        return {"handle": self.handle}  # all that a worker process needs

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _thread=threading.get_ident(), _connection=None)

    def log_params(self, params: Params) -> None:
        """Log parameters and their overflow: one request for each hundred."""
        from mlflow import MlflowClient
        from mlflow.entities import Param, RunTag

        client = MlflowClient()
        known = self.handle.run.data.params  # of a run that is continued or joined
        entries = [Param(k, v) for k, v in params.params.items() if k not in known]
        tags = [RunTag(k, v) for k, v in params.tags.items()]
        if entries or tags:
            client.log_batch(self.run_id, params=entries, tags=tags, synchronous=True)
        for path, text in params.files.items():
            client.log_text(self.run_id, text, path)

    def attach(self) -> None:
        """Make the run the active one of a node's thread."""
        self.handle.attach()

    def detach(self) -> None:
        """Leave a node's thread; the thread that started the run keeps it."""
        if self.handle.pending:
            self.handle.pending.send()
        if threading.get_ident() != self._thread:
            self.handle.detach()

    def end(self, status: str, timeout: float | None = None) -> None:
        """Give the run its status, FINISHED, FAILED or KILLED; again does nothing.

        Runs that a node has opened below it and left open end with it. A run that was
        active before stays as it is.

        Args:
            status: the status.
            timeout: seconds to wait for metrics under way; None for as long as MLflow
                tries.

        Raises:
            TrackingError: metrics are lost, and a finished run is FAILED; or the connection
                cannot be told of the end.
        """
        if os.getpid() != self.handle.owner or not self._ended.acquire(blocking=False):
            return
        atexit.unregister(self.fail)
        self._on_termination.end()
        self._autologging.close()
        lost = None
        try:
            self._flush(timeout)
        except TrackingError as error:
            lost, status = error, status.replace("FINISHED", "FAILED")
        if self._connection:
            self._close(self._connection, status)
        elif not self._was_active:
            self.handle.detach()
        if lost:
            raise lost

    def _flush(self, timeout: float | None) -> None:
        import mlflow

        try:
            self._metric_queue.flush(timeout)
            mlflow.flush_async_logging()  # of nodes, with MLFLOW_ENABLE_ASYNC_LOGGING
        except TrackingError:
            if self._connection:
                self._connection.fail_fast()
            raise

    def _close(self, connection: Connection, status: str) -> None:
        import mlflow

        # MLflow would ask for the run once more to print its address, as is done after.
        quiet = EnvironmentOverride({NO_URL: "true"})
        try:
            self._take_open_runs()
            _set_active_runs([*_active_runs(), *self._open])
            with quiet, connection.translate_errors(patient=True):
                for _ in self._open:
                    mlflow.end_run(status)
        finally:
            connection.close()
        seconds = time.monotonic() - self._started
        say_ended(self.handle.run.info, status, seconds, connection)

    def notice(self, error: Exception) -> None:
        """Look at a node's error: a server that it found gone is not waited for again."""
        if self._connection and is_unreachable(error):
            self._connection.fail_fast()

    def fail(self, error: Exception | None = None) -> None:
        """Mark the run as FAILED; what goes wrong here never hides the user's error.

        Raises:
            TrackingError: the error is a failed login that Kedro has wrapped.
        """
        self._end_quietly("FAILED")
        if error and self.handle.login:
            self.handle.login.explain(error)

    def _kill(self) -> None:
        self._end_quietly("KILLED")

    def _end_quietly(self, status: str) -> None:
        try:
            with fail_fast():
                self.end(status, timeout=SECONDS)
        except Exception as error:
            say_status_is_lost(self.handle.run.info, status, error)

    def _take_open_runs(self) -> None:
        """Take the run, and those that a node has left open below it, off this thread."""
        stack = list(_active_runs())
        ids = [active.info.run_id for active in stack]
        if self.run_id in ids:
            first = ids.index(self.run_id)
            self._open = stack[first:]
            _set_active_runs(stack[:first])
        elif not self._open:
            from mlflow import ActiveRun

            self._open = [ActiveRun(self.handle.run)]


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


def disabled_by(config: KedroMlflowConfig, run_params: Mapping[str, Any]) -> str:
    """Give what keeps a run untracked, or nothing.

    Raises:
        TrackingError: ``KEDRO_MLFLOW_DISABLED`` is neither true nor false.
    """
    if is_disabled():
        return "the variable KEDRO_MLFLOW_DISABLED"
    disabled = config.tracking.disable_tracking.pipelines
    if all(name in disabled for name in _pipeline_names(run_params)):
        return "tracking.disable_tracking.pipelines in mlflow.yml"
    return ""


def _pipeline_names(run_params: Mapping[str, Any]) -> list[str]:
    name = run_params.get("pipeline_name") or "__default__"
    return sorted(run_params.get("pipeline_names") or [name])  # Kedro shuffles them


def _new_run(
    context: KedroContext,
    config: KedroMlflowConfig,
    connection: Connection,
    run_params: Mapping[str, Any],
    params: Params,
) -> "Run":
    import mlflow

    if connection.artifact_root:
        create_local_store(connection.uri, connection.artifact_root)
    tracking = config.tracking
    experiment = experiment_name(tracking.experiment, context)
    with connection.translate_errors():
        if tracking.run.id:  # goes on as it is: its name, its experiment, its tags
            run = _continued(tracking.run.id, connection, context, params)
        else:
            run = mlflow.start_run(
                experiment_id=experiment_id(
                    mlflow.MlflowClient(),
                    tracking.experiment,
                    context,
                    connection.artifact_root,
                ),
                run_name=tracking.run.name or "+".join(_pipeline_names(run_params)),
                tags=run_tags(
                    run_params,
                    environment(context.config_loader),
                    context.project_path,
                    tracking.params.redact,
                ),
            )
    # For runs that nodes open.
    connection.lend({"MLFLOW_EXPERIMENT_ID": run.info.experiment_id})
    say_started(run.info, None if tracking.run.id else experiment, connection)
    return run


def _continued(
    run_id: str, connection: Connection, context: KedroContext, params: Params
) -> "ActiveRun":
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        _refuse_changes(mlflow.MlflowClient().get_run(run_id), params)
        return mlflow.start_run(run_id)
    except MlflowException as error:
        if error.error_code not in (
            "RESOURCE_DOES_NOT_EXIST",
            "INVALID_PARAMETER_VALUE",
        ):
            raise
        raise TrackingError(
            f"{key_location('tracking.run.id', context.config_loader)} is '{run_id}', and "
            f"{connection.safe_uri} has no such run. Copy the id from the run's page, or let "
            "it be null for a new run."
        ) from None


def _refuse_changes(run: "Run", params: Params) -> None:
    """Stop before a run that is there loses its status to what MLflow would refuse."""
    known = run.data.params
    for name, value in params.params.items():
        if known.get(name, value) != value:
            raise TrackingError(
                f"The run {run.info.run_id} has the parameter '{name}' already, as "
                f"'{known[name]}'; it cannot become '{value}'. Use the same value, or "
                "let tracking.run.id be null for a new run."
            )


def _active_run_of_orchestrator() -> "Run | None":
    """The run that is active already, in MLflow or by ``MLFLOW_RUN_ID``."""
    import mlflow

    if (active := mlflow.active_run()) is not None:
        return active
    run_id = os.environ.get("MLFLOW_RUN_ID")
    return mlflow.MlflowClient().get_run(run_id) if run_id else None


def _active_runs() -> "list[ActiveRun]":
    """MLflow's stack of this thread: private, seen in 3.10 to 3.17, guarded by a test."""
    from mlflow.tracking import fluent

    return fluent._active_run_stack.get()


def _set_active_runs(runs: "list[ActiveRun]") -> None:
    from mlflow.tracking import fluent

    fluent._active_run_stack.set(runs)


class _WithoutSubRuns(list["ActiveRun"]):
    """A stack of active runs on which a node cannot open another."""

    def append(self, run: "ActiveRun") -> None:
        from mlflow import MlflowClient

        MlflowClient().delete_run(run.info.run_id)
        raise TrackingError(
            "A node has opened a run of its own, and mlflow.yml says "
            "tracking.run.nested: false. Set it to true, or log to the run that is active."
        )


def _forget_inherited_connections() -> None:
    """Drop database connections that a forked worker shares with its parent."""
    if "mlflow" not in sys.modules:
        return
    from mlflow.tracking._tracking_service.utils import _get_store

    if (engine := getattr(_get_store(), "engine", None)) is not None:
        engine.dispose(close=False)
