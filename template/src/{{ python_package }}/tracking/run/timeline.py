"""The nodes of a run as a trace: a span for each."""

import json
import uuid
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..outbox.journal import Record

_OK, _ERROR = "STATUS_CODE_OK", "STATUS_CODE_ERROR"


@dataclass
class NodeRun:
    """One node of a run.

    Attributes:
        name: its name.
        namespace: its namespace; empty if it has none.
        inputs: what it takes, by names in the catalog.
        outputs: what it returns, by names in the catalog.
        start: when its first input was loaded, in nanoseconds since 1970.
        end: when its last output was saved, or it failed.
        error: why it failed; empty if it did not.
    """

    name: str
    namespace: str
    inputs: list[str]
    outputs: list[str]
    start: int
    end: int
    error: str = ""

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / 1e9


def node_runs(
    notes: Iterable[Mapping[str, Any]], end: int, error: str
) -> list[NodeRun]:
    """Return the nodes that ran, in the order in which they began.

    Args:
        notes: what ``NodeNotes`` has noted in all processes.
        end: when the run ended, in nanoseconds since 1970.
        error: why it failed; the error of a node that has not finished.
    """
    merged: dict[str, dict[str, Any]] = {}
    for note in notes:
        known = merged.setdefault(note["name"], {})
        known.update({k: v for k, v in note.items() if k != "about"})
    found = []
    for node in merged.values():
        if "start" in node:
            is_done = node.pop("is_saved", False) or "error" in node
            if not is_done:
                why = error or "did not finish"
                node.update(end=max(end, node["start"]), error=why)
            found.append(NodeRun(**node))
    return sorted(found, key=lambda node: node.start)


def trace_record(
    run_id: str,
    experiment_id: str,
    name: str,
    command: str,
    nodes: list[NodeRun],
    error: str,
) -> Record:
    """Return the record of a trace, whose spans are in MLflow's format.

    Args:
        run_id: the run.
        experiment_id: its experiment; empty if only the server knows it.
        name: what ran.
        command: what has started it.
        nodes: the nodes.
        error: why the run failed; empty if it did not.
    """
    whole = uuid.uuid4()
    trace_id = f"tr-{whole.hex}"
    start, end = min(n.start for n in nodes), max(n.end for n in nodes)
    root = uuid.uuid4().bytes[:8]

    def span(
        title: str,
        kind: str,
        began: int,
        ended: int,
        problem: str,
        about: Mapping[str, Any],
        parent: bytes | None = None,
    ) -> dict[str, Any]:
        failure = {"exception.message": problem}
        event = {"name": "exception", "time_unix_nano": ended, "attributes": failure}
        shown = {"mlflow.traceRequestId": trace_id, "mlflow.spanType": kind, **about}
        return {
            "trace_id": b64encode(whole.bytes).decode(),
            "span_id": b64encode(uuid.uuid4().bytes[:8] if parent else root).decode(),
            "parent_span_id": b64encode(parent).decode() if parent else None,
            "name": title,
            "start_time_unix_nano": began,
            "end_time_unix_nano": ended,
            "events": [event] if problem else [],
            "status": {"code": _ERROR if problem else _OK, "message": problem},
            "attributes": {key: json.dumps(value) for key, value in shown.items()},
            "links": [],
        }

    made = {name for node in nodes for name in node.outputs}
    used = {name for node in nodes for name in node.inputs}
    whole_run = {
        "mlflow.spanInputs": sorted(used - made),
        "mlflow.spanOutputs": sorted(made - used),
    }
    spans = [span(name, "CHAIN", start, end, error, whole_run)]
    for node in nodes:
        about: dict[str, Any] = {
            "mlflow.spanInputs": node.inputs,
            "mlflow.spanOutputs": node.outputs,
        }
        if node.namespace:
            about["kedro.namespace"] = node.namespace
        times = (node.start, node.end, node.error)
        spans.append(span(node.name, "TASK", *times, about, root))
    data = {
        "trace_id": trace_id,
        "experiment_id": experiment_id,
        "start": start // 1_000_000,
        "duration": (end - start) // 1_000_000,
        "state": "ERROR" if error else "OK",
        "metadata": {"mlflow.trace_schema.version": "3"},
        "request": command,
        "tags": {"mlflow.traceName": name},
        "spans": spans,
        "is_optional": True,
    }
    return Record(run_id, "trace", data)
