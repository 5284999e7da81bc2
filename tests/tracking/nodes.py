"""Node functions that worker processes can import."""

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mlflow


def log_in_node(value: float) -> float:
    mlflow.log_metric(f"fluent_{value:g}", value)
    return value


def one(value: object) -> float:
    return 1.0


def first_of_four(one: object, *others: object) -> object:
    return one


def same(value: object) -> object:
    return value


def fail(value: object) -> None:
    raise ZeroDivisionError("the node's own words")


def leave(value: object) -> None:
    raise SystemExit(3)


def open_sub_run(value: object) -> float:
    with mlflow.start_run(run_name="child", nested=True):
        mlflow.log_metric("inner", 1)
    return 1.0


def forget_sub_run(value: object) -> float:
    mlflow.start_run(run_name="forgotten", nested=True)
    return 1.0


def interrupt(value: object) -> None:
    signal.raise_signal(signal.SIGINT)


def terminate(value: object) -> None:
    signal.raise_signal(signal.SIGTERM)
    time.sleep(1)


def hang_up(value: object) -> float:
    signal.raise_signal(signal.SIGHUP)
    return 1.0


def fit(value: object) -> float:
    from sklearn.linear_model import LinearRegression

    LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])
    return 1.0


def autolog(value: object) -> float:
    mlflow.sklearn.autolog(silent=True)
    return fit(value)


def several(*values: object) -> tuple[float, float]:
    return 1.0, 2.0


def log_in_threads(value: object) -> float:
    thread = threading.Thread(target=mlflow.log_metric, args=("thread", 1))
    thread.start()
    thread.join()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(mlflow.log_metric, ("pool_0", "pool_1"), (0, 1)))
    return 1.0


def log_in_processes(methods: list[str]) -> float:
    for method in methods:
        context = multiprocessing.get_context(method)
        process = context.Process(target=mlflow.log_metric, args=(method, 1))
        process.start()
        process.join()
        assert process.exitcode == 0, (method, process.exitcode)
    return 1.0


def log_in_subprocess(value: object) -> float:
    code = "import mlflow; mlflow.log_metric('subprocess', 1)"
    subprocess.run([sys.executable, "-c", code], check=True)
    return 1.0


def log_in_joblib(value: object) -> float:
    from joblib import Parallel, delayed

    Parallel(n_jobs=2)(delayed(mlflow.log_metric)(f"loky_{n}", n) for n in (0, 1))
    return 1.0


def fork_and_exit(value: object) -> float:
    if (pid := os.fork()) == 0:
        mlflow.log_metric("forked", 1)
        sys.exit(0)  # with the handlers that MLflow has registered for an exit
    os.waitpid(pid, 0)
    return 1.0


def sub_runs_beside_the_variable(value: object) -> float:
    assert os.environ["MLFLOW_RUN_ID"]
    with mlflow.start_run(nested=True, run_name="child"):
        mlflow.log_metric("inner", 1)
    assert os.environ["MLFLOW_RUN_ID"]
    return 1.0


def set_other_server(uri: str) -> float:
    mlflow.set_tracking_uri(uri)
    return 1.0


def look_at_the_run() -> list[str]:
    """The ids of the active run and of the variable, in whatever process this runs."""
    active = mlflow.active_run()
    return [active.info.run_id if active else "", os.environ.get("MLFLOW_RUN_ID", "")]


def wait(value: object) -> float:
    time.sleep(1)
    return 1.0


def trace(count: int) -> float:
    for number in range(count):
        with mlflow.start_span(f"span {number}"):
            pass
    return 1.0


def fit_line(value: object) -> object:
    from sklearn.linear_model import LinearRegression

    return LinearRegression().fit([[1.0], [2.0]], [2.0, 4.0])


def predict_six(model: Any) -> float:
    return float(model.predict([[3.0]])[0])


def fit_table(table: Any) -> Any:
    from sklearn.linear_model import LinearRegression

    return LinearRegression().fit(table[["x"]], table["y"])


def score_table(model: Any, table: Any) -> tuple[float, dict[str, Any]]:
    logging.getLogger("nodes").warning("scored with https://me:hunter2@host")
    return float(model.score(table[["x"]], table["y"])), {"best": {"C": 0.5}}


def fail_with_a_secret(table: Any) -> None:
    raise ValueError("no answer of https://me:hunter2@host")
