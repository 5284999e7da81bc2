"""A tracked run from start to end."""

import atexit
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, Any

from kedro.framework.context import KedroContext

from ..config.loading import mlflow_config, unread_params
from ..server.availability import BRIEFLY, fail_fast, is_unreachable
from ..server.connection import Connection
from ..server.local_store import create_local_store
from ..server.process_environment import EnvironmentOverride
from ..terminal.log_filters import without_secrets_in_logs
from ..terminal.progress import progress
from . import active_runs
from .autologging import autologging_paused
from .experiment import experiment_name
from .handle import RunHandle, this_process
from .kedro_run import enclosing_runs, forget
from .messages import (
    NO_URL,
    say_ended,
    say_joined,
    say_started,
    say_status_is_lost,
    say_unread,
)
from .metric_queue import MetricQueue
from .on_termination import OnTermination
from .opening import continued_run, joined_run, new_run
from .parameters import Params
from .system_metrics import system_metrics, wants_system_metrics

if TYPE_CHECKING:
    from mlflow import ActiveRun
    from mlflow.entities import Run


class TrackedRun:
    """One Kedro run and its MLflow run: NEW, then OPEN, then CLOSED.

    What is set up while it opens is undone in reverse when it closes, whatever fails.

    Args:
        context: the run's context, with its configuration as ``context.mlflow``.
        run_params: what Kedro passes to its hooks about the run.
        params: the parameters, logged while the run opens.
    """

    handle: RunHandle

    def __init__(
        self, context: KedroContext, run_params: Mapping[str, Any], params: Params
    ) -> None:
        self._context, self._run_params, self._params = context, run_params, params
        self._options = mlflow_config(context).tracking
        self.thread = threading.get_ident()
        self._owner = this_process()
        self._connection: Connection | None = None
        self._status = "FAILED"
        self._reporting = threading.Lock()
        self._closing = threading.Lock()
        self._left_open: list[ActiveRun] = []
        self._termination = OnTermination(
            self._report_killed, self._leave_stack, self._hurry
        )
        self._resources = ExitStack()

    def __getstate__(self) -> dict[str, Any]:
        return {"handle": self.handle, "_owner": self._owner}  # all that a worker needs

    # --- Open -----------------------------------------------------------------

    def open(self) -> None:
        """Start a run, continue the one with ``tracking.run.id``, or join an active one.

        Raises:
            TrackingError: ``mlflow.yml`` or ``credentials.yml`` has an error, or the
                server cannot be used.
        """
        with ExitStack() as resources:
            resources.callback(forget, self)
            resources.enter_context(self._termination)
            with self._termination.held(), progress("Starting the MLflow run …"):
                self._open(resources)
            self._resources = resources.pop_all()
        atexit.register(self.fail)

    def _open(self, resources: ExitStack) -> None:
        say_unread(unread_params(self._context))
        tracked = (run for run in enclosing_runs() if isinstance(run, TrackedRun))
        outer = next((run.handle for run in tracked), None)
        is_child = outer is not None and outer.nested and not outer.is_joined
        joined = None if is_child else joined_run(self._params)
        if joined:
            run, tracking_uri = joined
            resources.enter_context(without_secrets_in_logs())
            say_joined(run.info)
            self._activate(run, tracking_uri, resources)
        else:
            self._start(resources, outer)
        with self._connection.translate_errors() if self._connection else nullcontext():
            self._log_params()

    def _start(self, resources: ExitStack, outer: RunHandle | None) -> None:
        """Start or continue a run on the server of ``mlflow.yml``."""
        from mlflow import MlflowClient

        context, options = self._context, self._options
        connection = Connection(mlflow_config(context).server, context)
        self._connection = resources.enter_context(connection)
        if connection.artifact_root:
            create_local_store(connection.uri, connection.artifact_root)
        is_measured = wants_system_metrics()
        run_id = options.run.id
        with connection.translate_errors():
            client = MlflowClient(connection.uri)  # which connects to a database
            if run_id:
                run = continued_run(client, run_id, connection, context, self._params)
            else:
                run = new_run(client, connection, context, self._run_params, outer)
        self._started = time.monotonic()
        resources.push(self._report)
        connection.override({"MLFLOW_EXPERIMENT_ID": run.info.experiment_id})
        experiment = experiment_name(options.experiment, context)
        say_started(run.info, None if run_id else experiment, connection)
        self._activate(run, connection.uri, resources)
        if is_measured:
            measuring = system_metrics(run.info.run_id, connection.uri, not run_id)
            resources.enter_context(measuring)

    def _activate(self, run: "Run", tracking_uri: str, resources: ExitStack) -> None:
        connection = self._connection
        self.handle = RunHandle(
            run,
            tracking_uri,
            variables=connection.variables if connection else {},
            owner=self._owner,
            nested=self._options.run.nested,
            is_new=bool(connection and not self._options.run.id),
            login=connection.login if connection else None,
            queue=MetricQueue(run.info.run_id, tracking_uri),
        )
        if self._options.disable_tracking.disable_autologging:
            resources.enter_context(autologging_paused())
        self._was_active = active_runs.is_active(run)
        resources.enter_context(active_runs.inherited(run, self.handle.nested))
        resources.callback(active_runs.pop, run, keep=self._was_active)
        active_runs.push(run, self.handle.nested)
        resources.push(self._finish)

    def _log_params(self) -> None:
        """Log parameters, and long ones as tags or files: one request per hundred."""
        from mlflow.entities import Param, RunTag

        client, run = self.handle.client(), self.handle.run
        run_id, known = run.info.run_id, run.data.params
        params, tags = self._params.params, self._params.tags
        entries = [Param(k, v) for k, v in params.items() if k not in known]
        if entries or tags:
            client.log_batch(
                run_id,
                params=entries,
                tags=[RunTag(k, v) for k, v in tags.items()],
                synchronous=True,
            )
        for path, text in self._params.files.items():
            client.log_text(run_id, text, path)

    # --- Nodes ----------------------------------------------------------------

    def attach(self) -> None:
        """Make the run the active one of a node's thread and process."""
        self.handle.attach()

    def detach(self) -> None:
        """Send a node's metrics; detach from its thread, unless that opened the run."""
        if self.handle.queue:
            self.handle.queue.send()
        if not self.handle.is_owned or threading.get_ident() != self.thread:
            self.handle.detach()

    def node_failed(self, error: Exception) -> None:
        """Do not wait again for a server that a node could not reach."""
        if self.handle.is_owned and self._connection and is_unreachable(error):
            self._connection.fail_fast()

    # --- Close ----------------------------------------------------------------

    def end(self, status: str) -> None:
        """Close the run with a status; idempotent.

        Nested runs that a node has left open end with it. A run that was active before
        stays active.

        Args:
            status: FINISHED, FAILED or KILLED.

        Raises:
            TrackingError: metrics are lost, which makes a finished run FAILED; or the
                status cannot be sent.
        """
        if self._owner != this_process() or not self._closing.acquire(blocking=False):
            return
        atexit.unregister(self.fail)
        self._status = status
        with self._termination.held():
            self._termination.wait()
            self._resources.close()

    def fail(self, error: Exception | None = None) -> None:
        """Close the run as FAILED; an error while closing never hides the user's error.

        Raises:
            TrackingError: the error is a failed login that Kedro has wrapped.
        """
        if self._owner == this_process():
            try:
                with fail_fast():
                    self.end("FAILED")
            except Exception as failure:
                say_status_is_lost(self.handle.run.info, "FAILED", failure)
        if error and self.handle.login:
            self.handle.login.explain(error)

    def _finish(self, kind: type[BaseException] | None, *_: object) -> None:
        """Send what is queued, and end the nested runs that nodes have left open."""
        status = self._status_after(kind)
        self._flush(None if status == "FINISHED" else BRIEFLY)
        left_open, self._left_open = self._left_open, []
        for run in left_open or active_runs.open_below(self.handle.run):
            self.handle.client().set_terminated(run.info.run_id, status)

    def _flush(self, timeout: float | None) -> None:
        import mlflow

        try:
            if queue := self.handle.queue:
                queue.flush(timeout)
        finally:
            if queue and queue.is_away and self._connection:
                self._connection.fail_fast()
        mlflow.flush_async_logging()  # of nodes, with MLFLOW_ENABLE_ASYNC_LOGGING
        mlflow.flush_trace_async_logging()

    def _report(self, kind: type[BaseException] | None, *_: object) -> None:
        """Send the status, unless the thread that handles a signal does."""
        if not self._reporting.acquire(blocking=False):
            self._termination.wait()
            return
        status = self._status_after(kind)
        try:
            self._terminate(status)
        except Exception as failure:
            if kind is None:
                raise
            say_status_is_lost(self.handle.run.info, status, failure)

    def _status_after(self, kind: type[BaseException] | None) -> str:
        """Return the final status; ``kind`` is the class of an exception, or None."""
        if kind is None:
            return self._status
        was_stopped = issubclass(kind, KeyboardInterrupt | SystemExit)
        return "KILLED" if was_stopped else self._status.replace("FINISHED", "FAILED")

    def _terminate(self, status: str) -> None:
        if (connection := self._connection) is None:
            return
        run = self.handle.run.info
        # MLflow would request the run again to print its address, as is done below.
        quiet = EnvironmentOverride({NO_URL: "true"})
        with quiet, connection.translate_errors(patient=True):
            self.handle.client().set_terminated(run.run_id, status)
        say_ended(run, status, time.monotonic() - self._started, connection)

    def _report_killed(self) -> None:
        """Send KILLED, in the thread that handles a signal; the main thread unwinds."""
        is_open = self._owner == this_process() and hasattr(self, "handle")
        if not is_open or not self._reporting.acquire(blocking=False):
            return
        try:
            with fail_fast():
                self._status = "KILLED"
                self._finish(None)
                self._terminate("KILLED")
        except Exception as failure:
            say_status_is_lost(self.handle.run.info, "KILLED", failure)

    def _leave_stack(self) -> None:
        """Remove the run, which a signal ends, from the stack of the main thread."""
        if hasattr(self, "handle"):
            self._left_open = active_runs.open_below(self.handle.run)
            active_runs.pop(self.handle.run, keep=self._was_active)

    def _hurry(self) -> None:
        """Wait only briefly for metrics: the process is asked to stop."""
        if hasattr(self, "handle") and self.handle.queue:
            self.handle.queue.hurry(BRIEFLY)
