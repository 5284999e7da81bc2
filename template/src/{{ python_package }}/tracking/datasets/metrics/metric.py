"""One number."""

import time

from kedro.io import DatasetError

from .base import MetricDataset
from .points import Point, history, log, metrics, missing, number


class MlflowMetricDataset(MetricDataset):
    """One number, logged as a metric.

    Args:
        key: the metric's name; None for the name in the catalog.
        run_id: the run to log to and load from; None for the active run.
        load_args: ``step`` to load, instead of the last.
        save_args: ``mode`` is ``overwrite`` (default), which logs at the metric's last
            step, 0 in a new run, or ``append``, which logs at the step after it.
            ``step`` sets the step, ``timestamp`` the time in milliseconds since 1970.
        metadata: anything; Kedro ignores it.
        model: the model that it is about, by its name in the catalog; None for the one
            that its node depends on.
        save_to_run: whether a save may change the run of ``run_id``.

    Raises:
        DatasetError: an argument or the mode is unknown.

    Example in the catalog::

        accuracy:
          type: <package>.tracking.MlflowMetricDataset

    Example in Python::

        import mlflow
        from <package>.tracking import MlflowMetricDataset

        accuracy = MlflowMetricDataset("accuracy", save_args={"mode": "append"})
        with mlflow.start_run():
            accuracy.save(0.8)
            accuracy.save(0.9)
            assert accuracy.load() == 0.9
    """

    _LOAD_ARGS = frozenset({"step"})
    _SAVE_ARGS = frozenset({"mode", "step", "timestamp"})

    def _check_args(self) -> None:
        super()._check_args()
        self.mode = self._save_args.get("mode", "overwrite")

    @property
    def mode(self) -> str:
        """How a number without a step is logged: ``overwrite`` or ``append``."""
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        if mode not in ("overwrite", "append"):
            raise DatasetError(
                "save_args of MlflowMetricDataset: 'mode' is overwrite or append; "
                f"found '{mode}'."
            )
        self._mode = mode

    def save(self, data: float) -> None:
        """Log the number.

        If the run may have the metric already, its last step is fetched first.
        """
        self._refuse_other_run()
        with self._active_run(self._metric) as run_id:
            value = number(data)
            step: int | None = self._save_args.get("step")
            now = int(time.time() * 1000)
            if step is None:
                last = self._last_point(run_id)
                if last is None:
                    step = 0
                elif self._mode == "append":
                    step = last.step + 1
                else:
                    step = last.step
                    now = max(now, (last.timestamp or 0) + 1)  # MLflow shows the latest
            timestamp: int = self._save_args.get("timestamp", now)
            point = Point(step, value, timestamp)
            entries = list(metrics(self._metric, [point], self._subject(run_id)))
            log(self._client(), run_id, self._handle, entries, "", None, self.name)

    def _last_point(self, run_id: str) -> Point | None:
        earlier = self._handle.metrics if self._handle and not self._run_id else None
        is_new = earlier is not None and self._metric not in earlier
        if is_new and self._mode == "overwrite":
            return None
        return _last(history(self._client(), run_id, self._metric))

    def load(self) -> float:
        """Return the metric's last value, or the last one at ``step``.

        Raises:
            DatasetError: the run has no such metric or step.
        """
        value: float = self._read() if self._prefetched is None else self._prefetched
        return value

    def _read(self) -> float:
        with self._active_run(self._metric) as run_id:
            points = history(self._client(), run_id, self._metric)
            step = self._load_args.get("step")
            last = _last([p for p in points if step is None or p.step == step])
            if not points:
                raise missing(self._client(), run_id)
            if last is None:
                steps = sorted({p.step for p in points})
                raise LookupError(f"there is no step {step}, only {steps}")
            return last.value


def _last(points: list[Point]) -> Point | None:
    """Return the last point; of several at one step, the one that MLflow's UI shows."""
    return max(points, key=lambda p: (p.step, p.timestamp or 0, p.value), default=None)
