"""What the commands have in common: options, where logs go, the result as JSON."""

import json
import logging
import os
import sys
from contextlib import AbstractContextManager, redirect_stdout
from pathlib import Path
from typing import Any, TextIO

import click
from kedro.framework.project import settings
from kedro.framework.startup import ProjectMetadata

env_option = click.option(
    "--env",
    "-e",
    metavar="NAME",
    help="Environment, a folder of conf/. Default: KEDRO_ENV, or else local.",
)
format_option = click.option(
    "--format",
    "style",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="For people, or for a program.",
)


def print_json(content: Any, metadata: ProjectMetadata) -> None:
    """Print JSON, and warn on stderr if Kedro has logged to stdout before it.

    Kedro logs which logging configuration it uses when it is imported, before it knows
    the project, unless ``conf/logging.yml`` exists in the working directory.
    """
    click.echo(json.dumps(content))
    if logging.getLogger("kedro.framework.project").isEnabledFor(logging.INFO):
        file = conf_source(metadata) / "logging.yml"
        click.echo(
            "Kedro has logged to stdout before the JSON. Call this command in "
            f"{metadata.project_path}, or set KEDRO_LOGGING_CONFIG={file}.",
            err=True,
        )


def logs_on_stderr() -> AbstractContextManager[TextIO]:
    """Send Kedro's logs, which go to stdout, to stderr: stdout is for the result."""
    return redirect_stdout(sys.stderr)


def environment(env: str | None) -> str:
    """Return the environment that is asked for, or else the default one."""
    default = settings.CONFIG_LOADER_ARGS.get("default_run_env") or "local"
    return env or os.environ.get("KEDRO_ENV") or default


def conf_source(metadata: ProjectMetadata) -> Path:
    """Return the folder with the configuration of a project."""
    return metadata.project_path / str(settings.CONF_SOURCE)
