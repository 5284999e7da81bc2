"""MLflow's stacks of active runs, and how threads and processes of nodes inherit a run."""

import atexit
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from ..errors import TrackingError
from ..server.process_environment import loaded_mlflow

if TYPE_CHECKING:
    from mlflow import ActiveRun
    from mlflow.entities import Run

_RUN_ID = "MLFLOW_RUN_ID"


def push(run: "Run", nested: bool) -> None:
    """Make a run the active one of this thread, without a request; idempotent.

    Args:
        run: the run.
        nested: whether nodes may open runs below it.
    """
    stack = _stack().get()
    others = [] if _is_inherited(stack) else list(stack)
    if not _holds(others, run):
        others.append(_active(run))
    _stack().set(_Stack(others, nested))


def pop(run: "Run", keep: bool = False) -> None:
    """Undo ``push``: take the run, and those open below it, off this thread's stack.

    Args:
        run: the run.
        keep: whether it stays there, since it was before.
    """
    stack = list(_stack().get())
    if not keep and _holds(stack, run):
        ids = [active.info.run_id for active in stack]
        stack = stack[: ids.index(run.info.run_id)]
    _stack().set(stack)


def is_active(run: "Run") -> bool:
    """Whether a run is on this thread's stack."""
    return _holds(_stack().get(), run)


def active_run() -> "Run | None":
    """Return the run that is active in this thread and that somebody else has started.

    A run that the thread would inherit from another Kedro run is none.
    """
    if loaded_mlflow() is None:
        return None
    stack = _stack().get()
    return stack[-1] if stack and not _is_inherited(stack) else None


def run_id_of_orchestrator() -> str | None:
    """Return ``MLFLOW_RUN_ID``, unless it is there for the children of our own nodes."""
    run_id = os.environ.get(_RUN_ID)
    is_ours = run_id == _inheritance.exported != _inheritance.before
    return None if is_ours else run_id


def open_below(run: "Run") -> "list[ActiveRun]":
    """Return the runs that nodes have opened below a run, in any thread, newest first."""
    found = []
    for stack in _stack().get_all_thread_values().values():
        ids = [active.info.run_id for active in stack]
        if run.info.run_id in ids:
            found += stack[ids.index(run.info.run_id) + 1 :]
    return list(reversed(found))


@contextmanager
def inherited(run: "Run", nested: bool, is_worker: bool = False) -> Iterator[None]:
    """Let threads, forks and processes that a node starts log to the run meanwhile.

    Threads and forks find it on MLflow's stack, whose default factory returns it.
    Spawned processes find it by ``MLFLOW_RUN_ID``, which MLflow itself reads. While
    several runs are open in this process, it is not known whose child a new thread is:
    then none inherits.

    Args:
        run: the run.
        nested: whether nodes may open runs below it.
        is_worker: whether all threads of this process are there for the run.
    """
    stacks = _stack().get_all_thread_values()
    owners = {thread for thread, stack in stacks.items() if _holds(stack, run)}
    _inheritance.add(run, nested, is_worker)
    try:
        yield
    finally:
        _inheritance.remove(run)
        for thread, stack in _stack().get_all_thread_values().items():
            if thread not in owners:  # a pool's thread lives longer than the run
                stack[:] = [a for a in stack if a.info.run_id != run.info.run_id]


class _Stack(list["ActiveRun"]):
    """A thread's stack of active runs.

    Args:
        runs: the runs.
        nested: whether a node may open another.
        inherited: whether a thread has it from the node that started the thread.
    """

    def __init__(
        self, runs: "list[ActiveRun]", nested: bool, inherited: bool = False
    ) -> None:
        super().__init__(runs)
        self.nested, self.inherited = nested, inherited

    def append(self, run: "ActiveRun") -> None:
        if self.nested:
            super().append(run)
            return
        from mlflow import MlflowClient

        MlflowClient().delete_run(run.info.run_id)
        raise TrackingError(
            "A node has opened a run of its own, and mlflow.yml says "
            "tracking.run.nested: false. Set it to true, or log to the run that is active."
        )


