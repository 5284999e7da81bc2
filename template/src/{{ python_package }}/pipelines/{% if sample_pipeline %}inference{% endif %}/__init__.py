"""Name the species of new penguins: the pipeline that is served."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
