"""Pipelines whose nodes log, for a project that has to log in."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import mlflow
from kedro.pipeline import Node, Pipeline


def log(name: str, seconds: float, *_: object) -> float:
    """Log a metric and a file, after a while."""
    time.sleep(seconds)
    mlflow.log_metric(name, 1)
    mlflow.log_text("here", f"{name}.txt")
    return 1.0


def log_at_once(threads: int, seconds: float) -> float:
    """Log a metric from each of many threads at the same moment, after a while."""
    run = mlflow.active_run()
    client = mlflow.MlflowClient()
    time.sleep(seconds)
    together = threading.Barrier(threads)

    def log_one(number: int) -> None:
        together.wait(30)
        client.log_metric(run.info.run_id, f"thread_{number}", 1)

    with ThreadPoolExecutor(threads) as pool:
        return float(len(list(pool.map(log_one, range(threads)))))


def wait(seconds: float, _: float) -> float:
    """Wait, and return a value that only the catalog logs."""
    time.sleep(seconds)
    return 1.0


def _step(number: int, seconds: float, after: str | None = None) -> Node:
    name = f"step_{number}"
    return Node(partial(log, name, seconds), after, f"{name}_score", name=name)


def _quiet(number: int) -> Node:
    before, after = f"step_{number - 1}_score", f"step_{number}_score"
    return Node(partial(wait, 2.2), before, after, name=f"quiet_{number}")


def register_pipelines() -> dict[str, Pipeline]:
    """Return the pipelines by name."""
    chain = [_step(n, 2.2, f"step_{n - 1}_score") for n in range(1, 6)]
    crowd = Node(partial(log_at_once, 16, 7), None, "crowd", name="crowd")
    return {
        "__default__": Pipeline([_step(0, 0)]),
        "long": Pipeline([_step(0, 2.2), *chain]),
        "quiet": Pipeline([_step(0, 0), *(_quiet(n) for n in range(1, 6))]),
        "wide": Pipeline([_step(n, 1) for n in range(4)]),
        "crowd": Pipeline([crowd]),
    }
