"""Compare what a server has with what was logged."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from .server import Server

Record = tuple[str, str, int, object]  # kind, key, step, value


@dataclass(frozen=True)
class Arrived:
    """What has arrived of a trial.

    Attributes:
        logged: how many records were logged.
        lost: those that the server does not have.
        twice: those that it has more than once.
        statuses: of the runs on the server; one, if all is well.
    """

    logged: int
    lost: list[str]
    twice: list[str]
    statuses: list[str]


def arrived(server: Server, experiment: str, truth: list[dict[str, Any]]) -> Arrived:
    """Return what has arrived in an experiment of what the file of truth says.

    A record that is on the server but not in the file was being logged at the kill.
    """
    client = MlflowClient(server.uri)
    found = client.get_experiment_by_name(experiment)
    ids = [found.experiment_id] if found else []
    runs = list(client.search_runs(ids, run_view_type=ViewType.ALL)) if ids else []
    logged = {_record(line): None for line in truth}  # a dict keeps their order
    names = {line["key"] for line in truth if line["kind"] == "metric"}
    there: Counter[Record] = Counter()
    for run in runs:
        there.update(_metrics(client, run, names))
        there.update(("param", k, 0, v) for k, v in run.data.params.items())
        there.update(_files(server, run))
    return Arrived(
        len(logged),
        [_text(record) for record in logged if record not in there],
        [f"{_text(record)} {n}×" for record, n in there.items() if n > 1],
        [run.info.status for run in runs],
    )


def _record(line: dict[str, Any]) -> Record:
    value = line["value"]
    if line["key"].endswith(".json"):
        value = json.dumps(json.loads(value))
    return line["kind"], line["key"], line["step"], value


def _metrics(client: MlflowClient, run: Run, names: set[str]) -> list[Record]:
    return [
        ("metric", point.key, point.step, point.value)
        for name in sorted(names | set(run.data.metrics))
        for point in client.get_metric_history(run.info.run_id, name)
    ]


def _files(server: Server, run: Run) -> list[Record]:
    """Read artifacts where the server keeps them."""
    home = server.artifacts / run.info.artifact_uri.removeprefix("mlflow-artifacts:/")
    files = [file for file in home.rglob("*") if file.is_file()]
    return [("artifact", f.relative_to(home).as_posix(), 0, _content(f)) for f in files]


def _content(file: Path) -> str:
    text = file.read_text("utf-8")
    try:
        return json.dumps(json.loads(text)) if file.suffix == ".json" else text
    except json.JSONDecodeError:  # half of a file
        return text


def _text(record: Record) -> str:
    kind, key, step, value = record
    return f"{kind} {key}[{step}] = {value}"
