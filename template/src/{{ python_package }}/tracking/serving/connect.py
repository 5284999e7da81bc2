"""Connect the models of pipelines with the catalog of a run."""

import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from kedro.io import CatalogProtocol
from kedro.pipeline import Node, Pipeline

from ..datasets import inner_dataset
from ..datasets.models import MlflowModelTrackingDataset
from ..errors import TrackingError
from .artifacts import is_stored
from .model import PACKAGE
from .node import Packing


def refuse_unservable(pipeline: Pipeline, catalog: "CatalogProtocol[Any, Any]") -> None:
    """Check before a run that its models can be saved.

    Raises:
        TrackingError: the catalog has no entry for a model, or no file for what it needs.
    """
    for node, packing in models(pipeline):
        title = f"pipeline_model '{node.name}'"
        name, dataset = node.outputs[0], _dataset(catalog, node.outputs[0])
        if not _holds_pipelines(dataset):
            raise TrackingError(
                f"{title}: its output '{name}' is an entry of the catalog with type: "
                f"{__package__.removesuffix('.serving')}.MlflowModelTrackingDataset and "
                f"flavor: {__package__}; found {_kind(dataset)}."
            )
        brought = {PACKAGE, *map(_stem, dataset._save_args.get("code_paths", ()))}
        for what, thing in packing.code:
            module = thing.__module__.partition(".")[0]
            if module not in brought and not _is_installed(module):
                raise TrackingError(
                    f"{title}: {what} is in the module '{module}', which is neither part of {PACKAGE} nor of an installed "
                    f"package. Move it, or add its path to code_paths in the save_args of "
                    f"'{name}'."
                )
        for parameter in set(packing.inputs[1:]) - set(packing.artifacts):
            if parameter not in catalog:
                raise TrackingError(
                    f"{title}: the model needs a default for '{parameter}'. Add it to the "
                    "parameters in conf/base."
                )
        for needed in packing.artifacts:
            if not is_stored(found := _dataset(catalog, needed)):
                raise TrackingError(
                    f"{title}: the model needs '{needed}', which is in no file, but "
                    f"{_kind(found)}. Add it to the catalog, as a model or with a filepath; "
                    f"if a request brings it, make it part of '{packing.inputs[0]}'."
                )


def connect(
    pipeline: Pipeline, catalog: "CatalogProtocol[Any, Any]", is_new: bool
) -> None:
    """Tell the models of a pipeline where their artifacts are.

    Args:
        pipeline: the pipeline that runs.
        catalog: its catalog.
        is_new: whether the run holds nothing of an earlier one, such as the tasks of an
            orchestrator. Then a model of which this pipeline makes no artifact is not
            saved again.
    """
    made = pipeline.all_outputs()
    for node, packing in models(pipeline):
        artifacts = packing.artifacts
        _dataset(catalog, node.outputs[0]).add_save_args(
            datasets={name: _dataset(catalog, name) for name in artifacts},
            is_trained=not (is_new and artifacts and made.isdisjoint(artifacts)),
        )


def models(pipeline: Pipeline) -> Iterator[tuple[Node, Packing]]:
    """Yield the nodes of a pipeline that make a model of one."""
    for node in pipeline.nodes:
        if isinstance(node.func, Packing):
            yield node, node.func


def _stem(path: str) -> str:
    return Path(path).stem


def _is_installed(module: str) -> bool:
    if module in sys.stdlib_module_names:
        return True
    return module in metadata.packages_distributions()


def _dataset(catalog: "CatalogProtocol[Any, Any]", name: str) -> Any:
    return inner_dataset(catalog.get(name))


def _kind(dataset: Any) -> str:
    return f"a {type(dataset).__name__}" if dataset else "a MemoryDataset"


def _holds_pipelines(dataset: Any) -> bool:
    return (
        isinstance(dataset, MlflowModelTrackingDataset)
        and dataset._flavor.module == __package__
    )
