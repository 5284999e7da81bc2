"""What the hook needs of a Kedro run, tracked or not, and which of them are open."""

import inspect
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # every command of Kedro's imports this module
    from kedro.io import CatalogProtocol

_ATTRIBUTE = "kedro_mlflow_run"  # on the catalog, which belongs to one Kedro run


class KedroRun(Protocol):
    """A Kedro run that is NEW, then OPEN, then CLOSED.

    Its constructor has no side effect. In a worker process it is a pickled copy that can
    be attached and detached, no more.

    Attributes:
        thread: the identifier of the thread that opened it.
    """

    thread: int

    def open(self) -> None:
        """Set up all that the run needs, or nothing if that fails."""

    def attach(self) -> None:
        """Make it the run of a node, in the node's thread and process."""

    def detach(self) -> None:
        """Undo ``attach`` when the node has ended."""

    def node_failed(self, error: Exception) -> None:
        """Take notice of a node's error."""

    def end(self, status: str) -> None:
        """Close it as FINISHED, FAILED or KILLED; idempotent."""

    def fail(self, error: Exception | None = None) -> None:
        """Close it as FAILED without an exception of its own; idempotent."""


_open: list[KedroRun] = []


def open_run(run: KedroRun, catalog: "CatalogProtocol") -> None:
    """Open a run, and make it the one of its catalog.

    Raises:
        TrackingError: it cannot be opened.
    """
    run.open()
    _open.append(run)
    setattr(catalog, _ATTRIBUTE, run)


def forget(run: KedroRun) -> None:
    """Undo ``open_run`` when a run closes; idempotent."""
    if run in _open:
        _open.remove(run)


def run_of(catalog: "CatalogProtocol") -> KedroRun | None:
    """Return the run that a catalog belongs to, if any."""
    run: KedroRun | None = getattr(catalog, _ATTRIBUTE, None)
    return run


def enclosing_runs() -> Iterator[KedroRun]:
    """Yield the Kedro runs in whose nodes this code is called, the innermost first.

    A session in a node has the catalog of the outer session further up its call stack.
    Unlike a variable of the thread, the stack forgets a run that Ctrl-C has left.
    """
    frame = inspect.currentframe()
    seen = []
    while frame:
        catalog = frame.f_locals.get("catalog")
        run = run_of(catalog) if catalog is not None else None
        if run is not None and run not in seen:
            seen.append(run)
            yield run
        frame = frame.f_back


def fail_left_runs() -> None:
    """Fail the runs of this thread that Ctrl-C or a SystemExit has left open.

    Kedro calls no hook for those.
    """
    enclosing = list(enclosing_runs())
    for run in list(_open):
        if run.thread == threading.get_ident() and run not in enclosing:
            run.fail()
