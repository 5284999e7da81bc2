"""Every ``kedro run`` of this project is an MLflow run.

The template owns this package and ``copier update`` replaces it: put your own code
beside it. Public names are imported on first use, so that importing this package
imports neither ``mlflow`` nor ``pydantic``.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "ExecutorRunner": "runner",
    "KedroMlflowConfig": "config.options",
    "MlflowArtifactDataset": "datasets.artifacts",
    "MlflowHook": "hook",
    "MlflowMetricDataset": "datasets.metrics",
    "MlflowMetricHistoryDataset": "datasets.metrics",
    "MlflowMetricsHistoryDataset": "datasets.metrics",
    "MlflowModelLocalFileSystemDataset": "datasets.models",
    "MlflowModelRegistryDataset": "datasets.models",
    "MlflowModelTrackingDataset": "datasets.models",
    "MlflowParametersDataset": "datasets.parameters",
    "OAuth2ClientCredentialsProvider": "server.oauth2",
    "TrackingError": "errors",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
