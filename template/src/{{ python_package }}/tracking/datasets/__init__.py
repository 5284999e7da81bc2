"""The catalog's MLflow datasets, and how a run takes hold of them."""

from typing import TYPE_CHECKING

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from .base import MlflowDataset

if TYPE_CHECKING:
    from ..run import Attachment


def bind(
    pipeline: Pipeline, catalog: CatalogProtocol, attachment: "Attachment"
) -> None:
    """Tell the MLflow datasets of a pipeline their catalog name and their run."""
    for name, dataset in _mlflow_datasets(pipeline, catalog):
        dataset.bind(name, attachment)


def untrack(pipeline: Pipeline, catalog: CatalogProtocol) -> None:
    """Put what a pipeline needs without MLflow in the place of its MLflow datasets."""
    for name, dataset in _mlflow_datasets(pipeline, catalog):
        dataset.untrack(name, catalog)


def _mlflow_datasets(
    pipeline: Pipeline, catalog: CatalogProtocol
) -> list[tuple[str, MlflowDataset]]:
    datasets = [
        (name, catalog.get(name)) for name in pipeline.datasets() if name in catalog
    ]
    return [(name, ds) for name, ds in datasets if isinstance(ds, MlflowDataset)]
