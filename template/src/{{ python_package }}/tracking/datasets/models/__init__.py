"""Models of any MLflow flavour: of a run, in a local folder, in the registry."""

from .local import MlflowModelLocalFileSystemDataset
from .registry import MlflowModelRegistryDataset
from .tracking import MlflowModelTrackingDataset

__all__ = [
    "MlflowModelLocalFileSystemDataset",
    "MlflowModelRegistryDataset",
    "MlflowModelTrackingDataset",
]
