"""Metrics on their way to the server, sent while nodes compute."""

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .errors import TrackingError

if TYPE_CHECKING:
    from mlflow.entities import Metric


class PendingMetrics:
    """Sends the metrics of a run in the order in which they came, in few requests.

    Metrics wait until ``send``, so that those of one node travel together, and those
    that come while a request is under way go with the next.

    Args:
        run_id: the run.
    """

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._metrics: list[Metric] = []
        self._due = 0  # so many of them may go
        self._lost: dict[str, str] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, metrics: "Iterable[Metric]") -> None:
        """Take metrics, to be sent later."""
        with self._changed:
            self._metrics += metrics

    def send(self) -> None:
        """Send what is there, in a thread of its own; returns at once."""
        with self._changed:
            self._due = len(self._metrics)
            if self._due and self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="mlflow-metrics", daemon=True
                )
                self._thread.start()

    def flush(self, timeout: float | None = None) -> None:
        """Send everything and wait until it is there.

        Args:
            timeout: seconds to wait at most; None for as long as MLflow tries.

        Raises:
            TrackingError: metrics that could not be written, by name.
        """
        self.send()
        with self._changed:
            if not self._changed.wait_for(lambda: not self._metrics, timeout):
                names = {metric.key for metric in self._metrics}
                self._lost |= dict.fromkeys(names, "the server does not answer in time")
            lost, self._lost = self._lost, {}
        if lost:
            names = ", ".join(f"'{name}'" for name in sorted(lost))
            reason = next(iter(lost.values()))
            raise TrackingError(f"Metrics that could not be logged: {names}. {reason}")

    def _work(self) -> None:
        from mlflow import MlflowClient
        from mlflow.utils.validation import MAX_METRICS_PER_BATCH

        client = MlflowClient()
        while batch := self._batch(MAX_METRICS_PER_BATCH):
            error = ""
            if not self._lost:  # a server that was found gone is asked no more
                try:
                    client.log_batch(self._run_id, batch)
                except Exception as failure:
                    error = str(failure)
            with self._changed:
                if self._lost or error:
                    self._lost |= {metric.key: error for metric in batch}
                del self._metrics[: len(batch)]
                self._due -= len(batch)
                self._changed.notify_all()

    def _batch(self, size: int) -> "list[Metric]":
        with self._changed:
            if not self._due:
                self._thread = None
            return self._metrics[: min(self._due, size)]
