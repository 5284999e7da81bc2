"""Tell penguins apart by their bills, flippers and weight."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
