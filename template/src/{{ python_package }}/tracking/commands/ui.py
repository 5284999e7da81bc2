"""Show MLflow's pages; serve them on this machine for a local or database store."""

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from importlib.metadata import version
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, NamedTuple

import click
from kedro.framework.context import KedroContext

from ..config.options import UiOptions
from ..errors import TrackingError
from ..redaction import without_secrets
from ..server.availability import ServerAway
from ..server.connection import Connection
from ..server.local_store import create_local_store, is_missing, open_local_store
from ..server.workspace import experiment_path, page_at, run_path
from ..terminal.progress import progress
from .context import experiment_of
from .which_run import run_or_newest

if TYPE_CHECKING:
    from mlflow.entities import Run

_FIRST_PORT = 5000
_UNTIL_OPEN = 2  # seconds for a browser
_UNTIL_ANSWER = 2  # seconds for a server on this machine


class Page(NamedTuple):
    """A page of MLflow's.

    Attributes:
        path: as ``run_path`` returns it; empty for the start page.
        run: the run that it shows; None for a page of many. Only a run's page opens in
            the browser if it is served on this machine.
    """

    path: str
    run: "Run | None" = None


def show(
    connection: Connection,
    config: UiOptions,
    find: Callable[[], Page],
) -> int:
    """Show a page of MLflow's: of its server, or of one on this machine until Ctrl-C.

    Args:
        connection: to the store.
        config: where a server on this machine listens.
        find: finds the page, with a request.

    Returns:
        The exit code.

    Raises:
        TrackingError: as in ``serve``, or the server does not answer.
    """
    if not connection.has_pages:
        host = config.host or "localhost"
        return serve(connection, host, config.port, find)
    with progress(f"Asking {connection.safe_uri} …"):
        path = find().path
    workspace = connection.workspace
    click.echo(f"The runs are at {page_at(connection.safe_uri, path, workspace)}")
    if not _is_opened(page_at(connection.uri, path, workspace)):
        click.echo(
            "No browser can be opened here; open the address in yours.", err=True
        )
    return 0


def _is_opened(page: str) -> bool:
    """Open a page in the browser; False if that fails within two seconds.

    A browser that is started for it may go on for hours.
    """
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(_launch(page)), daemon=True)
    thread.start()
    thread.join(_UNTIL_OPEN)
    return not any(codes)


def _launch(page: str) -> int:
    """Open a page in the browser; return 0 if there is one."""
    opener = shutil.which("xdg-open")
    if opener is None:
        return click.launch(page, wait=True)
    # click would let it write to the terminal, and Ctrl-C would end the browser.
    null = subprocess.DEVNULL
    return subprocess.run(
        [opener, page],
        stdin=null,
        stdout=null,
        stderr=null,
        start_new_session=True,
        check=False,
    ).returncode


