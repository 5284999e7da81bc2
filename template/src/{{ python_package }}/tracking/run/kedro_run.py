"""The interface of a Kedro run, tracked or not, and the list of open runs."""

import inspect
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # every command of Kedro's imports this module
    from kedro.io import CatalogProtocol
    from kedro.pipeline.node import Node

    from .nodes import NodeNotes

_ATTRIBUTE = "kedro_mlflow_run"  # on the catalog, which belongs to one Kedro run


class KedroRun(Protocol):
    """A Kedro run that is NEW, then OPEN, then CLOSED.

    Its constructor has no side effect. In a worker process it is a pickled copy, which
    can only be attached and detached.

    Attributes:
        thread: the identifier of the thread that opened it.
        nodes: notes when nodes run; None if nobody wants to know.
    """

    thread: int
    nodes: "NodeNotes | None"

    def open(self) -> None:
        """Set up all that the run needs; undo everything if anything fails."""

    def attach(self) -> None:
        """Make it the active run of a node, in the node's thread and process."""

    def detach(self) -> None:
        """Undo ``attach`` when the node has ended."""

    def loaded(self, node: "Node", inputs: dict[str, Any]) -> None:
        """React to what a node has loaded."""

    def node_failed(self, node: "Node", error: Exception) -> None:
        """React to a node's error."""

    def end(self, status: str) -> None:
        """Close it as FINISHED, FAILED or KILLED; idempotent."""

    def fail(self, error: Exception | None = None) -> None:
        """Close it as FAILED; an error while closing is only logged; idempotent.

        Raises:
            TrackingError: the error is a failed login, in the words of the library that
                wrapped it.
        """


_open: list[KedroRun] = []


def open_run(run: KedroRun, catalog: "CatalogProtocol") -> None:
    """Open a run, and store it on its catalog.

    Raises:
        TrackingError: it cannot be opened.
    """
    run.open()
    _open.append(run)
    setattr(catalog, _ATTRIBUTE, run)


def forget(run: KedroRun) -> None:
    """Remove a run that closes from the open runs; idempotent."""
    if run in _open:
        _open.remove(run)


def run_of(catalog: object) -> KedroRun | None:
    """Return the run that a catalog belongs to; None for anything else."""
    run: KedroRun | None = getattr(catalog, _ATTRIBUTE, None)
    return run


def enclosing_runs() -> Iterator[KedroRun]:
    """Yield the Kedro runs in whose nodes this code is called, the innermost first.

    They are found by their catalogs, further up in the call stack; a run comes once for
    each frame that has its catalog. Unlike a thread-local variable, the call stack no
    longer has a run that Ctrl-C has interrupted.
    """
    frame = inspect.currentframe()
    while frame:
        if run := run_of(frame.f_locals.get("catalog")):
            yield run
        frame = frame.f_back


def enclosing_notes() -> "NodeNotes | None":
    """Return the notes of the run that calls this code: Kedro passes no catalog here."""
    run = next(enclosing_runs(), None)
    return run.nodes if run else None


def fail_left_runs() -> None:
    """Close as FAILED the runs of this thread that Ctrl-C or SystemExit has left open.

    Kedro calls no hook for these exceptions.
    """
    enclosing = list(enclosing_runs())
    for run in list(_open):
        if run.thread == threading.get_ident() and run not in enclosing:
            run.fail()
