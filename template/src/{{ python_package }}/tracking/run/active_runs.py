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
        nested: whether nodes may open nested runs.
    """
    stack = _stack().get()
    others = [] if _is_inherited(stack) else list(stack)
    if not _holds(others, run):
        others.append(_active(run))
    _stack().set(_Stack(others, nested))


def pop(run: "Run", keep: bool = False) -> None:
    """Undo ``push``: remove the run, and its nested runs, from this thread's stack.

    Args:
        run: the run.
        keep: whether it stays there, since it was there before ``push``; only the
            refusal of nested runs is then undone.
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
    """Return the run that other code has made active in this thread.

    A run that the thread inherits from another Kedro run does not count.
    """
    if loaded_mlflow() is None:
        return None
    stack = _stack().get()
    return stack[-1] if stack and not _is_inherited(stack) else None


def run_id_of_orchestrator() -> str | None:
    """Return ``MLFLOW_RUN_ID``, unless it was set here for child processes of nodes."""
    run_id = os.environ.get(_RUN_ID)
    is_ours = run_id == _inheritance.exported != _inheritance.before
    return None if is_ours else run_id


def open_below(run: "Run") -> "list[ActiveRun]":
    """Return the open nested runs of a run, in all threads, newest first."""
    found = []
    for stack in _stack().get_all_thread_values().values():
        ids = [active.info.run_id for active in stack]
        if run.info.run_id in ids:
            found += stack[ids.index(run.info.run_id) + 1 :]
    return list(reversed(found))


@contextmanager
def inherited(run: "Run", nested: bool, is_worker: bool = False) -> Iterator[None]:
    """Make threads and processes that a node starts log to the run, inside the block.

    Threads and forks get it from MLflow's stack, whose default factory returns it;
    spawned processes from ``MLFLOW_RUN_ID``, which MLflow itself reads. While several
    runs are open in this process, nothing inherits a run, since it is not known which
    run has started a new thread.

    Args:
        run: the run.
        nested: whether nodes may open nested runs.
        is_worker: whether all threads of this process belong to the run.
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
        nested: whether nodes may open nested runs.
        inherited: whether the thread inherits it from the node that started the thread.
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
    """The runs that new threads and processes of nodes inherit.

    There is one for each process, as there is one ``MLFLOW_RUN_ID`` and one stack of
    MLflow's. It is empty when no run is open.

    Attributes:
        exported: the value of ``MLFLOW_RUN_ID`` that is set for child processes.
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
                self.before = None  # that of the process which has started this one
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
    """Hides ``MLFLOW_RUN_ID`` from MLflow in a process whose run is on MLflow's stack.

    Otherwise ``mlflow.start_run(nested=True)`` would use the run itself as the nested
    run: rename it, end it, and delete the variable.
    """

    name = _RUN_ID

    def get(self) -> None:
        return None

    def unset(self) -> None:
        return None


def _hide(variable: Any) -> None:
    """Set how MLflow reads ``MLFLOW_RUN_ID``: private, see docs/decisions/0004."""
    from mlflow.tracking import fluent

    setattr(fluent, _RUN_ID, variable)


def drop_connections() -> None:
    """Drop database connections that a forked process shares with its parent."""
    from mlflow.tracking._tracking_service.utils import _get_store

    if (engine := getattr(_get_store(), "engine", None)) is not None:
        engine.dispose(close=False)


def forget_all() -> None:
    """Clear MLflow's stack, whose runs MLflow would end with this process."""
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
    """Return MLflow's stacks, one for each thread: private, see docs/decisions/0004."""
    from mlflow.tracking import fluent

    return fluent._active_run_stack


_inheritance = _Inheritance()
