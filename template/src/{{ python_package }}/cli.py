"""Commands of this project beside Kedro's own; add yours to the group."""

import click

from .tracking.commands.cli import mlflow_commands


@click.group(name="kedro")
def cli() -> None:
    """Commands of this project."""


cli.add_command(mlflow_commands)
