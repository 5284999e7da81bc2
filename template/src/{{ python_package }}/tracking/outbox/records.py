"""MLflow's entities as records of the journal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .folder import is_local
from .journal import Record

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, LoggedModelInput, Metric, Param, RunTag

_OPTIONAL = ("model_id", "dataset_name", "dataset_digest")  # of a metric


def batch_records(
    run_id: str,
    metrics: "Sequence[Metric]" = (),
    params: "Sequence[Param]" = (),
    tags: "Sequence[RunTag]" = (),
    source: str = "",
) -> list[Record]:
    """Return the records of metrics, parameters and tags.

    Raises:
        MlflowException: MLflow takes one of them under no circumstances.
    """
    from mlflow.utils.validation import _validate_batch_log_data

    metrics, params, tags = _validate_batch_log_data(metrics, params, tags)
    found = [("metric", _metric(metric)) for metric in metrics]
    found += [("param", {"key": p.key, "value": str(p.value)}) for p in params]
    found += [("tag", {"key": tag.key, "value": str(tag.value)}) for tag in tags]
    return [Record(run_id, kind, data, source) for kind, data in found]


def inputs_record(
    run_id: str,
    datasets: "Sequence[DatasetInput]",
    models: "Sequence[LoggedModelInput]",
) -> Record:
    """Return the record of a run's inputs."""
    found = [
        {
            "dataset": dict(each.dataset),
            "tags": [(tag.key, tag.value) for tag in each.tags],
        }
        for each in datasets
    ]
    data = {"datasets": found, "models": [model.model_id for model in models]}
    return Record(run_id, "inputs", data)


def info_record(
    run_id: str, status: str | None, end_time: int | None, name: str | None = None
) -> Record:
    """Return the record of a run's status, end in milliseconds since 1970, and name."""
    data = {"status": status, "end_time": end_time, "name": name}
    return Record(run_id, "info", data)


def file_record(
    run_id: str,
    copy: Path,
    outbox: Path,
    artifact_path: str,
    source: str = "",
    is_optional: bool = False,
) -> Record:
    """Return the record of an artifact.

    Args:
        run_id: the run.
        copy: its copy in the outbox.
        outbox: the folder of the outbox.
        artifact_path: its name in the run's artifacts, with its folders.
        source: the dataset that has saved it, for errors.
        is_optional: whether the run is complete without it.
    """
    file = copy.relative_to(outbox).as_posix()
    data = {"path": artifact_path, "file": file, "is_optional": is_optional}
    if not is_local(run_id):  # a later file takes the place of a local one
        data["size"] = copy.stat().st_size
    return Record(run_id, "file", data, source)


def run_record(
    run_id: str,
    experiment_id: str | None,
    experiment: str,
    start_time: int,
    tags: Mapping[str, str],
    name: str | None,
    user_id: str,
) -> Record:
    """Return the record of a new run.

    Args:
        run_id: its local id.
        experiment_id: the server's id of its experiment; None to find it by its name.
        experiment: the name.
        start_time: in milliseconds since 1970.
        tags: its tags.
        name: its own name.
        user_id: its user.
    """
    data = {
        "experiment_id": experiment_id,
        "experiment": experiment,
        "start_time": start_time,
        "tags": dict(tags),
        "name": name,
        "user_id": user_id,
    }
    return Record(run_id, "run", data)


def _metric(metric: "Metric") -> dict[str, Any]:
    data = {
        "key": metric.key,
        "value": float(metric.value),
        "timestamp": int(metric.timestamp),
        "step": int(metric.step or 0),
    }
    more = {name: getattr(metric, name, None) for name in _OPTIONAL}
    return {
        **data,
        **{name: value for name, value in more.items() if value is not None},
    }
