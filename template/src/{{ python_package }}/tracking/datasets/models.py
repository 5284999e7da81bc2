"""Models of a run."""

from importlib import import_module, metadata
from typing import Any

from kedro.io import DatasetError
from packaging.requirements import Requirement

from .base import MlflowDataset


class MlflowModelTrackingDataset(MlflowDataset):
    """A model of any MLflow flavour, logged to the run.

    Args:
        flavor: module of the flavour, for example ``mlflow.sklearn``.
        run_id: the run to load from; None for the run under way.
        artifact_path: the model's name in the run.
        load_args: keyword arguments for the flavour's ``load_model``.
        save_args: keyword arguments for its ``log_model``, such as
            ``registered_model_name``. Without requirements among them the model gets
            the project's own, as installed: MLflow's inference of them takes 15 s.
        metadata: anything; Kedro leaves it alone.

    Example in the catalog::

        classifier:
          type: <package>.tracking.MlflowModelTrackingDataset
          flavor: mlflow.sklearn
    """

    def __init__(
        self,
        flavor: str,
        run_id: str | None = None,
        artifact_path: str = "model",
        load_args: dict[str, Any] | None = None,
        save_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._flavor = flavor
        self._run_id = run_id
        self._artifact_path = artifact_path
        self._load_args = load_args or {}
        self._save_args = save_args or {}
        self.metadata = metadata

    def save(self, data: Any) -> None:
        """Log the model to the run under way."""
        kwargs = {"name": self._artifact_path, **self._save_args}
        if not {"pip_requirements", "extra_pip_requirements", "conda_env"} & set(
            kwargs
        ):
            kwargs["pip_requirements"] = project_requirements()
        with self._active_run():
            self._flavor_module().log_model(data, **kwargs)

    def load(self) -> Any:
        """Load the model of the run."""
        with self._active_run() as run_id:
            uri = f"runs:/{run_id}/{self._artifact_path}"
            return self._flavor_module().load_model(uri, **self._load_args)

    def _flavor_module(self) -> Any:
        try:
            return import_module(self._flavor)
        except ImportError as error:
            raise DatasetError(
                f"The flavour '{self._flavor}' of '{self._name}' cannot be imported: {error}"
            ) from error

    def _describe(self) -> dict[str, Any]:
        return {
            "flavor": self._flavor,
            "run_id": self._run_id,
            "artifact_path": self._artifact_path,
        }


def project_requirements() -> list[str] | None:
    """Give what the project depends on, pinned to what is installed.

    Returns:
        Lines such as ``scikit-learn==1.9.1``; None, which lets MLflow infer them, where
        the project itself is not installed.
    """
    package = __name__.partition(".")[0]
    try:
        requirements = metadata.requires(package)
    except metadata.PackageNotFoundError:
        owners = metadata.packages_distributions().get(package)
        requirements = metadata.requires(owners[0]) if owners else None
    if requirements is None:
        return None
    parsed = [Requirement(line) for line in requirements]
    names = [r.name for r in parsed if not r.marker or r.marker.evaluate({"extra": ""})]
    return [f"{name}=={metadata.version(name)}" for name in names]
