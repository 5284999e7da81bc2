"""Find, create or restore the experiment of a run."""

from pathlib import Path
from typing import TYPE_CHECKING

from kedro.framework.context import KedroContext

from ..config.loading import key_location
from ..config.options import ExperimentOptions
from ..errors import TrackingError
from ..redaction import without_secrets
from ..server.uris import anchor

if TYPE_CHECKING:
    from mlflow import MlflowClient


def experiment_name(options: ExperimentOptions, context: KedroContext) -> str:
    """Return the name that ``mlflow.yml`` sets, or else the Python package's."""
    return options.name or context._package_name


def experiment_id(
    client: "MlflowClient",
    options: ExperimentOptions,
    context: KedroContext,
    artifact_root: Path | None,
) -> str:
    """Return the id of the experiment; create or restore it if ``mlflow.yml`` allows.

    Args:
        client: a client of the tracking server; one request, two for a new experiment.
        options: ``tracking.experiment`` of ``mlflow.yml``.
        context: the run's; a relative ``artifact_location`` is relative to its project.
        artifact_root: where artifacts go without an ``artifact_location``; None lets
            the server decide.

    Raises:
        TrackingError: it does not exist or is deleted, and may not be created or
            restored.
    """
    from mlflow.exceptions import MlflowException

    name = experiment_name(options, context)
    address = without_secrets(client.tracking_uri)
    found = client.get_experiment_by_name(name)
    if found is None:
        if not options.create:
            raise TrackingError(
                f"{key_location('tracking.experiment.create', context.config_loader)} is false, "
                f"and the experiment '{name}' does not exist. Set it to true, or make it "
                f"with: MLFLOW_TRACKING_URI={address} mlflow experiments create "
                f'--experiment-name "{name}"'
            )
        kwargs = options.create_experiment_kwargs
        location = kwargs.artifact_location
        if location is not None:
            location = anchor(location, context.project_path)
        elif artifact_root is not None:
            location = (artifact_root / _folder_name(name)).as_uri()
        try:
            return client.create_experiment(name, location, kwargs.tags)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            made = client.get_experiment_by_name(name)  # by another run, meanwhile
            return made.experiment_id  # type: ignore[union-attr]
    if found.lifecycle_stage == "deleted":
        if not options.restore_if_deleted:
            raise TrackingError(
                f"{key_location('tracking.experiment.restore_if_deleted', context.config_loader)} "
                f"is false, and the experiment '{name}' was deleted. Set it to true, choose "
                "another tracking.experiment.name, or restore it with: "
                f"MLFLOW_TRACKING_URI={address} mlflow experiments restore "
                f"--experiment-id {found.experiment_id}"
            )
        client.restore_experiment(found.experiment_id)
    return found.experiment_id


def _folder_name(experiment: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in experiment)
