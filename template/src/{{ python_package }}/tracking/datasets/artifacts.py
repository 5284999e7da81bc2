"""Files of a run: any dataset of the catalog whose file is also an MLflow artifact."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, AbstractVersionedDataset, CatalogProtocol
from kedro.io.core import parse_dataset_definition

from .base import MlflowDataset, _replace


class MlflowArtifactDataset(MlflowDataset):
    """Saves with another dataset, then logs what it saved as an artifact of the run.

    Args:
        dataset: configuration of the dataset that saves and loads, as in the catalog.
        run_id: the run to log to and load from; None for the run under way.
        artifact_path: folder among the run's artifacts; None for the top.
        credentials: credentials for ``dataset``.
        metadata: anything; Kedro leaves it alone.

    Example in the catalog::

        confusion_matrix:
          type: <package>.tracking.MlflowArtifactDataset
          dataset:
            type: matplotlib.MatplotlibDataset
            filepath: data/08_reporting/confusion_matrix.png
    """

    def __init__(
        self,
        *,
        dataset: dict[str, Any] | str,
        run_id: str | None = None,
        artifact_path: str | None = None,
        credentials: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        config: dict[str, Any] = (
            {"type": dataset} if isinstance(dataset, str) else dict(dataset)
        )
        if credentials:
            config["credentials"] = credentials
        kind, kwargs = parse_dataset_definition(config)
        self._dataset: AbstractDataset = kind(**kwargs)
        self._run_id = run_id
        self._artifact_path = artifact_path
        self.metadata = metadata

    def save(self, data: Any) -> None:
        """Save with the inner dataset, then upload its file or folder."""
        from mlflow import MlflowClient

        self._dataset.save(data)
        path = self._saved_path()
        with self._active_run() as run_id:
            client = MlflowClient()
            if path.is_dir():
                client.log_artifacts(run_id, str(path), self._artifact_path)
            else:
                client.log_artifact(run_id, str(path), self._artifact_path)

    def load(self) -> Any:
        """Load with the inner dataset, what it has saved."""
        return self._dataset.load()

    def untrack(self, name: str, catalog: CatalogProtocol) -> None:
        """Leave the inner dataset alone in its place."""
        _replace(catalog, name, self._dataset)

    def _saved_path(self) -> Path:
        if isinstance(self._dataset, AbstractVersionedDataset):
            return Path(str(self._dataset._get_save_path()))
        inner = vars(self._dataset)
        return Path(str(inner.get("_filepath") or inner["_path"]))

    def _exists(self) -> bool:
        return self._dataset.exists()

    def _release(self) -> None:
        self._dataset.release()

    def _describe(self) -> dict[str, Any]:
        return {
            "dataset": repr(self._dataset),
            "run_id": self._run_id,
            "artifact_path": self._artifact_path,
        }
