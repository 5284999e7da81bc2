"""A registered model."""

import logging
from typing import TYPE_CHECKING, Any

from kedro.io import DatasetError

from ..base import MlflowDataset
from .flavor import Flavor

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

_logger = logging.getLogger(__name__)


class MlflowModelRegistryDataset(MlflowDataset):
    """A registered model, by version, stage or alias; logs which run it comes from.

    Args:
        model_name: the registered model's name.
        stage_or_version: a version's number, a stage such as ``Production``, or
            ``latest`` (default), the highest version.
        alias: an alias of a version, instead of ``stage_or_version``.
        flavor: module of the flavour to load it with.
        pyfunc_workflow: not used for loading; accepted so that catalogs of kedro-mlflow
            stay valid.
        load_args: keyword arguments for the flavour's ``load_model``.
        metadata: anything; Kedro ignores it.

    Raises:
        DatasetError: both an alias and a stage or version are set.

    Example in the catalog::

        champion:
          type: <package>.tracking.MlflowModelRegistryDataset
          model_name: penguins
          alias: champion
          flavor: mlflow.sklearn

    Example in Python::

        import mlflow
        from sklearn.linear_model import LinearRegression
        from <package>.tracking import MlflowModelRegistryDataset

        model = LinearRegression().fit([[1.0], [2.0]], [2.0, 4.0])
        with mlflow.start_run():
            mlflow.sklearn.log_model(
                model, name="line", registered_model_name="line", pip_requirements=[]
            )
        newest = MlflowModelRegistryDataset("line")
        assert round(newest.load().predict([[3.0]])[0]) == 6
    """

    def __init__(
        self,
        model_name: str,
        stage_or_version: str | int | None = None,
        alias: str | None = None,
        flavor: str = "mlflow.pyfunc",
        pyfunc_workflow: str | None = None,
        load_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        if alias and stage_or_version:
            raise DatasetError(
                "MlflowModelRegistryDataset takes an 'alias' or a 'stage_or_version'; "
                f"found both, '{alias}' and '{stage_or_version}'."
            )
        self.model_name = model_name
        self._alias = alias
        self._stage_or_version = None if alias else stage_or_version or "latest"
        self._model_uri: str | None = None
        self._has_warned = False
        self._flavor = Flavor(flavor, pyfunc_workflow)
        self._load_args = load_args or {}
        self.metadata = metadata

    def save(self, data: Any) -> None:
        """Refuse, since models are registered when they are logged.

        Raises:
            DatasetError: always.
        """
        raise DatasetError(
            f"{self._title} only loads. To register a model, log it with "
            "MlflowModelTrackingDataset and registered_model_name in its save_args."
        )

    def load(self) -> Any:
        """Load the model.

        Raises:
            DatasetError: the registry has no such model or version.
        """
        with self._explained(self.model_uri):
            uri = self._prefetched or self._model_uri or self._version_uri()
            return self._flavor.load(uri, self._load_args)

    @property
    def is_stored(self) -> bool:
        """True: a registered model always exists before the run."""
        return True

    @property
    def alias(self) -> str | None:
        """The alias of the version; setting one replaces the stage or version."""
        return self._alias

    @alias.setter
    def alias(self, alias: str | None) -> None:
        self._alias, self._model_uri = alias, None
        self._stage_or_version = None if alias else self._stage_or_version or "latest"

    @property
    def stage_or_version(self) -> str | int | None:
        """The stage or version; setting one replaces the alias."""
        return self._stage_or_version

    @stage_or_version.setter
    def stage_or_version(self, stage_or_version: str | int | None) -> None:
        self._stage_or_version = stage_or_version or "latest"
        self._alias = self._model_uri = None

    @property
    def model_uri(self) -> str:
        """The URI of the model; setting one replaces everything else."""
        if self._model_uri:
            return self._model_uri
        version = f"@{self._alias}" if self._alias else f"/{self._stage_or_version}"
        return f"models:/{self.model_name}{version}"

    @model_uri.setter
    def model_uri(self, model_uri: str) -> None:
        self._model_uri = model_uri

    def _version_uri(self) -> str:
        version = self._version()
        _logger.info(
            "Model %s is version %s, from the run %s",
            self.model_uri,
            version.version,
            version.run_id,
        )
        return f"models:/{self.model_name}/{version.version}"

    def _version(self) -> "ModelVersion":
        client, wanted = self._client(), str(self._stage_or_version).lower()
        if self._alias:
            return client.get_model_version_by_alias(self.model_name, self._alias)
        if wanted.isdigit():
            return client.get_model_version(self.model_name, wanted)
        if wanted != "latest":
            self._warn_about_stage()
        versions = [
            version
            for version in client.search_model_versions(f"name = '{self.model_name}'")
            if wanted in ("latest", (version.current_stage or "").lower())
        ]
        if not versions:
            raise LookupError("the registry has no such model or stage")
        return max(versions, key=lambda version: int(version.version))

    def _warn_about_stage(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            stage = self._stage_or_version
            _logger.warning(
                "%s: MLflow has deprecated stages such as '%s'. Set an alias for the "
                "version on the model's page, and write 'alias: %s' instead of "
                "'stage_or_version: %s'.",
                self._title, stage, str(stage).lower(), stage,
            )  # fmt: skip

    def _read(self) -> str:
        with self._explained(self.model_uri):
            return self._downloaded(self._model_uri or self._version_uri())

    def _describe(self) -> dict[str, Any]:
        return {"model_uri": self.model_uri, "flavor": self._flavor.module}
