"""A tracked run from start to end."""

import atexit
import os
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from kedro.framework.context import KedroContext

from ..config.loading import RESUME, environment, mlflow_config, unread_params
from ..errors import TrackingError
from ..outbox.delivery import Delivery
from ..outbox.folder import OUTBOXES, About, this_host
from ..outbox.journal import Record
from ..outbox.outbox import Outbox, opened_outbox
from ..outbox.records import batch_records, info_record
from ..outbox.store import outbox_in_use
from ..outbox.waiting import not_logged, waiting
from ..redaction import without_secrets
from ..server.availability import BRIEFLY, fail_fast, is_unreachable
from ..server.connection import Connection
from ..server.local_store import create_local_store
from ..server.offline import Offline, offline_mode
from ..terminal.log_filters import without_secrets_in_logs
from ..terminal.progress import progress
from . import active_runs
from .autologging import autologging_paused
from .away import Away
from .console import console_kept
from .handle import RunHandle, this_process
from .kedro_run import enclosing_runs, forget
from .left import left_runs_sent, tasks_sent
from .messages import (
    say_ended,
    say_joined,
    say_joined_by_key,
    say_offline,
    say_started,
    say_status_is_lost,
    say_unread,
    say_waiting,
)
from .nodes import NodeNotes
from .on_termination import OnTermination
from .opening import NewRun, find_experiment, joined_run, new_run, open_or_record
from .parameters import Params
from .story import Story, optional
from .system_metrics import system_metrics, wants_system_metrics
from .task import Task, run_key

if TYPE_CHECKING:
    from kedro.pipeline.node import Node
    from mlflow import ActiveRun
    from mlflow.entities import Run

_GB = 10**9  # bytes
_LAST_WAIT = 8.0  # seconds for the server, after the last node


