"""The history of one metric."""

from collections.abc import Iterable, Mapping
from typing import Any

from kedro.io import DatasetError

from .base import MetricDataset
from .points import (
    Again,
    Point,
    form_of,
    history,
    log,
    metrics,
    missing,
    number,
    point,
)

_MODES = ("list", "dict", "history")


class MlflowMetricHistoryDataset(MetricDataset):
    """The history of one metric, such as the loss of each epoch.

    It is a list of numbers (``list``), a mapping of step to number (``dict``) or a list
    of mappings with ``value``, ``step`` and ``timestamp`` in milliseconds since 1970
    (``history``), and loads in the form in which it was saved.

    Args:
        key: the metric's name; None for the name in the catalog.
        run_id: the run to log to and load from; None for the active run.
        load_args: ``mode``, the form in which to load, instead of that of the save.
        save_args: ``mode``, the form that saved data must have.
        metadata: anything; Kedro ignores it.
        model: the model that it is about, by its name in the catalog; None for the one
            that its node depends on.
        save_to_run: whether a save may change the run of ``run_id``.

    Raises:
        DatasetError: an argument or a mode is unknown.

    Example in the catalog::

        loss:
          type: <package>.tracking.MlflowMetricHistoryDataset
          load_args:
            mode: dict

    Example in Python::

        import mlflow
        from <package>.tracking import MlflowMetricHistoryDataset

        loss = MlflowMetricHistoryDataset("loss")
        with mlflow.start_run():
            loss.save([0.9, 0.5, 0.3])
            assert loss.load() == [0.9, 0.5, 0.3]
    """

    _LOAD_ARGS = frozenset({"mode"})
    _SAVE_ARGS = frozenset({"mode"})

    def _check_args(self) -> None:
        super()._check_args()
        for args in (self._load_args, self._save_args):
            if args.get("mode", "list") not in _MODES:
                raise DatasetError(
                    "'mode' of MlflowMetricHistoryDataset is list, dict or history; "
                    f"found '{args['mode']}'."
                )

    def save(self, data: Iterable[Any]) -> None:
        """Log the history: one request per thousand points."""
        self._refuse_other_run()
        with self._active_run(self._metric) as run_id:
            mode, points = _points(data)
            wanted = self._save_args.get("mode", mode)
            if wanted != mode and any(True for _ in points):
                raise TypeError(f"save_args say mode '{wanted}'; found '{mode}'")
            form = None if mode == "list" else mode
            subject = self._subject(run_id)
            entries = Again(lambda: metrics(self._metric, points, subject))
            log(
                self._client(),
                run_id,
                self._handle,
                entries,
                self._metric,
                form,
                self.name,
            )

    def load(self) -> list[float] | dict[int, float] | list[dict[str, Any]]:
        """Return the history.

        Raises:
            DatasetError: the run has no such metric.
        """
        mode, points = self._prefetched or self._read()
        if mode == "dict":
            return {point.step: point.value for point in points}
        if mode == "history":
            return [point._asdict() for point in points]
        return [point.value for point in points]

    def _read(self) -> tuple[str, list[Point]]:
        with self._active_run(self._metric) as run_id:
            mode = self._load_args.get("mode")
            if mode is None:
                tags = self._client().get_run(run_id).data.tags
                mode = form_of(tags, self._metric) or "list"
            points = history(self._client(), run_id, self._metric)
            if not points:
                raise missing(self._client(), run_id)
            return mode, points


def _points(data: Iterable[Any]) -> tuple[str, Iterable[Point]]:
    if isinstance(data, Mapping):
        return "dict", Again(
            lambda: (Point(int(step), number(v)) for step, v in data.items())
        )
    if isinstance(data, (str, bytes)) or not isinstance(data, Iterable):
        raise TypeError(
            "The history of a metric is a list of numbers, a mapping of step to number "
            f"or a list of mappings; found {type(data).__name__}."
        )
    items = list(data) if iter(data) is data else data
    first = next(iter(items), None)
    if isinstance(first, Mapping) and all(isinstance(item, Mapping) for item in items):
        return "history", Again(
            lambda: (point(item, step) for step, item in enumerate(items))
        )
    return "list", Again(
        lambda: (Point(step, number(item)) for step, item in enumerate(items))
    )
