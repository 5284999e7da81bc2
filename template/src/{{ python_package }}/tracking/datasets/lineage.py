"""Which model and which data a metric is about, as the pipeline says."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from ..config.options import RecordOptions
from ..errors import TrackingError, did_you_mean
from ..run.inputs import Input
from . import inner_dataset
from .metrics.subject import SubjectedDataset
from .models.tracking import MlflowModelTrackingDataset


class Lineage:
    """What the datasets of a pipeline are made of.

    Args:
        pipeline: the pipeline that runs.
        catalog: its catalog.
    """

    def __init__(
        self, pipeline: Pipeline, catalog: "CatalogProtocol[Any, Any]"
    ) -> None:
        self._pipeline, self._catalog = pipeline, catalog
        self._takes = {
            output: _plain(node.inputs)
            for node in pipeline.nodes
            for output in _plain(node.outputs)
        }

    def model_of(self, metric: str) -> str | None:
        """Return the one model that a metric depends on; None for none or several."""
        return _only(self.models & self._origins.get(metric, frozenset()))

    def data_of(self, metric: str, inputs: Iterable[str]) -> str | None:
        """Return the one dataset that a metric's node evaluates on, if it is clear.

        That is the only input from outside that the node loads, or else the only one
        that what it loads, apart from models, is made of.
        """
        names = {name.partition("@")[0]: name for name in inputs}
        taken = self._takes.get(metric, frozenset()) - self.models
        origins = [self._origins.get(name, frozenset()) for name in taken]
        near, far = taken & names.keys(), frozenset().union(*origins) & names.keys()
        found = _only(near or far)
        return names[found] if found else None

    def trains(self, name: str) -> bool:
        """Whether a model of this pipeline is made of a dataset."""
        plain = name.partition("@")[0]
        return any(plain in self._origins.get(model, ()) for model in self.models)

    def relate(self, inputs: Mapping[str, Input], options: RecordOptions) -> None:
        """Set what the metrics of the pipeline are about, and how models are logged.

        Args:
            inputs: what the pipeline loads from outside.
            options: ``tracking.record``.

        Raises:
            TrackingError: ``model`` of an entry names no model of the pipeline.
        """
        for name in self.models:
            inner_dataset(self._catalog.get(name)).options = options
        for name in self._takes if options.metric_models else ():
            if name not in self._catalog:
                continue
            dataset = inner_dataset(self._catalog.get(name))
            if isinstance(dataset, SubjectedDataset):
                if dataset.model and dataset.model not in self.models:
                    raise TrackingError(_unknown(name, dataset.model, self.models))
                model = dataset.model or self.model_of(name)
                data = self.data_of(name, inputs)
                dataset.about(
                    inner_dataset(self._catalog.get(model)) if model else None,
                    inputs[data] if data else None,
                )

    @cached_property
    def models(self) -> frozenset[str]:
        """The models of the run that the pipeline loads or saves."""
        return frozenset(
            name
            for name in self._pipeline.datasets()
            if name in self._catalog
            and isinstance(
                inner_dataset(self._catalog.get(name)), MlflowModelTrackingDataset
            )
        )

    @cached_property
    def _origins(self) -> dict[str, frozenset[str]]:
        """All datasets that each dataset of the pipeline is made of."""
        found: dict[str, frozenset[str]] = {}
        for node in self._pipeline.nodes:  # in the order of execution
            taken = _plain(node.inputs)
            before = taken.union(*(found.get(name, frozenset()) for name in taken))
            found.update(dict.fromkeys(_plain(node.outputs), before))
        return found


def _plain(names: Iterable[str]) -> frozenset[str]:
    """Return names without the part that says how a dataset is loaded: ``@pandas``."""
    return frozenset(name.partition("@")[0] for name in names)


def _unknown(name: str, model: str, models: Iterable[str]) -> str:
    known = ", ".join(sorted(models)) or "none"
    return (
        f"The catalog says that '{name}' is about the model '{model}', and the pipeline "
        f"has no such model{did_you_mean(model, models)}. Its models of the type "
        f"MlflowModelTrackingDataset: {known}."
    )


def _only(names: frozenset[str]) -> str | None:
    return next(iter(names)) if len(names) == 1 else None
