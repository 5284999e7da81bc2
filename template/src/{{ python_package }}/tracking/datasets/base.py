"""What the catalog's MLflow datasets have in common."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset, CatalogProtocol, DataCatalog, DatasetError

if TYPE_CHECKING:
    from ..run import Attachment


class MlflowDataset(AbstractDataset[Any, Any]):
    """A dataset whose data live in an MLflow run."""

    _name: str | None = None
    _attachment: "Attachment | None" = None
    _run_id: str | None = None

    def bind(self, name: str, attachment: "Attachment") -> None:
        """Take the catalog name, and the run that a Kedro run has started."""
        self._name = name
        self._attachment = attachment

    def untrack(self, name: str, catalog: CatalogProtocol) -> None:
        """Let an untracked run keep the data to itself, in memory.

        A dataset with a ``run_id`` stays: what it loads is an input of the pipeline.
        """
        if self._run_id is None:
            _replace(catalog, name, _in_memory(catalog, name))

    @contextmanager
    def _active_run(self) -> Iterator[str]:
        """Give the id of the run to log to, which is active in this thread meanwhile.

        Raises:
            DatasetError: there is no run: no ``run_id`` and nothing is being tracked.
        """
        import mlflow

        active = mlflow.active_run()
        if self._run_id:
            yield self._run_id
        elif self._attachment is None:
            if active is None:
                raise DatasetError(
                    f"{type(self).__name__} '{self._name or '(no name)'}' has no run to log "
                    "to or load from. Give it a run_id, or use it within 'kedro run'."
                )
            yield active.info.run_id
        elif active is None:
            self._attachment.attach()
            try:
                yield self._attachment.run.info.run_id
            finally:
                self._attachment.detach()
        else:
            yield self._attachment.run.info.run_id


def _in_memory(catalog: CatalogProtocol, name: str) -> AbstractDataset:
    """The dataset that this catalog makes of a name that nobody has declared."""
    kind = type(catalog) if isinstance(catalog, DataCatalog) else DataCatalog
    return AbstractDataset.from_config(
        name, dict(kind.default_runtime_patterns["{default}"])
    )


def _replace(catalog: CatalogProtocol, name: str, dataset: AbstractDataset) -> None:
    logger = logging.getLogger("kedro.io.data_catalog")
    level = logger.level
    logger.setLevel(logging.ERROR)  # "Replacing dataset" is what is meant here
    try:
        catalog[name] = dataset
    finally:
        logger.setLevel(level)
