"""Metrics on their way to the server, sent while nodes compute."""

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..errors import TrackingError

if TYPE_CHECKING:
    from mlflow.entities import Metric, RunTag


class MetricQueue:
    """Sends the metrics of a run in the order in which they came, in few requests.

    Metrics wait until ``send``, so that those of one node travel together, and those
    that come while a request is under way go with the next.

    Args:
        run_id: the run.
    """

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._metrics: list[Metric] = []
        self._under_way: list[Metric] = []
        self._tags: list[RunTag] = []
        self._due = 0  # so many of the metrics may go
        self._lost: dict[str, str] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, metrics: "Iterable[Metric]", tags: "Iterable[RunTag]" = ()) -> None:
        """Take metrics, and tags that belong to them, to be sent later."""
        with self._changed:
            self._metrics += metrics
            self._tags += tags

    def send(self) -> None:
        """Send what is there, in a thread of its own; returns at once."""
        with self._changed:
            self._due = len(self._metrics)
            if (self._due or self._tags) and self._thread is None:
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
            if not self._changed.wait_for(lambda: self._thread is None, timeout):
                waiting = [*self._under_way, *self._metrics]
                self._lose(waiting, "The server does not answer in time.")
            lost, self._lost = self._lost, {}
        if lost:
            names = ", ".join(f"'{name}'" for name in sorted(lost))
            reason = next(iter(lost.values()))
            raise TrackingError(f"Metrics that could not be logged: {names}. {reason}")

    def _work(self) -> None:
        from mlflow import MlflowClient
        from mlflow.utils.validation import MAX_METRICS_PER_BATCH

        while any(entries := self._next(MAX_METRICS_PER_BATCH)):
            metrics, tags = entries
            if self._lost:  # a server that was found gone is asked no more
                self._lose(metrics, "")
                continue
            try:
                MlflowClient().log_batch(
                    self._run_id, metrics, tags=tags, synchronous=True
                )
            except Exception as error:
                self._lose(metrics, str(error))

    def _next(self, size: int) -> "tuple[list[Metric], list[RunTag]]":
        with self._changed:
            size = min(size, self._due)
            self._under_way, self._metrics = self._metrics[:size], self._metrics[size:]
            self._due -= size
            tags, self._tags = self._tags, []
            if not (self._under_way or tags):
                self._thread = None
                self._changed.notify_all()
            return self._under_way, tags

    def _lose(self, metrics: "list[Metric]", reason: str) -> None:
        self._lost |= {metric.key: reason for metric in metrics}
