"""Metrics of a run: one number, a history, or several histories."""

from .histories import MlflowMetricsHistoryDataset
from .history import MlflowMetricHistoryDataset
from .metric import MlflowMetricDataset

__all__ = [
    "MlflowMetricDataset",
    "MlflowMetricHistoryDataset",
    "MlflowMetricsHistoryDataset",
]
