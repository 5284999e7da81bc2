"""Read a run from its journal, while its server is away."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .folder import about, artifacts_of_local_run, server_id
from .journal import Record, journals, read

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run

_NO_EXPERIMENT = "0"  # MLflow demands some id


def records(folder: Path) -> Iterator[Record]:
    """Yield all records of an outbox, those of one process after the other."""
    for file in journals(folder):
        for record, _ in read(file, 0):
            yield record


def notes(folder: Path, about: str) -> "Iterator[dict[str, Any]]":
    """Yield the notes about something, without parsing records of other kinds."""
    mark = json.dumps({"kind": "note", "data": {"about": about}})[1:-2].encode()
    for file in journals(folder):
        with file.open("rb") as lines:
            for line in lines:
                if mark in line and line.endswith(b"\n"):
                    yield json.loads(line)["data"]


def runs_in(folder: Path) -> "Iterator[Run]":
    """Yield the runs of an outbox, with what was logged here, its own first."""
    if known := known_run(folder):
        yield known
    yield from local_runs(folder)


def local_runs(folder: Path) -> "Iterator[Run]":
    """Yield the runs of an outbox that its server does not know yet."""
    for record in records(folder):
        if record.kind == "run" and server_id(folder, record.run_id) is None:
            artifacts = artifacts_of_local_run(folder, record.run_id).as_uri()
            yield current_run(folder, new_local_run(record, artifacts))


def known_run(folder: Path) -> "Run | None":
    """Return the run of an outbox, if its server knows it, with what was logged here."""
    from mlflow.entities import Run, RunData, RunInfo

    whose = about(folder)
    run_id = server_id(folder, whose.opening)
    if run_id is None:
        return None
    info = RunInfo(
        run_id,
        _NO_EXPERIMENT,
        "",
        "RUNNING",
        whose.start_time,
        None,
        "active",
        run_name=whose.name,
    )
    return current_run(folder, Run(info, RunData()))


def new_local_run(record: Record, artifact_uri: str) -> "Run":
    """Return the run of a record of the kind ``run``, as it began."""
    from mlflow.entities import Run, RunData, RunInfo, RunTag

    data = record.data
    info = RunInfo(
        record.run_id,
        data["experiment_id"] or _NO_EXPERIMENT,
        data["user_id"],
        "RUNNING",
        data["start_time"],
        None,
        "active",
        artifact_uri,
        data["name"],
    )
    return Run(info, RunData(tags=[RunTag(k, v) for k, v in data["tags"].items()]))


def current_run(folder: Path, run: "Run") -> "Run":
    """Return a run with what was logged to it since.

    Args:
        folder: the outbox.
        run: as it was when its outbox was created.
    """
    from mlflow.entities import Param, Run, RunData, RunInfo, RunTag

    info, run_id = dict(run.info), run.info.run_id
    latest = {metric.key: metric for metric in run.data._metric_objs}
    params, tags = dict(run.data.params), dict(run.data.tags)
    for record in records(folder):
        data = record.data
        if record.run_id != run_id:
            continue
        if record.kind == "metric":
            latest[data["key"]] = _later(latest.get(data["key"]), _metric(record))
        elif record.kind in ("param", "tag"):
            (params if record.kind == "param" else tags)[data["key"]] = data["value"]
        elif record.kind == "info":
            changed = {"status": data["status"], "end_time": data["end_time"]}
            changed["run_name"] = data["name"]
            info.update({k: v for k, v in changed.items() if v is not None})
    return Run(
        RunInfo(**{k: v for k, v in info.items() if k != "run_uuid"}),
        RunData(
            list(latest.values()),
            [Param(k, v) for k, v in params.items()],
            [RunTag(k, v) for k, v in tags.items()],
        ),
    )


def metric_history(folder: Path, run_id: str, key: str) -> "list[Metric]":
    """Return the points of a metric that were logged through an outbox.

    Of equal ones there is one, as on a server.
    """
    found: dict[tuple[int, int, float], Metric] = {}
    for record in records(folder):
        if record.run_id == run_id and record.data.get("key") == key:
            if record.kind == "metric":
                point = _metric(record)
                equal = point.timestamp, point.step, point.value
                found.setdefault(equal, point)
    return list(found.values())


def _metric(record: Record) -> "Metric":
    from mlflow.entities import Metric

    return Metric(**record.data)


def _later(one: "Metric | None", other: "Metric") -> "Metric":
    """Return the one that MLflow shows as the last value."""
    found = [metric for metric in (one, other) if metric]
    return max(found, key=lambda m: (m.step, m.timestamp, m.value))
