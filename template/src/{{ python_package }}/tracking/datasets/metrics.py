"""Metrics of a run."""

from typing import Any, Literal

from .base import MlflowDataset


class MlflowMetricDataset(MlflowDataset):
    """One number, logged as a metric.

    Args:
        key: the metric's name; None for the name in the catalog.
        run_id: the run to log to and load from; None for the run under way.
        load_args: not used; taken so that catalogs of kedro-mlflow stay valid.
        save_args: ``mode`` is ``overwrite`` (default), which keeps to ``step`` (0), or
            ``append``, which takes the step after the last.
        metadata: anything; Kedro leaves it alone.

    Example in the catalog::

        accuracy:
          type: <package>.tracking.MlflowMetricDataset
    """

    def __init__(
        self,
        key: str | None = None,
        run_id: str | None = None,
        load_args: dict[str, Any] | None = None,
        save_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        args = dict(save_args or {})
        self._mode: Literal["overwrite", "append"] = args.pop("mode", "overwrite")
        self._step: int = args.pop("step", 0)
        if args or self._mode not in ("overwrite", "append"):
            raise ValueError(
                "MlflowMetricDataset takes the save_args 'mode' (overwrite or append) "
                f"and 'step'; found {save_args}."
            )
        self._key = key
        self._run_id = run_id
        self.metadata = metadata

    def save(self, data: float) -> None:
        """Log the number."""
        from mlflow import MlflowClient

        with self._active_run() as run_id:
            client = MlflowClient()
            step = self._step
            if self._mode == "append":
                history = client.get_metric_history(run_id, self._metric)
                step = max((point.step for point in history), default=-1) + 1
            client.log_metric(run_id, self._metric, float(data), step=step)

    def load(self) -> float:
        """Give the metric's last value."""
        from mlflow import MlflowClient

        with self._active_run() as run_id:
            history = MlflowClient().get_metric_history(run_id, self._metric)
        return max(history, key=lambda point: (point.step, point.timestamp)).value

    @property
    def _metric(self) -> str:
        return self._key or self._name or "metric"

    def _describe(self) -> dict[str, Any]:
        return {"key": self._key, "run_id": self._run_id, "mode": self._mode}
