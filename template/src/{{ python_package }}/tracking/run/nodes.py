"""When each node ran and what it loaded, noted in whatever process it runs."""

import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from ..outbox.outbox import Outbox
from ..redaction import without_secrets
from .inputs import shape_of

if TYPE_CHECKING:
    from kedro.pipeline.node import Node

_LONGEST = 500  # characters of an error


class NodeNotes:
    """Notes of the nodes of one run, which ``timeline`` reads at the end.

    Kedro loads what a node takes, runs it, then saves what it returns; a node's time is
    all three. Names are noted, and no values.

    Args:
        outbox: of the run.
        run_id: the run.
        external: datasets whose shape to note when they are loaded.
        count: how many nodes the run has.
    """

    def __init__(
        self, outbox: Outbox, run_id: str, external: Collection[str], count: int
    ) -> None:
        self._outbox, self._run_id = outbox, run_id
        self._count, self._ran = count, set[str]()
        self._external = set(external)
        self._saved: dict[str, set[str]] = {}

    def loading(self, node: "Node") -> None:
        """Note that a node begins, when its first input is loaded; idempotent."""
        if node.name not in self._saved:
            self._saved[node.name] = set()
            self._note(
                node,
                start=time.time_ns(),
                namespace=node.namespace or "",
                inputs=node.inputs,
                outputs=node.outputs,
            )

    def running(self, node: "Node", inputs: dict[str, Any]) -> bool:
        """Note what a node has loaded; return whether all of ``external`` is known."""
        self.loading(node)
        found = self._external & inputs.keys()
        for name in found:
            shape = shape_of(inputs[name])
            self._outbox.note(self._run_id, "shape", name=name, **shape)
        self._external -= found
        return bool(found) and not self._external

    def ran(self, node: "Node") -> None:
        """Note that the function of a node has returned."""
        self._ran.add(node.name)
        self._note(node, end=time.time_ns(), is_saved=not node.outputs)

    @property
    def is_last(self) -> bool:
        """Whether the functions of all nodes have returned, in this process."""
        return len(self._ran) == self._count

    def saved(self, node: "Node", dataset: str) -> None:
        """Note the end of a node, when the last of its outputs is saved.

        A node that yields its outputs in parts does so again and again.
        """
        saved = self._saved.setdefault(node.name, set())
        saved.add(dataset)
        if saved >= set(node.outputs):
            saved.clear()
            self._note(node, end=time.time_ns(), is_saved=True)

    def failed(self, node: "Node", error: BaseException) -> None:
        """Note the error of a node."""
        self._note(node, end=time.time_ns(), error=error_text(error))

    def _note(self, node: "Node", **data: Any) -> None:
        self._outbox.note(self._run_id, "node", name=node.name, **data)


def error_text(error: BaseException) -> str:
    """Return an exception's type and message, without secrets."""
    text = f"{type(error).__name__}: {error}"
    return without_secrets(text)[:_LONGEST]
