"""Node functions that worker processes can import."""

import signal
import time

import mlflow


def log_in_node(value: float) -> float:
    mlflow.log_metric(f"fluent_{value:g}", value)
    return value


def one(value: object) -> float:
    return 1.0


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
