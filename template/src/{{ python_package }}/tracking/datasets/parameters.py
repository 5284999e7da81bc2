"""Parameters that a node chooses."""

from ast import literal_eval
from collections.abc import Mapping
from typing import Any

from ..config.options import ParamsOptions
from ..outbox.records import batch_records
from ..run.parameters import as_params
from .base import MlflowDataset


class MlflowParametersDataset(MlflowDataset):
    """Values that a node chooses, such as tuned hyperparameters, as parameters of the run.

    It saves one value, or a mapping of names to values. What ``tracking.params`` of
    ``mlflow.yml`` says of long values, nested mappings and secrets holds here, too.
    MLflow takes one value for each parameter of a run.

    Args:
        prefix: a mapping is logged as ``<prefix>.<name>``, one value as ``<prefix>``.
            None for the name in the catalog, empty for no prefix.
        run_id: the run to log to and load from; None for the active run.
        metadata: anything; Kedro ignores it.
        save_to_run: whether a save may change the run of ``run_id``.

    Example in the catalog::

        best:
          type: <package>.tracking.MlflowParametersDataset

    Example in Python::

        import mlflow
        from <package>.tracking import MlflowParametersDataset

        best = MlflowParametersDataset("best")
        with mlflow.start_run():
            best.save({"C": 0.5, "kernel": "rbf"})
            assert best.load() == {"C": 0.5, "kernel": "rbf"}
    """

    def __init__(
        self,
        prefix: str | None = None,
        run_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        save_to_run: bool = False,
    ) -> None:
        self._prefix, self._run_id = prefix, run_id
        self.metadata = metadata
        self._saves_to_run = save_to_run

    def save(self, data: Any) -> None:
        """Log the values.

        Raises:
            TrackingError: a name or a value is one that MLflow refuses.
        """
        from mlflow.entities import Param, RunTag

        self._refuse_other_run()
        handle = self._handle
        options = handle.params if handle else ParamsOptions()
        prefix, sep = self._name, options.dict_params.sep
        if isinstance(data, Mapping):
            before = f"{prefix}{sep}" if prefix else ""
            named = {f"{before}{name}": value for name, value in data.items()}
        else:
            named = {prefix or "value": data}
        found = as_params(named, options)
        params = [Param(*item) for item in found.params.items()]
        tags = [RunTag(*item) for item in found.tags.items()]
        with self._active_run(prefix) as run_id:
            if handle and handle.run.info.run_id == run_id:
                records = batch_records(
                    run_id, params=params, tags=tags, source=self.name or ""
                )
                handle.outbox.write(records)
            else:
                self._client().log_batch(run_id, params=params, tags=tags)
            for path, text in found.files.items():
                self._client().log_text(run_id, text, path)

    def load(self) -> Any:
        """Return the values with the prefix, or the one value; texts as they are.

        Raises:
            DatasetError: the run has no such parameter.
        """
        return self._read() if self._prefetched is None else self._prefetched

    def _read(self) -> Any:
        prefix = self._name
        with self._active_run(prefix) as run_id:
            params = self._client().get_run(run_id).data.params
            if prefix in params:
                return _value(params[prefix])
            before = f"{prefix}." if prefix else ""
            if self._handle:
                sep = self._handle.params.dict_params.sep
                before = f"{prefix}{sep}" if prefix else ""
            found = {
                key.removeprefix(before): _value(value)
                for key, value in params.items()
                if key.startswith(before)
            }
            if not found:
                raise LookupError("there is no such parameter")
            return found

    @property
    def _name(self) -> str:
        return (self.name or "") if self._prefix is None else self._prefix

    def _exists(self) -> bool:
        import mlflow

        if not (self._run_id or self._handle or mlflow.active_run()):
            return False
        name = self._name
        with self._active_run(name) as run_id:
            params = self._client().get_run(run_id).data.params
        return any(key == name or key.startswith(name) for key in params)

    def _describe(self) -> dict[str, Any]:
        return {"prefix": self._prefix, "run_id": self._run_id}


def _value(text: str) -> Any:
    """Return a value that was logged as text: a number, a list, or else a text."""
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):
        return text
