"""The catalog's MLflow datasets, and how they are connected to a run."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from kedro.io import CachedDataset, CatalogProtocol
from kedro.io.core import is_parameter
from kedro.pipeline import Pipeline

from .base import MlflowDataset

if TYPE_CHECKING:
    from kedro.pipeline.node import Node

    from ..run.handle import RunHandle


def connect(
    catalog: "CatalogProtocol[Any, Any]",
    server: Callable[[], AbstractContextManager[object]],
) -> None:
    """Set the name and server of a catalog's MLflow datasets, outside of a run.

    Args:
        catalog: the catalog. It creates a dataset, also one of a pattern, on first use.
        server: connects to the server while a dataset is used outside of a run.
    """
    get = catalog.get

    def connected(*args: Any, **kwargs: Any) -> Any:
        dataset = get(*args, **kwargs)
        if isinstance(inner := inner_dataset(dataset), MlflowDataset):
            inner.connect(args[0] if args else kwargs["key"], server)
        return dataset

    setattr(catalog, "get", connected)  # noqa: B010  # mypy allows no assignment


def bind(
    pipeline: Pipeline, catalog: "CatalogProtocol[Any, Any]", handle: "RunHandle"
) -> None:
    """Set the catalog name and the run of a pipeline's MLflow datasets."""
    for name, dataset in _mlflow_datasets(pipeline, catalog):
        dataset.bind(name, handle)


def trained_on(
    node: "Node", catalog: "CatalogProtocol[Any, Any]", inputs: Mapping[str, Any]
) -> None:
    """Show a node's models what it has loaded, for their signature."""
    for name in node.outputs:
        dataset = inner_dataset(catalog.get(name) if name in catalog else None)
        if show := getattr(dataset, "trained_on", None):
            show([data for key, data in inputs.items() if not is_parameter(key)])


def untrack(
    pipeline: Pipeline,
    catalog: "CatalogProtocol[Any, Any]",
    server: Callable[[], AbstractContextManager[object]],
) -> None:
    """Replace the MLflow datasets of a pipeline by what it needs without MLflow.

    Args:
        pipeline: the pipeline that runs.
        catalog: its catalog, which is changed.
        server: connects to the server, to fetch inputs that are stored in MLflow. Not
            called if there are none.

    Raises:
        DatasetError: such an input does not exist.
    """
    inputs = pipeline.inputs()
    stored = []
    for name, dataset in _mlflow_datasets(pipeline, catalog):
        if dataset.is_stored and name in inputs:
            stored.append((name, dataset))
        else:
            dataset.untrack(name, catalog)
    if stored:
        with server():
            for name, dataset in stored:
                dataset.prefetch(name)


def _mlflow_datasets(
    pipeline: Pipeline, catalog: "CatalogProtocol[Any, Any]"
) -> list[tuple[str, MlflowDataset]]:
    found = []
    for name in pipeline.datasets():
        dataset = inner_dataset(catalog.get(name) if name in catalog else None)
        if isinstance(dataset, MlflowDataset):
            found.append((name, dataset))
    return found


def inner_dataset(dataset: Any) -> Any:
    """Return the dataset inside a cached one, or the dataset itself."""
    if isinstance(dataset, CachedDataset):
        return dataset._dataset  # private, seen in Kedro 1.2 to 1.7
    return dataset