class TrackedRun:
    """One Kedro run and its MLflow run: NEW, then OPEN, then CLOSED.

    What is set up while it opens is undone in reverse when it closes, whatever fails.

    Args:
        context: the run's context, with its configuration as ``context.mlflow``.
        run_params: what Kedro passes to its hooks about the run.
        params: the parameters, logged while the run opens.
        story: what else the run records.
    """

    handle: RunHandle

    def __init__(
        self,
        context: KedroContext,
        run_params: Mapping[str, Any],
        params: Params,
        story: Story,
    ) -> None:
        self._context, self._run_params, self._params = context, run_params, params
        self._story = story
        self._task: Task | None = None
        self.nodes: NodeNotes | None = None
        self._options = mlflow_config(context).tracking
        self.thread = threading.get_ident()
        self._owner = this_process()
        self._connection: Connection | None = None
        self._status, self._ended = "FAILED", 0.0
        self._mode: Offline = "never"
        self._reporting = threading.Lock()
        self._closing = threading.Lock()
        self._left_open: list[ActiveRun] = []
        self._termination = OnTermination(
            self._report_killed, self._leave_stack, self._hurry
        )
        self._resources = ExitStack()

    def __getstate__(self) -> dict[str, Any]:
        # All that a worker needs.
        return {"handle": self.handle, "nodes": self.nodes}

    # --- Open -----------------------------------------------------------------

    def open(self) -> None:
        """Start a run, continue or join the one of ``tracking.run``, or an active one.

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
            self._join(*joined, resources)
        else:
            self._start(resources, outer)
        with optional("source"):
            self._story.begin(self.handle)
        self._log_params()

    def _join(self, run: "Run", tracking_uri: str, resources: ExitStack) -> None:
        """Log to a run that other code has started."""
        resources.enter_context(without_secrets_in_logs())
        say_joined(run.info)
        about = self._about(run.info.run_id, without_secrets(tracking_uri))
        outbox = self._outbox(about, tracking_uri, resources)
        resources.push(self._report)
        self._activate(run, tracking_uri, outbox, resources)

    def _start(self, resources: ExitStack, outer: RunHandle | None) -> None:
        """Start or continue a run, on the server of ``mlflow.yml`` or in the outbox."""
        context, run_id = self._context, self._options.run.id
        connection = Connection(mlflow_config(context).server, context)
        self._connection = resources.enter_context(connection)
        if connection.artifact_root:
            create_local_store(connection.uri, connection.artifact_root)
        is_measured = wants_system_metrics(self._options.record.system_metrics)
        key = None if outer else run_key(self._options.run)
        self._task = Task(self._story.node_names) if key else None
        words = (self._params, self._story, connection.safe_uri)
        new = new_run(context, self._run_params, *words, outer, key)
        about = self._about(run_id or new.opening, connection.safe_uri, new)
        outbox = self._outbox(about, connection.uri, resources)
        self._mode = offline_mode(mlflow_config(context).server)
        run, away = open_or_record(
            self._mode, new, outbox, connection, context, self._params
        )
        self._started = time.time()
        resources.push(self._report)
        connection.override({"MLFLOW_EXPERIMENT_ID": run.info.experiment_id})
        if away:
            say_offline(run.info, away, self._mode == "always")
        elif self._task:
            self._task.begin(run)
            tasks_sent(connection, context, about.key, about.task)
            if self._task.attempt > 1:
                outbox.skip_repeats(run)
            say_joined_by_key(run.info, self._task.attempt, connection)
        else:
            say_started(run.info, None if run_id else new.experiment, connection)
        self._activate(run, connection.uri, outbox, resources)
        if os.environ.pop(RESUME, None) and not away:
            outbox.skip_repeats(run)
        if not away:
            resources.enter_context(left_runs_sent(connection, context))
        if is_measured:
            is_new = not (run_id or self._task)
            measuring = system_metrics(run.info.run_id, connection.uri, is_new)
            resources.enter_context(measuring)

    def _about(self, opening: str, uri: str, new: NewRun | None = None) -> About:
        return About(
            opening,
            new.name if new else "",
            new.experiment if new else "",
            environment(self._context.config_loader),
            uri,
            this_host(),
            int(time.time() * 1000),
            is_joined=new is None or self._task is not None,
            task=self._task.id if self._task else "",
            key=(new and new.key) or "",
        )

    def _outbox(self, about: About, uri: str, resources: ExitStack) -> Outbox:
        """Open the run's outbox, whose folder is there before the run is created."""

        def experiment(name: str) -> str:
            return find_experiment(uri, self._context, name)

        outboxes = self._context.project_path / OUTBOXES
        limit = mlflow_config(self._context).server.outbox_limit * _GB
        outbox = opened_outbox(
            outboxes, about, lambda f: Delivery(uri, f, experiment), limit
        )
        return resources.enter_context(outbox)

    def _activate(
        self, run: "Run", tracking_uri: str, outbox: Outbox, resources: ExitStack
    ) -> None:
        connection = self._connection
        is_known = connection and not self._options.run.id
        self.handle = RunHandle(
            run,
            tracking_uri,
            variables=connection.variables if connection else {},
            owner=self._owner,
            nested=self._options.run.nested,
            is_new=bool(is_known and not self._task),
            metrics=frozenset(run.data.metrics) if is_known else None,
            login=connection.login if connection else None,
            outbox=outbox,
            params=self._options.params,
            max_log=self._story.max_log,
        )
        self.nodes = self._story.notes(self.handle)
        resources.enter_context(console_kept(outbox.folder, self.handle.max_log))
        if self._options.disable_tracking.disable_autologging:
            resources.enter_context(autologging_paused())
        resources.enter_context(outbox_in_use(outbox, run, tracking_uri))
        self._away = resources.enter_context(Away(without_secrets(tracking_uri)))
        if outbox.is_local:
            self._away.begin()
        if self._mode != "always":
            outbox.start(self._away.on_away, self._away.on_back)
        self._was_active = active_runs.is_active(run)
        resources.enter_context(active_runs.inherited(run, self.handle.nested))
        resources.callback(active_runs.pop, run, keep=self._was_active)
        active_runs.push(run, self.handle.nested)
        resources.push(self._finish)

    def _log_params(self) -> None:
        """Log parameters, and long ones as tags or files."""
        from mlflow.entities import Param, RunTag

        run, params = self.handle.run, self._params
        entries = [
            Param(k, v) for k, v in params.params.items() if k not in run.data.params
        ]
        more = self._story.with_picture(self.handle) if entries else {}
        tags = [RunTag(k, v) for k, v in {**params.tags, **more}.items()]
        outbox, run_id = self.handle.outbox, run.info.run_id
        outbox.write(batch_records(run_id, params=entries, tags=tags))
        outbox.write(self._task_report("RUNNING"))
        for path, text in params.files.items():
            self.handle.client().log_text(run_id, text, path)

    # --- Nodes ----------------------------------------------------------------

    def attach(self) -> None:
        """Make the run the active one of a node's thread and process."""
        self.handle.attach()

    def detach(self) -> None:
        """Detach from a node's thread, unless that opened the run."""
        if self.nodes and self.nodes.is_last:
            self.handle.outbox.hold()
        if not self.handle.is_owned or threading.get_ident() != self.thread:
            self.handle.detach()

    def loaded(self, node: "Node", inputs: dict[str, Any]) -> None:
        """Note what a node has loaded; record the inputs of the run once all are there."""
        if self.nodes and self.nodes.running(node, inputs) and self.handle.is_owned:
            with optional("inputs"):
                self._story.loaded(self.handle)

    def node_failed(self, node: "Node", error: Exception) -> None:
        """Note the error; do not wait again for a server that a node could not reach."""
        if self.nodes:
            self.nodes.failed(node, error)
        if self.handle.is_owned and is_unreachable(error):
            self._away.begin()

    # --- Close ----------------------------------------------------------------

    def end(self, status: str) -> None:
        """Close the run with a status; idempotent.

        Nested runs that a node has left open end with it. A run that was active before
        stays active.

        Args:
            status: FINISHED, FAILED or KILLED.

        Raises:
            TrackingError: the server has refused records, which makes a finished run
                FAILED.
        """
        if self._owner != this_process() or not self._closing.acquire(blocking=False):
            return
        atexit.unregister(self.fail)
        self._status, self._ended = status, time.time()
        with self._termination.held():
            self._termination.wait()
            self._resources.close()

    def fail(self, error: Exception | None = None) -> None:
        """Close the run as FAILED; an error while closing never hides the user's error.

        Raises:
            TrackingError: the error is a failed login that Kedro has wrapped.
        """
        if self._owner == this_process():
            self._story.failed(error)
            try:
                with fail_fast():
                    self.end("FAILED")
            except Exception as failure:
                say_status_is_lost(self.handle.run.info, "FAILED", failure)
        if error and self.handle.login:
            self.handle.login.explain(error)

    def _finish(self, kind: type[BaseException] | None, *_: object) -> None:
        """Collect what is still under way; end the nested runs that nodes left open."""
        import mlflow

        mlflow.flush_async_logging()  # of nodes, with MLFLOW_ENABLE_ASYNC_LOGGING
        mlflow.flush_trace_async_logging()
        status = self._status_after(kind)
        left_open, self._left_open = self._left_open, []
        for run in left_open or active_runs.open_below(self.handle.run):
            self.handle.client().set_terminated(run.info.run_id, status)

    def _report(self, kind: type[BaseException] | None, *_: object) -> None:
        """Send what waits and the status, unless the thread that handles a signal does."""
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
        """Send what waits, then the status; what cannot be sent stays in the outbox.

        Raises:
            TrackingError: the server has refused records.
        """
        outbox, run = self.handle.outbox, self.handle.run.info
        ended = self._ended or time.time()  # before earlier runs were waited for
        with optional("description and timeline"):
            self._story.end(self.handle, status)
        wait = _LAST_WAIT if status == "FINISHED" else BRIEFLY
        end, is_patient = time.monotonic() + wait, not outbox.is_local
        outbox.write(self._task_report(status))
        outbox.flush(wait, is_patient)
        refused = outbox.take_refused()
        if refused:
            status = status.replace("FINISHED", "FAILED")
            outbox.write(self._task_report(status))
        if not (self._task or self.handle.is_joined):
            outbox.write([info_record(run.run_id, status, int(ended * 1000))])
        is_sent = outbox.flush(max(0.0, end - time.monotonic()), is_patient)
        refused += outbox.take_refused()
        if connection := self._connection:
            seconds = ended - self._started
            known = run if is_sent else None
            if outbox.is_local and is_sent:
                known = self.handle.client().get_run(outbox.server_id).info
            say_ended(run, status, seconds, connection, known, bool(self._task))
        if not is_sent and outbox.folder:
            left = waiting(outbox.folder)
            is_asked = outbox.is_local and self._mode == "always"
            say_waiting(outbox.folder, left, bool(self._task), is_asked)
        if refused:
            raise TrackingError(not_logged(refused))

    def _task_report(self, status: str) -> list[Record]:
        """Return what a task reports about itself; nothing for any other run."""
        from mlflow.entities import RunTag

        if self._task is None:
            return []
        report = self._task.report(status).items()
        tags = [RunTag(name, value) for name, value in report]
        return batch_records(self.handle.run.info.run_id, tags=tags)

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
        """Wait only briefly for the server: the process is asked to stop."""
        if hasattr(self, "handle"):
            self.handle.outbox.hurry(BRIEFLY)