class _Inheritance:
    """What a new thread or process of a node inherits in this process.

    MLflow's stack and ``MLFLOW_RUN_ID`` belong to the process, and so does this. It is
    empty whenever no run is open.

    Attributes:
        exported: the value of ``MLFLOW_RUN_ID`` that is there for child processes.
        before: the value that it had before.
    """

    def __init__(self) -> None:
        self.exported: str | None = None
        self.before: str | None = None
        self._runs: list[tuple[Run, bool]] = []
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._strangers: WeakSet[threading.Thread] = WeakSet()
        self._default: Callable[[], Any] | None = None

    def add(self, run: "Run", nested: bool, is_worker: bool) -> None:
        with self._lock:
            if not self._runs:
                self._begin()
            if is_worker:
                self._strangers.clear()
            self._runs.append((run, nested))
            self._export()

    def remove(self, run: "Run") -> None:
        with self._lock:
            self._runs.remove(next(pair for pair in self._runs if pair[0] is run))
            self._export()
            if not self._runs:
                self._end()

    def _begin(self) -> None:
        self._process = os.getpid()
        self.before = os.environ.get(_RUN_ID)
        self._strangers = WeakSet(threading.enumerate())  # no node has started them
        self._strangers.discard(threading.current_thread())
        stack = _stack()
        self._default, stack.default_factory = stack.default_factory, self._inherit
        _hide(_Hidden())

    def _end(self) -> None:
        from mlflow.environment_variables import MLFLOW_RUN_ID

        _stack().default_factory = self._default
        _hide(MLFLOW_RUN_ID)

    def _export(self) -> None:
        ids = {run.info.run_id for run, _ in self._runs}
        value = self.before if not ids else ids.pop() if len(ids) == 1 else None
        self.exported = value if self._runs else None
        if value is None:
            os.environ.pop(_RUN_ID, None)
        else:
            os.environ[_RUN_ID] = value

    def _inherit(self) -> "list[ActiveRun]":
        if os.getpid() != self._process:  # forked by a node
            self._process = os.getpid()
            drop_connections()
            atexit.register(forget_all)  # MLflow would end the run with this process
        ids = {run.info.run_id for run, _ in self._runs}
        if len(ids) != 1 or threading.current_thread() in self._strangers:
            return []
        run, nested = self._runs[0]
        return _Stack([_active(run)], nested, inherited=True)


class _Hidden:
    """``MLFLOW_RUN_ID`` as MLflow sees it in a process whose run is on its stack.

    ``mlflow.start_run(nested=True)`` would otherwise take the run itself for the nested
    one, rename it, end it, and delete the variable.
    """

    name = _RUN_ID

    def get(self) -> None:
        return None

    def unset(self) -> None:
        return None


def _hide(variable: Any) -> None:
    """Set what MLflow reads ``MLFLOW_RUN_ID`` by: private, see docs/decisions/0004."""
    from mlflow.tracking import fluent

    setattr(fluent, _RUN_ID, variable)


def drop_connections() -> None:
    """Drop database connections that a forked process shares with its parent."""
    from mlflow.tracking._tracking_service.utils import _get_store

    if (engine := getattr(_get_store(), "engine", None)) is not None:
        engine.dispose(close=False)


def forget_all() -> None:
    """Leave MLflow no run that it would end with this process."""
    _stack().default_factory = list
    _stack().set([])


def _active(run: "Run") -> "ActiveRun":
    from mlflow import ActiveRun

    return ActiveRun(run)


def _holds(stack: "list[ActiveRun]", run: "Run") -> bool:
    return any(active.info.run_id == run.info.run_id for active in stack)


def _is_inherited(stack: "list[ActiveRun]") -> bool:
    return isinstance(stack, _Stack) and stack.inherited


def _stack() -> Any:
    """MLflow's stack of each thread: private, see docs/decisions/0004."""
    from mlflow.tracking import fluent

    return fluent._active_run_stack


_inheritance = _Inheritance()
