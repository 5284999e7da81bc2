"""Serve MLflow's UI on this machine, for a local or database store."""

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from importlib.metadata import version

import click

from ..errors import TrackingError
from ..server.availability import ServerAway
from ..server.connection import Connection
from ..server.local_store import create_local_store, is_missing, open_local_store


def serve(connection: Connection, host: str, port: int | None) -> int:
    """Serve the UI until Ctrl-C.

    Args:
        connection: to the store.
        host: name or address to listen on.
        port: TCP port to listen on; None for the first free one from 5000 upwards.

    Returns:
        The exit code of MLflow's own server.

    Raises:
        TrackingError: the port is taken, or only mlflow-skinny is installed, which has
            no UI.
    """
    if importlib.util.find_spec("flask") is None:
        raise TrackingError(
            "mlflow-skinny has no pages. Show the runs with an MLflow of its own: "
            f"uvx mlflow@{version('mlflow-skinny')} server --backend-store-uri "
            f"{connection.safe_uri}; or install the whole of MLflow: "
            "copier update --data mlflow_install=full"
        )
    if port and not is_free(host, port):
        raise TrackingError(
            f"Port {port} on {host} is taken. Give another with --port, or let ui.port "
            "in mlflow.yml be null for the first free one."
        )
    port = port or free_port(host)
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    command += ["--host", host, "--port", str(port)]
    if connection.artifact_root:
        ready = create_local_store if is_missing(connection.uri) else open_local_store
        ready(connection.uri, connection.artifact_root)
        command += ["--default-artifact-root", connection.artifact_root.as_uri()]
    env = {
        # The UI needs none of the server's background jobs, which take 2 GB of memory.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        # A warning for MLflow's developers, not for users (Starlette 1.0, MLflow 3.17).
        "PYTHONWARNINGS": "ignore:starlette.middleware.wsgi is deprecated",
        **os.environ,
        # Not an argument, since other users of the machine can read those.
        "MLFLOW_BACKEND_STORE_URI": connection.uri,
    }
    click.echo(f"Opening the runs of {connection.display_uri} …")
    address = f"The runs are at http://{host}:{port} (Ctrl-C ends it)"
    return run_server(command, env, (host, port), address)


def run_server(
    command: Sequence[str],
    env: Mapping[str, str],
    address: tuple[str, int],
    ready: str,
) -> int:
    """Run a server until it ends, or is told to by Ctrl-C or SIGTERM.

    Args:
        command: what starts it.
        env: its environment variables.
        address: the host and the port on which it listens.
        ready: what to print as soon as it listens.

    Returns:
        Its exit code.
    """
    process = subprocess.Popen(command, env=env)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: process.terminate())
    while process.poll() is None and is_free(*address):
        time.sleep(0.2)
    if process.poll() is None:
        click.echo(ready)
    return process.wait()


def refuse_dead_server(connection: Connection, shows_more: bool) -> None:
    """Check that a server answers before the browser opens its pages.

    A refused login is no error here, since the browser may have its own login.

    Args:
        connection: to the server.
        shows_more: whether ``--offline`` would show something.

    Raises:
        TrackingError: it does not answer.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        with connection.translate_errors():
            try:
                MlflowClient().search_experiments(max_results=1)
            except MlflowException as error:
                if not re.search(r"error code (401|403)", error.message):
                    raise
    except ServerAway as away:
        if not shows_more:
            raise
        raise ServerAway(
            f"{away.message} 'kedro mlflow ui --offline' shows the runs that wait for it."
        ) from None


def free_port(host: str) -> int:
    """Return the first port from 5000 upwards on which nothing listens."""
    return next(port for port in range(5000, 65536) if is_free(host, port))


def is_free(host: str, port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
