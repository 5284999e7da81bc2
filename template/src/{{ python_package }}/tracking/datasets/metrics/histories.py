"""Several metrics and their histories."""

from collections.abc import Mapping
from typing import Any

from .points import Again, Point, form_of, history, log, metrics, number, point
from .subject import SubjectedDataset


class MlflowMetricsHistoryDataset(SubjectedDataset):
    """Several metrics, each a number or a history, under a prefix.

    It saves a mapping of names to values, such as ``{"loss": …}``. A value is a number,
    a mapping with ``value`` and ``step``, a list of such mappings, or a list of
    numbers. If all values are of one kind, they load as they were saved. Otherwise a
    metric with one point loads as a mapping, and one with more as a list of mappings.

    Args:
        run_id: the run to log to and load from; None for the active run.
        prefix: metrics are logged as ``<prefix>.<name>``, and loaded as ``<name>``.
            None for the name in the catalog, empty for no prefix. A metric whose name
            is just the prefix is loaded, too.
        metadata: anything; Kedro ignores it.
        model: the model that they are about, by its name in the catalog; None for the
            one that their node depends on.
        save_to_run: whether a save may change the run of ``run_id``.

    Example in the catalog::

        training:
          type: <package>.tracking.MlflowMetricsHistoryDataset
          prefix: train

    Example in Python::

        import mlflow
        from <package>.tracking import MlflowMetricsHistoryDataset

        training = MlflowMetricsHistoryDataset(prefix="train")
        with mlflow.start_run():
            training.save({"loss": 0.3, "accuracy": 0.9})
            assert training.load() == {"loss": 0.3, "accuracy": 0.9}
    """

    def __init__(
        self,
        run_id: str | None = None,
        prefix: str | None = None,
        metadata: dict[str, Any] | None = None,
        model: str | None = None,
        save_to_run: bool = False,
    ) -> None:
        self._run_id = run_id
        self.model = model
        self._saves_to_run = save_to_run
        self._prefix = prefix
        self.metadata = metadata

    def save(self, data: Mapping[str, Any]) -> None:
        """Log all points of all metrics: one request per thousand."""
        self._refuse_other_run()
        prefix = self._metrics_prefix
        with self._active_run(self._pattern) as run_id:
            if not isinstance(data, Mapping):
                raise TypeError(
                    "Metrics are a mapping of names to numbers or histories; found "
                    f"{type(data).__name__}."
                )
            found, forms, subject = [], set(), self._subject(run_id)
            for name, value in data.items():
                form, points = _points(name, value)
                forms.add(form)
                found.append((f"{prefix}.{name}" if prefix else name, points))
            entries = Again(
                lambda: (
                    m for key, points in found for m in metrics(key, points, subject)
                )
            )
            common = forms.pop() if len(forms) == 1 else "point"
            kept = None if common == "point" else common
            log(self._client(), run_id, self._handle, entries, prefix, kept, self.name)

    def load(self) -> dict[str, Any]:
        """Return the metrics of the run with the prefix; an empty mapping for none."""
        form, histories = self._prefetched or self._read()
        return {name: _value(form, points) for name, points in histories.items()}

    @property
    def _metrics_prefix(self) -> str:
        return (self.name or "") if self._prefix is None else self._prefix

    @property
    def _pattern(self) -> str:
        prefix = self._metrics_prefix
        return f"{prefix}.*" if prefix else "*"

    def _names(self, keys: Mapping[str, float]) -> dict[str, str]:
        """Return the keys that have the prefix, and their names without it."""
        prefix = self._metrics_prefix
        if not prefix:
            return {key: key for key in keys}
        return {
            key: key.removeprefix(f"{prefix}.")
            for key in keys
            if key == prefix or key.startswith(f"{prefix}.")
        }

    def _read(self) -> tuple[str | None, dict[str, list[Point]]]:
        prefix = self._metrics_prefix
        with self._active_run(self._pattern) as run_id:
            data = self._client().get_run(run_id).data
            return form_of(data.tags, prefix), {
                name: history(self._client(), run_id, key)
                for key, name in self._names(data.metrics).items()
            }

    def _exists(self) -> bool:
        import mlflow

        if not (self._run_id or self._handle or mlflow.active_run()):
            return False
        with self._active_run(self._pattern) as run_id:
            run = self._client().get_run(run_id)
            return bool(self._names(run.data.metrics))

    def _describe(self) -> dict[str, Any]:
        return {"run_id": self._run_id, "prefix": self._prefix}


def _points(name: str, value: Any) -> tuple[str, list[Point]]:
    try:
        if isinstance(value, Mapping):
            return "point", [point(value, 0)]
        if isinstance(value, (list, tuple)):
            if value and all(isinstance(item, Mapping) for item in value):
                return "points", [point(item, step) for step, item in enumerate(value)]
            return "numbers", [Point(step, number(v)) for step, v in enumerate(value)]
        return "number", [Point(0, number(value))]
    except TypeError as error:
        raise TypeError(f"'{name}': {error}") from None


def _value(form: str | None, points: list[Point]) -> Any:
    if form == "number" and len(points) == 1:
        return points[0].value
    if form == "numbers":
        return [point.value for point in points]
    mappings = [{"step": point.step, "value": point.value} for point in points]
    return mappings if form == "points" or len(points) > 1 else mappings[0]
