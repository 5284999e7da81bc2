"""A model of a run."""

import re
import shutil
import weakref
from collections.abc import Sequence
from contextlib import nullcontext
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from kedro.io import CatalogProtocol, DatasetError

from ...config.options import RecordOptions
from ...server.availability import ServerAway
from ...server.http_errors import is_hopeless, is_refusal
from ...terminal.progress import progress
from ..base import MlflowDataset, replace
from .flavor import Flavor
from .local import MlflowModelLocalFileSystemDataset
from .signature import guessed

if TYPE_CHECKING:
    from mlflow.models.model import ModelInfo

_REGISTERED = "registered_model_name"
_OF_LOG_MODEL = {  # arguments that ``mlflow.pyfunc.save_model`` does not have
    "name",
    "artifact_path",
    _REGISTERED,
    "await_registration_for",
    "params",
    "tags",
    "model_type",
    "step",
    "model_id",
    "prompts",
}


class MlflowModelTrackingDataset(MlflowDataset):
    """A model of any MLflow flavour, logged to the run.

    Args:
        flavor: module of the flavour, for example ``mlflow.sklearn``.
        pyfunc_workflow: for the flavour ``mlflow.pyfunc``, what a saved model is:
            ``python_model`` (default) or ``loader_module``.
        load_args: keyword arguments for the flavour's ``load_model``. With
            ``model_uri`` it loads that model, and cannot save one.
        save_args: keyword arguments for its ``log_model``, such as ``name``,
            ``signature``, ``input_example`` or ``registered_model_name``. Without
            requirements among them, the model gets those of the project, as installed.
        metadata: anything; Kedro ignores it.
        run_id: a run to load the model from; it cannot save one then.
        artifact_path: the model's name if ``save_args`` have none. None for the name in
            the catalog, with ``_`` for characters that MLflow forbids.

    Raises:
        DatasetError: the workflow is unknown.

    Example in the catalog::

        classifier:
          type: <package>.tracking.MlflowModelTrackingDataset
          flavor: mlflow.sklearn
          save_args:
            name: classifier

    Example in Python::

        import mlflow
        from sklearn.linear_model import LinearRegression
        from <package>.tracking import MlflowModelTrackingDataset

        model = MlflowModelTrackingDataset("mlflow.sklearn", save_args={"name": "line"})
        with mlflow.start_run():
            model.save(LinearRegression().fit([[1.0], [2.0]], [2.0, 4.0]))
            assert round(model.load().predict([[3.0]])[0]) == 6
    """

    def __init__(
        self,
        flavor: str,
        pyfunc_workflow: str | None = None,
        load_args: dict[str, Any] | None = None,
        save_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        run_id: str | None = None,
        artifact_path: str | None = None,
    ) -> None:
        self._flavor = Flavor(flavor, pyfunc_workflow)
        self._load_args = dict(load_args or {})
        self._model_uri: str | None = self._load_args.pop("model_uri", None)
        self._save_args = save_args or {}
        self._run_id = run_id
        self.artifact_path = artifact_path
        self.model_info: ModelInfo | None = None  # of the last save
        self.options: RecordOptions | None = None  # of the run under way
        self._model_id: str | None = None
        self._taken: Sequence[Any] = ()
        self.metadata = metadata

    def save(self, data: Any) -> None:
        """Log the model to the active run.

        Raises:
            DatasetError: it has a ``run_id`` or ``model_uri``.
        """
        if self.is_stored:
            raise DatasetError(
                f"{self._title} has a run_id or model_uri, and so only loads. Leave it "
                "out to log a model to the run under way."
            )
        showing = progress(f"Logging the model '{self._model}' …")
        with self._active_run(self._model), showing:
            from mlflow.exceptions import MlflowException

            try:
                self._log(data)
            except (MlflowException, ServerAway, OSError) as error:
                # The server went away meanwhile: log the model to the outbox instead.
                if self._handle is None or is_refusal(error):
                    raise
                with self._handle.outbox.assumed_away():
                    self._log(data)
            finally:
                self._taken = ()

    def _log(self, data: Any) -> None:
        outbox = self._handle.outbox if self._handle else None
        if outbox is None:
            self._write(data, self._save_args)
        elif not outbox.is_away:
            is_registered = self._save_args.get(_REGISTERED)
            with outbox.without_local_models() if is_registered else nullcontext():
                self._write(data, self._save_args)
        else:  # nobody can register a version while the server is away
            args = {k: v for k, v in self._save_args.items() if k != _REGISTERED}
            self._write(data, args)
            if self.model_info and (name := self._save_args.get(_REGISTERED)):
                outbox.register(self.model_info.run_id, self.model_info.model_id, name)
        self._model_id = getattr(self.model_info, "model_id", None)
        if self._handle and outbox and self._model_id:
            run_id = self._handle.run.info.run_id
            outbox.note(run_id, "model", name=self.name, model_id=self._model_id)

    def _write(self, data: Any, args: dict[str, Any]) -> None:
        """Log the model, with the signature that its training suggests."""
        guess = self._guess(data)
        try:
            self.model_info = self._flavor.log(data, self._model, {**args, **guess})
        except Exception as error:
            if not guess or not is_hopeless(error):
                raise
            self.model_info = self._flavor.log(data, self._model, args)

    def _guess(self, data: Any) -> dict[str, Any]:
        is_declared = self._save_args.keys() & {"signature", "input_example"}
        options, taken = self.options, self._taken
        if is_declared or options is None or not options.signature:
            return {}
        return guessed(self._flavor.module, data, taken, options.input_example)

    def trained_on(self, taken: Sequence[Any]) -> None:
        """Set what the node that is about to make the model takes, for its signature."""
        self._taken = taken

    def log(self, data: Any) -> Any:
        """Log the model, by ``save_args`` alone; returns MLflow's ModelInfo."""
        return self._flavor.log(data, self._model, self._save_args)

    def add_save_args(self, **save_args: Any) -> None:
        """Add arguments for the flavour's ``log_model``."""
        self._save_args = {**self._save_args, **save_args}

    def load(self) -> Any:
        """Load the model of the run, or of ``model_uri``."""
        if self._model_uri:
            with self._explained(self._model_uri):
                uri = self._prefetched or self._model_uri
                return self._flavor.load(uri, self._load_args)
        with self._active_run(self._model) as run_id:
            uri = self._prefetched or self._uri(run_id)
            return self._flavor.load(uri, self._load_args)

    def untrack(self, name: str, catalog: "CatalogProtocol[Any, Any]") -> None:
        """Keep the model in memory, for an untracked run.

        A model of ``mlflow.pyfunc`` is saved to a folder instead, since MLflow loads
        another object than it saves. The folder is deleted with the catalog.
        """
        if self._flavor.module != "mlflow.pyfunc":
            super().untrack(name, catalog)
            return
        folder = mkdtemp(prefix="kedro-mlflow-")
        weakref.finalize(catalog, shutil.rmtree, folder, ignore_errors=True)
        local = MlflowModelLocalFileSystemDataset(
            f"{folder}/model",
            self._flavor.module,
            self._flavor.pyfunc_workflow,
            self._load_args,
            {k: v for k, v in self._save_args.items() if k not in _OF_LOG_MODEL},
        )
        replace(catalog, name, local)

    @property
    def model_id(self) -> str | None:
        """The id of the model that was saved or loaded last, in any process of the run."""
        if self._model_id is None and self._handle:
            for note in self._handle.outbox.notes("model"):
                if note["name"] == self.name:
                    self._model_id = note["model_id"]
        return self._model_id

    @property
    def is_stored(self) -> bool:
        """Whether it loads a model from before this run."""
        return bool(self._run_id or self._model_uri)

    @property
    def _model(self) -> str:
        name = self._save_args.get("name") or self._save_args.get("artifact_path")
        return (
            name
            or self.artifact_path
            or re.sub("""[/:.%"']""", "_", self.name or "model")
        )

    def _read(self) -> str:
        return self._downloaded(self._model_uri or self._uri(str(self.run_id)))

    def _uri(self, run_id: str) -> str:
        """Return the URI of the run's newest model of that name, by the model's id.

        For a ``runs:/`` URI, MLflow looks for a file of that name first, which a server
        of MLflow 3.10 does not answer for minutes. It is left for models of MLflow 2.
        """
        client = self._client()
        outbox = self._handle.outbox if self._handle else None
        if outbox and (local := outbox.local_model_id(self._model)):
            return f"models:/{local}"
        with self._explained(self._model, run_id):
            experiment = client.get_run(run_id).info.experiment_id
            found = client.search_logged_models([experiment], f"name = '{self._model}'")
        ids = [model.model_id for model in found if model.source_run_id == run_id]
        return f"models:/{ids[0]}" if ids else f"runs:/{run_id}/{self._model}"

    def _describe(self) -> dict[str, Any]:
        return {
            "flavor": self._flavor.module,
            "pyfunc_workflow": self._flavor.pyfunc_workflow,
            "name": self._model,
            "run_id": self._run_id,
            "model_uri": self._model_uri,
        }
