"""Pipelines of this project, one package each."""
