"""What the catalog's MLflow datasets have in common."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset, CatalogProtocol, DataCatalog, DatasetError

from ..outbox.folder import known_id
from ..redaction import shows_secret, without_secrets
from ..terminal.log_filters import without

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from ..run.handle import RunHandle


class MlflowDataset(AbstractDataset[Any, Any]):
    """A dataset whose data live in an MLflow run."""

    name: str | None = None  # in the catalog
    _handle: "RunHandle | None" = None
    _server: Callable[[], AbstractContextManager[object]] = nullcontext
    _run_id: str | None = None
    _saves_to_run: bool = False  # to that of ``run_id``
    _prefetched: Any = None
    _downloads: tuple[TemporaryDirectory[str], ...] = ()

    def connect(
        self, name: str, server: Callable[[], AbstractContextManager[object]]
    ) -> None:
        """Set the catalog name, and the server to use outside of a run."""
        self.name = name
        self._server = server

    def bind(self, name: str, handle: "RunHandle") -> None:
        """Set the catalog name, and the MLflow run of the Kedro run."""
        self.name = name
        self._handle = handle

    @property
    def run_id(self) -> str | None:
        """The run that was set, or else the active run, as in kedro-mlflow."""
        import mlflow

        if self._run_id:
            folder = self._handle.outbox.folder if self._handle else None
            return known_id(self._run_id, folder and folder.parent)
        active = self._handle.run if self._handle else mlflow.active_run()
        return active.info.run_id if active else None

    @run_id.setter
    def run_id(self, run_id: str | None) -> None:
        self._run_id = run_id
        self._saves_to_run = True  # whoever sets it in code knows

    def _refuse_other_run(self) -> None:
        """Refuse to save to an earlier run, unless the catalog asks for it.

        Raises:
            DatasetError: it has a ``run_id`` and no ``save_to_run``.
        """
        is_mine = bool(self._handle and self._handle.run.info.run_id == self._run_id)
        if self._run_id and not (self._saves_to_run or is_mine):
            raise DatasetError(
                f"{self._title} has the run_id {self._run_id}, and so only loads. Leave "
                "it out to log to the run under way, or set 'save_to_run: true' to "
                "change that run."
            )

    def untrack(self, name: str, catalog: "CatalogProtocol[Any, Any]") -> None:
        """Keep the data in memory, for an untracked run."""
        replace(catalog, name, _in_memory(catalog, name))

    @property
    def is_stored(self) -> bool:
        """Whether it loads data from before this run, and so needs a server."""
        return self._run_id is not None

    def prefetch(self, name: str) -> None:
        """Read the data from the server, before an untracked run loads them.

        Raises:
            DatasetError: they do not exist.
        """
        self.name = name
        self._prefetched = self._read()

    def _read(self) -> Any:
        """Return what ``load`` needs from the server, in a form that can be pickled."""
        raise NotImplementedError

    @contextmanager
    def _active_run(self, path: str) -> Iterator[str]:
        """Yield the id of the run to use; the run is active in this thread meanwhile.

        Args:
            path: what is saved to the run or loaded from it, for errors.

        Raises:
            DatasetError: there is no run, or MLflow fails. The message names the
                dataset, the run and the path.
        """
        import mlflow

        active, run_id = mlflow.active_run(), self.run_id
        if run_id is None:
            raise DatasetError(
                f"{self._title} has no run to save '{path}' to or load it from. Give it "
                "a run_id, or use it within 'kedro run' or mlflow.start_run()."
            )
        with self._explained(path, run_id):
            if self._handle and active is None:
                self._handle.attach()
                try:
                    yield run_id
                finally:
                    self._handle.detach()
            else:
                yield run_id

    def _client(self) -> "MlflowClient":
        """Return a client of the run's server; outside of a run, of the process's."""
        from mlflow import MlflowClient

        return self._handle.client() if self._handle else MlflowClient()

    @contextmanager
    def _explained(self, path: str, run_id: str | None = None) -> Iterator[None]:
        where = f"'{path}' in the run {run_id}" if run_id else f"'{path}'"
        try:
            with self._server():
                yield
        except DatasetError:
            raise
        except Exception as error:  # of MLflow, of a flavour, of the network
            message = without_secrets(f"{self._title}: {where}: {error}")
            raise DatasetError(message) from (None if shows_secret(error) else error)

    @property
    def _title(self) -> str:
        kind = type(self).__name__
        return f"{kind} '{self.name}'" if self.name else kind

    def _downloaded(self, uri: str) -> str:
        """Return the local path of an artifact or model, valid until ``release``."""
        from mlflow.artifacts import download_artifacts

        folder = TemporaryDirectory(prefix="kedro-mlflow-")
        self._downloads = (*self._downloads, folder)
        with self._explained(uri):
            return download_artifacts(uri, dst_path=folder.name)

    def _release(self) -> None:
        if self._prefetched is None:
            for folder in self._downloads:
                folder.cleanup()
            self._downloads = ()

    def __getstate__(self) -> dict[str, Any]:
        state = {**self.__dict__, "_downloads": ()}  # a copy must not delete them
        state.pop("_server", None)
        return state


def _in_memory(
    catalog: "CatalogProtocol[Any, Any]", name: str
) -> "AbstractDataset[Any, Any]":
    """Return the dataset that this catalog creates for an undeclared name."""
    kind = type(catalog) if isinstance(catalog, DataCatalog) else DataCatalog
    return AbstractDataset.from_config(
        name, dict(kind.default_runtime_patterns["{default}"])
    )


def replace(
    catalog: "CatalogProtocol[Any, Any]",
    name: str,
    dataset: "AbstractDataset[Any, Any]",
) -> None:
    """Replace a dataset of the catalog, without Kedro's warning.

    The entry keeps its validator, which Kedro would drop with the dataset.
    """
    # Private, of Kedro 1.6 to 1.7; the public validator_specs is a copy.
    validators: dict[str, Any] = getattr(catalog, "_validator_specs", {})
    validator = validators.get(name)
    with without("kedro.io.data_catalog", "Replacing dataset"):  # intended here
        catalog[name] = dataset
    if validator is not None:
        validators[name] = validator