def serve(
    connection: Connection,
    host: str,
    port: int | None,
    find: Callable[[], Page],
) -> int:
    """Serve the UI until Ctrl-C; a run's page is opened where a server shows it already.

    Args:
        connection: to the store.
        host: name or address to listen on.
        port: TCP port to listen on; None for the first free one from 5000 upwards.
        find: finds the page to show.

    Returns:
        0 after Ctrl-C, or else the exit code of MLflow's own server.

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
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    if connection.artifact_root:
        opened = create_local_store if is_missing(connection.uri) else open_local_store
        opened(connection.uri, connection.artifact_root)
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
    with progress(f"Opening the runs of {connection.display_uri} …"):
        path, run = find()
        shown_at = _port_that_shows(run, host, port) if run else None
    if shown_at:
        page = page_at(f"http://{host}:{shown_at}", path, None)
        click.echo(f"The runs are at {page}")
        _is_opened(page)
        return 0
    if port and not is_free(host, port):
        raise TrackingError(
            f"Port {port} on {host} is taken. Give another with --port, or let ui.port "
            "in mlflow.yml be null for the first free one."
        )
    port = port or free_port(host)
    command += ["--host", host, "--port", str(port)]
    page = page_at(f"http://{host}:{port}", path, None)

    def ready() -> None:
        click.echo(f"The runs are at {page} (Ctrl-C ends it)")
        if run:
            _is_opened(page)  # without a browser, the address is there

    with TemporaryFile() as log:
        code = run_server(command, env, (host, port), ready, log)
        if code:
            log.seek(0)
            click.echo(without_secrets(log.read().decode(errors="replace")), err=True)
    return code


def _port_that_shows(run: "Run", host: str, port: int | None) -> int | None:
    """Return the port of a server on this machine that has a run; None if none has.

    A copy of the run in the store of another project has its artifacts elsewhere.

    Args:
        run: the run, from its store.
        host: where ``ui`` listens.
        port: the one to ask; None for all that are taken, from 5000 to the first free one.
    """
    path = f"/api/2.0/mlflow/runs/get?run_id={run.info.run_id}"
    for each in [port] if port else range(_FIRST_PORT, free_port(host)):
        with suppress(OSError, HTTPException, ValueError, LookupError, TypeError):
            with closing(HTTPConnection(host, each, timeout=_UNTIL_ANSWER)) as client:
                client.request("GET", path)
                info = json.load(client.getresponse())["run"]["info"]
            if info["artifact_uri"] == run.info.artifact_uri:
                return each
    return None


def run_server(
    command: Sequence[str],
    env: Mapping[str, str],
    address: tuple[str, int],
    ready: Callable[[], None],
    log: IO[bytes] | None = None,
) -> int:
    """Run a server until it ends, or is told to by Ctrl-C or SIGTERM.

    Args:
        command: what starts it.
        env: its environment variables.
        address: the host and the port on which it listens.
        ready: called as soon as it listens.
        log: the file for its own lines; None for the terminal.

    Returns:
        Its exit code; 0 if it was told to end.
    """
    ends: list[int] = []
    process = subprocess.Popen(command, env=env, stdout=log, stderr=log)

    def end(number: int, _: object) -> None:
        ends.append(number)
        process.terminate()

    numbers = (signal.SIGINT, signal.SIGTERM)
    earlier = [signal.signal(number, end) for number in numbers]
    try:
        with progress("Starting the server …"):
            while process.poll() is None and is_free(*address):
                time.sleep(0.2)
        if process.poll() is None:
            ready()
        code = process.wait()
    finally:
        for number, handler in zip(numbers, earlier, strict=True):
            signal.signal(number, handler)
    return 0 if ends else code


def experiment_page(
    connection: Connection, context: KedroContext, hint: str = ""
) -> Page:
    """Return the page with the project's runs; the start page if there are none yet.

    A refused login is no error here, since the browser may have its own login.

    Args:
        connection: to the store.
        context: the environment's.
        hint: what helps if the server is away.

    Raises:
        ServerAway: it does not answer.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    name = experiment_of(context)
    try:
        with connection.translate_errors():
            try:
                there = MlflowClient(connection.uri).get_experiment_by_name(name)
            except MlflowException as error:
                if not re.search(r"error code (401|403)", error.message):
                    raise
                return Page("")
    except ServerAway as away:
        raise ServerAway(f"{away.message}{hint}") from None
    if there is None or there.lifecycle_stage == "deleted":
        return Page("")
    return Page(experiment_path(there.experiment_id))


def run_page(connection: Connection, context: KedroContext, which: str | None) -> Page:
    """Return a run's page.

    Args:
        connection: to the store.
        context: the environment's.
        which: as in ``run_or_newest``.

    Raises:
        TrackingError: there is no such run, or the server does not answer.
    """
    with connection.translate_errors():
        run = run_or_newest(which, connection, context)
    return Page(run_path(run.info.experiment_id, run.info.run_id), run)


def free_port(host: str) -> int:
    """Return the first port from 5000 upwards on which nothing listens."""
    return next(port for port in range(_FIRST_PORT, 65536) if is_free(host, port))


def is_free(host: str, port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
