"""``kedro mlflow …``: write ``mlflow.yml``, open the UI."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click
from kedro.framework.project import settings
from kedro.framework.startup import ProjectMetadata

if TYPE_CHECKING:
    from .server import Server

_env_option = click.option(
    "--env", "-e", help="Kedro environment; default: KEDRO_ENV, or else Kedro's own."
)


@click.group(name="mlflow")
def mlflow_commands() -> None:
    """Track runs with MLflow."""


@mlflow_commands.command()
@_env_option
@click.option("--force", is_flag=True, help="Write over the file that is there.")
@click.pass_obj
def init(metadata: ProjectMetadata, env: str | None, force: bool) -> None:
    """Write the mlflow.yml of an environment, every key with its default."""
    from .config import documented_yaml
    from .errors import TrackingError

    folder = _conf_source(metadata) / (env or os.environ.get("KEDRO_ENV") or "local")
    file = folder / "mlflow.yml"
    if file.exists() and not force:
        raise TrackingError(f"{file} is there already; --force writes over it.")
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(documented_yaml(), encoding="utf-8")
    click.echo(f"Wrote {file}")


@mlflow_commands.command()
@_env_option
@click.option("--host", help="Host to listen on; default: ui.host of mlflow.yml.")
@click.option("--port", type=int, help="Port to listen on; default: ui.port.")
@click.pass_obj
def ui(
    metadata: ProjectMetadata, env: str | None, host: str | None, port: int | None
) -> None:
    """Open MLflow's pages on the runs of an environment."""
    from kedro.framework.session import KedroSession

    from .server import Server

    with KedroSession.create(metadata.project_path, env=env) as session:
        context = session.load_context()  # type: ignore[attr-defined]
        config = context.mlflow
        server = Server(config.server, context)
    try:
        if server.uri.startswith(("http:", "https:")):
            click.echo(f"The runs are at {server.uri}")
            raise SystemExit(click.launch(server.uri))
        raise SystemExit(
            _serve(
                server, host or config.ui.host or "localhost", port or config.ui.port
            )
        )
    finally:
        server.give_back()


def _serve(server: "Server", host: str, port: int | None) -> int:
    port = port or _free_port(host)
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        server.uri,
    ]
    command += ["--host", host, "--port", str(port), "--workers", "1"]
    if server.artifact_root:
        command += ["--default-artifact-root", server.artifact_root.as_uri()]
    click.echo(f"Runs of {server.uri}\n  at http://{host}:{port} (Ctrl-C ends it)")
    # To look at runs needs none of the server's background jobs, which take 2 GB.
    env = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **os.environ}
    process = subprocess.Popen(command, env=env)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: process.terminate())
    return process.wait()


def _free_port(host: str, first: int = 5000) -> int:
    """Give the first port from 5000 upwards on which nobody listens."""
    for port in range(first, 65536):
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise click.ClickException(f"No free port on {host} from {first} upwards.")


def _conf_source(metadata: ProjectMetadata) -> Path:
    return metadata.project_path / settings.CONF_SOURCE
