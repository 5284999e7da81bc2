"""Commands of this project beside Kedro's own; add yours to the group."""

import click
from kedro.framework.cli.project import run

from .tracking.commands.cli import mlflow_commands
from .tracking.commands.package import package

# Kedro takes run from here when the project starts without the command kedro: by its
# script, or by python -m. A command run of your own, defined below, replaces it.
__all__ = ["cli", "run"]


@click.group(name="kedro")
def cli() -> None:
    """Commands of this project."""


cli.add_command(mlflow_commands)
cli.add_command(package)  # Kedro's own would take credentials into the archive
