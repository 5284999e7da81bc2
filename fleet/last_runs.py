"""The version of the template with which each project last ran, from the tracking server.

MLflow is an extra of this package, imported only when ``fleet.yml`` has ``tracking_uri``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from .errors import FleetError
from .facts import Facts, Project
from .forge import path_of

NEWEST = 50
"""Runs of a project's name that are looked at: other repositories may have it too."""


@dataclass(frozen=True)
class LastRun:
    """The last run of a project.

    Attributes:
        version: the template's version that it had; empty when it states none.
        edited: whether files of the template were edited.
        date: the day on which it started, in UTC.
    """

    version: str
    edited: bool
    date: str

    def __str__(self) -> str:
        """Return it for people."""
        edited = ", edited" if self.edited else ""
        return f"{self.version or 'no version'}{edited}, {self.date}"


def last_runs(tracking_uri: str, found: Sequence[Facts]) -> dict[Project, LastRun]:
    """Ask the tracking server for the last run of each project.

    A run belongs to a project when it has the name of its distribution, and its
    repository, where the run states one.

    Raises:
        FleetError: MLflow is not installed, or the server does not answer.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    try:
        import mlflow
    except ImportError as error:
        raise FleetError(
            "tracking_uri needs MLflow: write [mlflow] behind the name of the package, or "
            "run uvx --with mlflow-skinny --from <address> kedro-mlflow-fleet."
        ) from error
    mlflow.set_tracking_uri(tracking_uri)
    client = mlflow.MlflowClient()
    try:
        experiments = [each.experiment_id for each in mlflow.search_experiments()]
        runs = {fact.project: _last_run(client, experiments, fact) for fact in found}
    except Exception as error:  # MLflow's, of the network or the database
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise FleetError(
            f"The last runs are unknown: {tracking_uri}: {said[0]}"
        ) from error
    return {project: run for project, run in runs.items() if run}


def _last_run(client: Any, experiments: list[str], fact: Facts) -> LastRun | None:
    if not (fact.slug and experiments):
        return None
    runs = client.search_runs(
        experiments,
        filter_string=f"tags.`template.project` = '{fact.slug}'",
        order_by=["attributes.start_time DESC"],
        max_results=NEWEST,
    )
    for run in runs:
        tags = run.data.tags
        repository = tags.get("mlflow.source.git.repoURL")
        if not repository or path_of(repository) == path_of(fact.project.repository):
            day = datetime.fromtimestamp(run.info.start_time / 1000, timezone.utc)
            version = tags.get("template.version", "")
            return LastRun(version, "template.edited" in tags, f"{day:%Y-%m-%d}")
    return None
