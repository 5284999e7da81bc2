"""What another thread or process needs to log to a run."""

import atexit
import multiprocessing
import os
import threading
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from multiprocessing import connection
from typing import TYPE_CHECKING, Any, ClassVar

from kedro.framework import project

from ..config.options import ParamsOptions
from ..outbox.store import outbox_in_use
from ..server.process_environment import EnvironmentOverride
from ..terminal.log_filters import without_secrets_in_logs
from . import active_runs
from .console import console_kept

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from kedro.io import CatalogProtocol
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from ..outbox.outbox import Outbox
    from ..server.auth import Login

_ENTRY = "kedro_mlflow_worker"  # attribute of a catalog
_PROCESS = uuid.uuid4()  # two containers may both have a process 1


def this_process() -> tuple[int, uuid.UUID]:
    """Return what identifies this process among all processes of all machines."""
    return os.getpid(), _PROCESS


@dataclass(frozen=True, repr=False)
class RunHandle:
    """An open run, for the threads and worker processes that its nodes run in.

    It is pickled with the catalog into worker processes. Unpickling has no side effect:
    ``attach`` prepares a process, once for each run, and ``detach`` undoes that.

    Attributes:
        run: the MLflow run.
        tracking_uri: its server.
        variables: the run's environment variables, credentials included; empty for a
            joined run. They go through the worker's pipe and are shown nowhere.
        owner: the process that opened the run.
        nested: whether nodes may open nested runs.
        is_new: whether this Kedro run has created it.
        metrics: those that the run had when the Kedro run began; None if that is unknown.
        login: adds headers to MLflow's requests; None without a header provider.
        outbox: takes what is logged, in every process.
        params: how parameters are logged.
        max_log: of the log that each process keeps, in bytes; 0 for none.
    """

    run: "Run"
    tracking_uri: str
    variables: Mapping[str, str]
    owner: tuple[int, uuid.UUID]
    nested: bool
    is_new: bool
    metrics: frozenset[str] | None
    login: "Login | None"
    outbox: "Outbox"
    params: ParamsOptions
    max_log: int

    _guests: ClassVar[dict[str, "_Guest"]] = {}
    """The runs of other processes that this process logs to, by their ids."""

    _lock: ClassVar[threading.Lock] = threading.Lock()
    """For workers that run several nodes at once, in threads."""

    @property
    def is_owned(self) -> bool:
        """Whether this process opened the run."""
        return self.owner == this_process()

    @property
    def is_joined(self) -> bool:
        """Whether other code has started the run, and will end it."""
        return not self.variables

    def client(self) -> "MlflowClient":
        """Return a client of the run's own server, whatever a node has set since."""
        from mlflow import MlflowClient

        return MlflowClient(self.tracking_uri)

    def attach(self) -> None:
        """Make the run the active one of this thread, without a request."""
        if not self.is_owned:
            with self._lock:
                guest = self._guests.get(self.run.info.run_id)
                if guest is None:
                    guest = self._guests[self.run.info.run_id] = _Guest(self)
                guest.count += 1
        active_runs.push(self.run, self.nested)

    def attach_worker(self, parent: "BaseProcess") -> None:
        """Attach a worker process of ``ParallelRunner`` until it ends; idempotent.

        Such a worker belongs to the run, and ends when the run's process is killed.
        """
        if self.run.info.run_id not in self._guests:
            self.attach()
            watch = threading.Thread(target=_end_with, args=(parent,), daemon=True)
            watch.start()

    def detach(self) -> None:
        """Remove the run from this thread's stack, without ending it."""
        active_runs.pop(self.run)
        with self._lock:
            if guest := self._guests.get(self.run.info.run_id):
                guest.count -= 1
                if guest.count == 0:
                    self._guests.pop(self.run.info.run_id).close()


class _WorkerEntry:
    """Prepares a worker process of ``ParallelRunner`` when the catalog arrives there.

    Kedro calls the hooks of no worker that does not know its project, and only a forked
    one does. Elsewhere, unpickling does nothing.
    """

    def __init__(self, handle: RunHandle | None) -> None:
        self._handle, self._package = handle, project.PACKAGE_NAME
        self._process = os.getpid()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        parent = multiprocessing.parent_process()
        if parent is None or parent.pid != self._process:
            return
        if self._handle:
            self._handle.attach_worker(parent)
        if self._package and not project.PACKAGE_NAME:
            _find_hooks(self._package)


@cache
def _find_hooks(package: str) -> None:
    """Let Kedro call the hooks of a project's package in this process."""
    project.settings.configure(f"{package}.settings")


def attach_workers(catalog: "CatalogProtocol", handle: RunHandle | None) -> None:
    """Let the worker processes that a catalog is pickled for call the project's hooks.

    Args:
        catalog: of a run.
        handle: the run that they log to; None if it is not tracked.
    """
    setattr(catalog, _ENTRY, _WorkerEntry(handle))


def attach_no_workers(catalog: "CatalogProtocol") -> None:
    """Undo ``attach_workers``, for workers that outlive the run; idempotent."""
    catalog.__dict__.pop(_ENTRY, None)


def _end_with(parent: "BaseProcess") -> None:
    """End this worker when its parent has been killed: nobody waits for its node."""
    connection.wait([parent.sentinel])
    os._exit(1)


class _Guest:
    """What a worker process sets up while it logs to a run of another process."""

    def __init__(self, handle: RunHandle) -> None:
        self.count = 0
        self._stack = ExitStack()
        with ExitStack() as stack:
            stack.enter_context(EnvironmentOverride(handle.variables, claimed=True))
            stack.enter_context(without_secrets_in_logs())
            stack.enter_context(console_kept(handle.outbox.folder, handle.max_log))
            if handle.login:
                handle.login.register()
                stack.callback(handle.login.unregister)
            active_runs.drop_connections()
            inherited = active_runs.inherited(handle.run, handle.nested, is_worker=True)
            stack.enter_context(inherited)
            stack.enter_context(
                outbox_in_use(handle.outbox, handle.run, handle.tracking_uri)
            )
            self._stack = stack.pop_all()
        # MLflow would end the run with this process.
        atexit.register(active_runs.forget_all)

    def close(self) -> None:
        atexit.unregister(active_runs.forget_all)
        self._stack.close()
