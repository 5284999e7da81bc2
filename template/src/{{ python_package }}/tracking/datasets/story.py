"""What a pipeline and its catalog tell before they run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from ..config.options import RecordOptions
from ..run.source import git_source
from ..run.story import Story
from .inputs import external_inputs
from .lineage import Lineage


def story(
    pipeline: Pipeline,
    catalog: "CatalogProtocol[Any, Any]",
    options: RecordOptions,
    run_params: Mapping[str, Any],
    project_path: Path,
) -> Story:
    """Return what a run will record of itself; nothing is loaded for it.

    Args:
        pipeline: the pipeline that runs.
        catalog: its catalog, whose metrics get to know their models.
        options: ``tracking.record``.
        run_params: what Kedro passes to its hooks about the run.
        project_path: the project's root.

    Raises:
        TrackingError: a metric of the catalog names a model that is not there.
    """
    source, lineage = git_source(project_path), Lineage(pipeline, catalog)
    words = (pipeline, catalog, lineage, options, source, project_path)
    inputs = external_inputs(*words)
    lineage.relate(inputs, options)
    checked = _validated(pipeline, catalog)
    return Story(options, run_params, pipeline, inputs, checked, source, project_path)


def _validated(
    pipeline: Pipeline, catalog: "CatalogProtocol[Any, Any]"
) -> frozenset[str]:
    """Return the datasets whose validator stops the run if it fails.

    Kedro has validators since 1.6. One that only warns does so in the log.
    """
    specs: Mapping[str, Any] = getattr(catalog, "validator_specs", {})
    return frozenset(
        name
        for name, spec in specs.items()
        if name in pipeline.datasets() and spec.enabled and spec.severity == "error"
    )
