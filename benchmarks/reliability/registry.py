"""Nodes whose values are all unique; ``truth.jsonl`` says what they have logged.

This becomes the ``pipeline_registry.py`` of a measured project. A line of the file of
truth is written when the call that logs has returned, so what is in it was logged.
"""

import json
import time
from pathlib import Path

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline, node
from kedro.pipeline.node import Node

NODES = 20
_TRUTH = Path(__file__).parents[2] / "truth.jsonl"


def note(kind: str, key: str, value: object, step: int = 0) -> None:
    """Append a line to the file of truth."""
    line = {"kind": kind, "key": key, "step": step, "value": value, "at": time.time()}
    with _TRUTH.open("a") as file:
        file.write(json.dumps(line) + "\n")


def work(n: int, value: float, seconds: float, bulk: int) -> tuple[float, object]:
    """Log a point by MLflow's own function, ``bulk`` texts, and return for the catalog."""
    import mlflow

    note("param", f"value_{n}", str(value))  # logged before the node began
    time.sleep(seconds)
    mlflow.log_metric("plain", value + 0.5, step=n)
    note("metric", "plain", value + 0.5, n)
    for i in range(bulk):
        mlflow.log_text(f"{value} {i}", f"bulk/{n}_{i}.txt")
        note("artifact", f"bulk/{n}_{i}.txt", f"{value} {i}")
    return value + 0.25, {"value": value}


class Truth:
    """Notes what the catalog has logged."""

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: object) -> None:
        kind, _, _ = dataset_name.partition("_")
        if kind == "metric":
            note(kind, dataset_name, data)
        elif kind == "artifact":
            note(kind, f"{dataset_name}.json", json.dumps(data))


def register_pipelines() -> dict[str, Pipeline]:
    """Return the pipeline: the nodes run one after the other."""
    return {"__default__": Pipeline([_node(n) for n in range(NODES)])}


def _node(n: int) -> Node:
    def nth(value: float, seconds: float, bulk: int) -> tuple[float, object]:
        return work(n, value, seconds, bulk)

    inputs = [f"params:value_{n}", "params:seconds", "params:bulk"]
    return node(nth, inputs, [f"metric_{n}", f"artifact_{n}"], name=f"node_{n:02}")
