"""CPU, memory and disk during a run, measured by MLflow's own monitor."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from ..errors import TrackingError


@contextmanager
def system_metrics(run_id: str, tracking_uri: str, is_new: bool) -> Iterator[None]:
    """Log system metrics inside the block.

    Args:
        run_id: the run.
        tracking_uri: its server.
        is_new: whether it has no system metrics yet.
    """
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(
        run_id, resume_logging=not is_new, tracking_uri=tracking_uri
    )
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()


def wants_system_metrics(option: bool | None) -> bool:
    """Whether to measure.

    Args:
        option: ``tracking.record.system_metrics``; None for what
            ``MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING`` says.

    Raises:
        TrackingError: it does, and psutil, which measures them, is not installed.
    """
    from mlflow.environment_variables import MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING

    key, way_out = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "unset the variable"
    wanted = bool(MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING.get())
    if option is not None:
        key, way_out = "tracking.record.system_metrics in mlflow.yml", "set it to false"
        wanted = option
    if wanted and find_spec("psutil") is None:
        raise TrackingError(
            f"{key} is true, and psutil, which measures them, is not installed. Install "
            f"it, or {way_out}: uv add psutil"
        )
    return wanted
