"""An MLflow flavour: a pipeline as a model, served without its Kedro project."""

from .flavor import load_model, log_model, save_model
from .model import PipelineModel, _load_pyfunc
from .node import pipeline_model

__all__ = [
    "PipelineModel",
    "_load_pyfunc",
    "load_model",
    "log_model",
    "pipeline_model",
    "save_model",
]
