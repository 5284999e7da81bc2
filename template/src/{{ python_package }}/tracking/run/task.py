"""A task of a workflow: a Kedro run that joins an MLflow run by a key, and reports to it."""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from kedro.framework.context import KedroContext

from ..config.loading import environment, mlflow_config
from ..config.options import RunOptions
from ..errors import TrackingError
from ..outbox.delivery import find_runs
from ..outbox.folder import RUN_KEY, TASK, this_host
from ..redaction import without_secrets
from ..server.connection import Connection
from .experiment import experiment_name

if TYPE_CHECKING:
    from mlflow.entities import Run

_LONGEST = 4000  # characters of nodes in a tag; some servers take 5000 of all


class Report(NamedTuple):
    """What a task has reported about a node.

    Attributes:
        status: RUNNING, FINISHED, FAILED or KILLED.
        at: when, in milliseconds since 1970.
        host: the machine.
        attempt: which attempt of the task, from 1.
    """

    status: str
    at: int
    host: str
    attempt: int


class Task:
    """The nodes of a Kedro run, as a part of a workflow.

    A task is known by the names of its nodes, so a retry replaces the report of the
    attempt before it, on whichever machine.

    Args:
        nodes: their names.
    """

    def __init__(self, nodes: Iterable[str]) -> None:
        self._parts = {_digest(part): part for part in _parts(sorted(nodes))}
        self.id = _digest(sorted(nodes))
        self.attempt = 1

    def begin(self, run: "Run") -> None:
        """Count the attempts that the run knows."""
        tag = run.data.tags.get(TASK + next(iter(self._parts)))
        self.attempt = json.loads(tag)["attempt"] + 1 if tag else 1

    def report(self, status: str) -> dict[str, str]:
        """Return tags with a status: one, or more if one cannot hold all nodes."""
        report = Report(status, int(1000 * time.time()), this_host(), self.attempt)
        return {
            TASK + name: json.dumps({**report._asdict(), "nodes": nodes})
            for name, nodes in self._parts.items()
        }


def reports(tags: Mapping[str, str]) -> dict[str, Report]:
    """Return the last report about each node, from the tags of a run."""
    found: dict[str, Report] = {}
    for name, value in tags.items():
        if name.startswith(TASK):
            data = json.loads(value)
            nodes, report = data.pop("nodes"), Report(**data)
            for node in nodes:
                if node not in found or found[node].at <= report.at:
                    found[node] = report
    return found


def run_key(options: RunOptions) -> str | None:
    """Return ``KEDRO_MLFLOW_RUN_KEY``, or else ``tracking.run.key``.

    Raises:
        TrackingError: the key cannot be used, or ``tracking.run.id`` is set as well.
    """
    key = os.environ.get("KEDRO_MLFLOW_RUN_KEY") or options.key
    if not key:
        return None
    if "'" in key or len(key) > 250 or key != without_secrets(key):
        raise TrackingError(
            f"tracking.run.key, or the variable KEDRO_MLFLOW_RUN_KEY, is '{key[:250]}'; "
            "use at most 250 characters, with no ' and nothing that looks like a secret."
        )
    if options.id:
        raise TrackingError(
            f"mlflow.yml has tracking.run.id '{options.id}', and the run has the key "
            f"'{key}'. Remove one: the id continues a run in one process, the key joins "
            "a run from many."
        )
    return key


def runs_by_key(key: str, connection: Connection, context: KedroContext) -> "list[Run]":
    """Return the runs with a key in the experiment of ``mlflow.yml``: two requests.

    The oldest is the first. There are several while commands start one at the same moment.
    """
    from mlflow import MlflowClient

    name = experiment_name(mlflow_config(context).tracking.experiment, context)
    experiment = MlflowClient(connection.uri).get_experiment_by_name(name)
    if experiment is None or experiment.lifecycle_stage == "deleted":
        return []
    return find_runs(connection.uri, experiment.experiment_id, RUN_KEY, key)


def known_run(key: str, connection: Connection, context: KedroContext) -> "Run":
    """Return the run with a key.

    Raises:
        TrackingError: there is none.
    """
    found = runs_by_key(key, connection, context)
    if not found:
        name = experiment_name(mlflow_config(context).tracking.experiment, context)
        env = environment(context.config_loader)
        raise TrackingError(
            f"No run in the experiment '{name}' at {connection.safe_uri} has the key "
            f"'{key}'. Create it before the first task: KEDRO_MLFLOW_RUN_KEY='{key}' "
            f"kedro mlflow start --env {env}, with the --pipelines of the workflow"
        )
    return found[0]


def _digest(nodes: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(nodes).encode()).hexdigest()[:12]


def _parts(nodes: list[str]) -> Iterator[list[str]]:
    """Divide the names of nodes into lists that fit into a tag."""
    part: list[str] = []
    for node in nodes:
        if part and len(json.dumps([*part, node])) > _LONGEST:
            yield part
            part = []
        part.append(node)
    yield part
