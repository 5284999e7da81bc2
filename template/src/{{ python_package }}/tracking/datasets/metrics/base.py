"""What the datasets of one metric have in common."""

from typing import Any

from kedro.io import DatasetError

from .points import history
from .subject import SubjectedDataset


class MetricDataset(SubjectedDataset):
    """A dataset of one metric, named by its key, or else by its name in the catalog."""

    _LOAD_ARGS: frozenset[str]
    _SAVE_ARGS: frozenset[str]

    def __init__(
        self,
        key: str | None = None,
        run_id: str | None = None,
        load_args: dict[str, Any] | None = None,
        save_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        model: str | None = None,
        save_to_run: bool = False,
    ) -> None:
        self.key = key
        self._saves_to_run = save_to_run
        self.model = model
        self._run_id = run_id
        self._load_args = load_args or {}
        self._save_args = save_args or {}
        self.metadata = metadata
        self._check_args()

    @property
    def _metric(self) -> str:
        metric = self.key or self.name
        if metric is None:
            raise DatasetError(
                f"{type(self).__name__} has no key. Give it one, or use it through the "
                "catalog, where its name is the key."
            )
        return metric

    def _check_args(self) -> None:
        for name, args, known in (
            ("load_args", self._load_args, self._LOAD_ARGS),
            ("save_args", self._save_args, self._SAVE_ARGS),
        ):
            if unknown := sorted(set(args) - known):
                raise DatasetError(
                    f"{type(self).__name__} takes {sorted(known)} in {name}; "
                    f"found {unknown}."
                )

    def _exists(self) -> bool:
        import mlflow

        if not (self._run_id or self._handle or mlflow.active_run()):
            return False
        with self._active_run(self._metric) as run_id:
            return bool(history(self._client(), run_id, self._metric))

    def _describe(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "run_id": self._run_id,
            "load_args": self._load_args,
            "save_args": self._save_args,
        }
