"""Traces, which the server gets when a run ends."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from .journal import Record

if TYPE_CHECKING:
    from .delivery import Delivery

_FILE = "traces.json"  # where MLflow looks for the spans of a trace
_LOCATION = "mlflow.artifactLocation"


def deliver_trace(delivery: "Delivery", record: Record) -> None:
    """Log a finished trace in one request, and upload its spans."""
    from mlflow.entities import TraceInfo, TraceLocation, TraceState

    data, run_id = record.data, delivery.known(record.run_id)
    experiment = data["experiment_id"]
    if run_id != record.run_id or not experiment:
        experiment = delivery.call("get_run", run_id).info.experiment_id
    info = TraceInfo(
        data["trace_id"],
        TraceLocation.from_experiment_id(experiment),
        data["start"],
        TraceState(data["state"]),
        request_preview=data["request"],
        execution_duration=data["duration"],
        trace_metadata={**data["metadata"], "mlflow.sourceRun": run_id},
        tags=data["tags"],
    )
    there = delivery.call("start_trace", info)
    if location := there.tags.get(_LOCATION):
        with TemporaryDirectory() as folder:
            file = Path(folder, _FILE)
            file.write_text(json.dumps({"spans": data["spans"]}), "utf-8")
            delivery.repository(location).log_artifact(str(file))
