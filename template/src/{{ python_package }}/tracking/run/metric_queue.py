"""Queue metrics, and send them to the server while nodes compute."""

import threading
import time
from collections.abc import Iterable
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

from ..errors import TrackingError
from ..server.availability import fail_fast, is_unreachable
from ..server.http_errors import is_refusal, problem, status_of

if TYPE_CHECKING:
    from mlflow.entities import Metric, RunTag

PATIENCE = 30.0
"""Seconds for which a server that is away is tried again at the end of a run.

MLflow's own retries, which may take minutes, come in addition."""


class _Entry(NamedTuple):
    """A metric or a tag, and the dataset that has saved it."""

    record: "Metric | RunTag"
    source: str

    def __str__(self) -> str:
        by = f" (saved by the dataset '{self.source}')" if self.source else ""
        return f"'{self.record.key}'{by}"


class MetricQueue:
    """Sends the metrics of a run in the order in which they came, in few requests.

    Metrics wait until ``send``, so that those of one node share a request. Those that
    come during a request are sent with the next one. Metrics that the server refuses
    are kept for an error, and the rest is sent. While the server is away, all metrics
    wait.

    Args:
        run_id: the run.
        tracking_uri: its server, whatever a node has set since.
    """

    def __init__(self, run_id: str, tracking_uri: str) -> None:
        self._run_id, self._tracking_uri = run_id, tracking_uri
        self._deadline = float("inf")
        self._waiting: list[_Entry] = []
        self._due = 0  # how many of them may be sent
        self._refused: list[tuple[_Entry, str]] = []
        self._away: Exception | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(
        self,
        metrics: "Iterable[Metric]",
        tags: "Iterable[RunTag]" = (),
        source: str = "",
    ) -> None:
        """Queue metrics, and tags that belong to them.

        Args:
            metrics: the metrics.
            tags: the tags.
            source: the dataset that saves them, for errors.
        """
        with self._changed:
            self._waiting += [_Entry(metric, source) for metric in metrics]
            self._waiting += [_Entry(tag, source) for tag in tags]

    def send(self) -> None:
        """Send what is queued, in a separate thread; returns at once."""
        with self._changed:
            self._due = len(self._waiting)
            if self._due and self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="mlflow-metrics", daemon=True
                )
                self._thread.start()

    def wait(self, timeout: float | None = None) -> None:
        """Send everything, and wait until the server has accepted or refused it.

        Args:
            timeout: seconds to wait at most; None for as long as MLflow tries.

        Raises:
            TrackingError: the server is away. The message names the waiting metrics.
        """
        start = time.monotonic()
        end = start + (PATIENCE if timeout is None else timeout)
        pause = 0.5
        known_gone = _is_gone(self._away)
        while True:
            limit = float("inf") if timeout is None else end
            with fail_fast() if known_gone else nullcontext():
                self.send()
                with self._changed:
                    in_time = self._wait_until(limit)
                    if not self._waiting:
                        return
                    waiting, away = list(self._waiting), self._away
            if not in_time:
                raise TrackingError(
                    _not_logged(waiting, "The server does not answer in time.")
                )
            if away and (_is_gone(away) or time.monotonic() + pause > end):
                raise TrackingError(_not_logged(waiting, _reason(away)))
            time.sleep(pause)
            pause *= 2

    @property
    def is_away(self) -> bool:
        """Whether the server was away at the last request."""
        return self._away is not None

    def hurry(self, seconds: float) -> None:
        """End every wait within these seconds: the process is asked to stop."""
        self._deadline = time.monotonic() + seconds

    def _wait_until(self, limit: float) -> bool:
        """Wait for the thread, in steps that notice ``hurry``; return if it ended."""
        while self._thread is not None:
            left = min(limit, self._deadline) - time.monotonic()
            if left <= 0:
                return False
            self._changed.wait(min(left, 0.2))
        return True

    def flush(self, timeout: float | None = None) -> None:
        """Do as ``wait``, and report refused metrics as well.

        Raises:
            TrackingError: metrics could not be logged. The message names them.
        """
        problems = []
        try:
            self.wait(timeout)
        except TrackingError as error:
            problems.append(error.message)
        with self._changed:
            refused, self._refused = self._refused, []
        for reason in dict.fromkeys(reason for _, reason in refused):
            entries = [entry for entry, why in refused if why == reason]
            problems.append(_not_logged(entries, reason))
        if problems:
            raise TrackingError("\n".join(problems))

    def _work(self) -> None:
        from mlflow.utils.validation import MAX_ENTITIES_PER_BATCH

        while True:
            with self._changed:
                batch = self._waiting[: min(self._due, MAX_ENTITIES_PER_BATCH)]
                if not batch:
                    self._stop(None)
                    return
            try:
                refused = self._log(batch)
            except Exception as error:  # the batch stays queued
                with self._changed:
                    self._stop(error)
                return
            with self._changed:
                del self._waiting[: len(batch)]
                self._due -= len(batch)
                self._refused += refused

    def _stop(self, away: Exception | None) -> None:
        self._away, self._thread = away, None
        self._changed.notify_all()

    def _log(
        self, batch: list[_Entry], is_suspect: bool = False
    ) -> list[tuple[_Entry, str]]:
        """Log a batch; if it is refused, log its halves, down to single entries.

        Sending an entry twice does no harm: MLflow keeps one of equal metrics.

        Returns:
            The entries that the server refuses, and why.
        """
        from mlflow import MlflowClient
        from mlflow.entities import Metric, RunTag

        records = [entry.record for entry in batch]
        try:
            MlflowClient(self._tracking_uri).log_batch(
                self._run_id,
                [record for record in records if isinstance(record, Metric)],
                tags=[record for record in records if isinstance(record, RunTag)],
                synchronous=True,
            )
        except Exception as error:
            if not is_refusal(error):
                raise
            is_bad = len(batch) == 1 if is_suspect else not self._is_open()
            if is_bad:
                return [(entry, _reason(error)) for entry in batch]
            # A single entry is sent once more: the answer may have been a proxy's.
            middle = max(1, len(batch) // 2)
            halves = [half for half in (batch[:middle], batch[middle:]) if half]
            return [found for half in halves for found in self._log(half, True)]
        return []

    def _is_open(self) -> bool:
        """Whether the run accepts records: it may have been deleted."""
        from mlflow import MlflowClient

        try:
            stage = (
                MlflowClient(self._tracking_uri)
                .get_run(self._run_id)
                .info.lifecycle_stage
            )
        except Exception as error:
            if not is_refusal(error):
                raise
            return False
        return bool(stage == "active")


def _is_gone(away: Exception | None) -> bool:
    """Whether MLflow has tried all its retries without any answer."""
    return away is not None and is_unreachable(away) and status_of(away) is None


def _not_logged(entries: list[_Entry], reason: str) -> str:
    many = len(entries) > 3
    names = [f"'{entry.record.key}'" if many else str(entry) for entry in entries]
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"Metrics that could not be logged: {', '.join(names[:10])}{more}. {reason}"


def _reason(error: Exception) -> str:
    text = str(error)
    return f"The server {problem(text)}." if "API request to" in text else text
