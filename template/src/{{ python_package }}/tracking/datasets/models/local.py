"""A model in a local folder."""

import shutil
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from kedro.io import AbstractVersionedDataset, DatasetError, Version
from kedro.io.core import get_protocol_and_path

from .flavor import Flavor


class MlflowModelLocalFileSystemDataset(AbstractVersionedDataset[Any, Any]):
    """A model of any MLflow flavour in a local folder, without a run.

    Args:
        filepath: the folder. A model in it is replaced when the new one is written.
        flavor: module of the flavour, for example ``mlflow.sklearn``.
        pyfunc_workflow: for the flavour ``mlflow.pyfunc``, what a saved model is:
            ``python_model`` (default) or ``loader_module``.
        load_args: keyword arguments for the flavour's ``load_model``.
        save_args: keyword arguments for its ``save_model``. Without requirements among
            them, the model gets those of the project, as installed.
        log_args: ignored; accepted so that catalogs of kedro-mlflow stay valid.
        version: set by Kedro for ``versioned: true``.
        metadata: anything; Kedro ignores it.

    Raises:
        DatasetError: the folder is not a local one, or the workflow is unknown.

    Example in the catalog::

        candidate:
          type: <package>.tracking.MlflowModelLocalFileSystemDataset
          filepath: data/06_models/candidate
          flavor: mlflow.sklearn
          versioned: true

    Example in Python::

        from sklearn.linear_model import LinearRegression
        from <package>.tracking import MlflowModelLocalFileSystemDataset

        model = MlflowModelLocalFileSystemDataset("candidate", "mlflow.sklearn")
        model.save(LinearRegression().fit([[1.0], [2.0]], [2.0, 4.0]))
        assert round(model.load().predict([[3.0]])[0]) == 6
    """

    def __init__(
        self,
        filepath: str,
        flavor: str,
        pyfunc_workflow: str | None = None,
        load_args: dict[str, Any] | None = None,
        save_args: dict[str, Any] | None = None,
        log_args: dict[str, Any] | None = None,
        version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        protocol, path = get_protocol_and_path(filepath, version)
        if protocol != "file":
            raise DatasetError(
                "'filepath' of MlflowModelLocalFileSystemDataset is a local folder; found "
                f"one of '{protocol}'. MlflowModelTrackingDataset stores models elsewhere."
            )
        super().__init__(PurePosixPath(path), version)
        self._flavor = Flavor(flavor, pyfunc_workflow)
        self._load_args = load_args or {}
        self._save_args = save_args or {}
        self.metadata = metadata

    def save(self, data: Any) -> None:
        """Write the model beside its folder, and move it there when it is complete."""
        path = Path(self._get_save_path()).absolute()
        if path.exists() and not (path / "MLmodel").exists():
            raise DatasetError(
                f"{path} holds no MLflow model, and saving one would delete it. Choose "
                "another filepath, or delete it yourself."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            draft = Path(folder, path.name)
            self._flavor.save(data, str(draft), self._save_args)
            if path.exists():
                shutil.rmtree(path)
            draft.rename(path)

    def load(self) -> Any:
        """Load the model; if it is versioned, the newest version."""
        path = Path(self._get_load_path()).absolute()
        return self._flavor.load(path.as_uri(), self._load_args)

    def _exists(self) -> bool:
        return Path(self._get_load_path()).exists()

    def _describe(self) -> dict[str, Any]:
        return {
            "filepath": str(self._filepath),
            "flavor": self._flavor.module,
            "pyfunc_workflow": self._flavor.pyfunc_workflow,
            "version": self._version,
        }
