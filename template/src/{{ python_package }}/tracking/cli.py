"""``kedro mlflow …``: write ``mlflow.yml``, check it, open the UI."""

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click
from kedro.framework.project import settings
from kedro.framework.startup import ProjectMetadata

if TYPE_CHECKING:
    from .check import Finding
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
    """Write the mlflow.yml of an environment; for base, every key with its default."""
    from .config import documented_yaml, environment_yaml
    from .errors import TrackingError

    env = _environment(env)
    if not re.fullmatch(r"\w[\w-]*", env):
        raise TrackingError(
            f"'{env}' is no name for an environment; use letters, digits, dashes and "
            "underscores, for example --env staging."
        )
    folder = _conf_source(metadata) / env
    file = folder / "mlflow.yml"
    if file.exists() and not force:
        raise TrackingError(f"{file} is there already; --force writes over it.")
    folder.mkdir(parents=True, exist_ok=True)
    text = documented_yaml() if env == "base" else environment_yaml(env)
    file.write_text(text, encoding="utf-8")
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
            click.echo(f"The runs are at {server.shown_uri}")
            raise SystemExit(click.launch(server.uri))
        raise SystemExit(
            _serve(
                server, host or config.ui.host or "localhost", port or config.ui.port
            )
        )
    finally:
        server.give_back()


@mlflow_commands.command()
@_env_option
@click.option("--all", "every", is_flag=True, help="Check every environment.")
@click.option(
    "--template", is_flag=True, help="Compare with the template, not a server."
)
@click.option(
    "--format", "style", type=click.Choice(["table", "json"]), default="table"
)
@click.pass_obj
def check(
    metadata: ProjectMetadata,
    env: str | None,
    every: bool,
    template: bool,
    style: str,
) -> None:
    """Say where runs would go, and whether they would get there.

    The exit code is 1 when a run would not be tracked. With --format json the last line
    is a list with an object for each environment.

    With --template, say instead which version of the template the project follows,
    whether a newer one is out, and what an update would meet: edited files of the
    template, files that it no longer has, conflicts that wait for a decision. The exit
    code is 1 when there is such a file; the JSON is one object.
    """
    if template:
        raise SystemExit(_check_template(metadata.project_path, style))
    from .check import check as check_environment
    from .check import environments

    names = environments(_conf_source(metadata)) if every else [_environment(env)]
    findings = [check_environment(metadata.project_path, name) for name in names]
    if style == "json":
        click.echo(json.dumps([finding.as_dict() for finding in findings]))
    else:
        _print_table(findings)
    raise SystemExit(0 if all(finding.ok for finding in findings) else 1)


def _check_template(project_path: Path, style: str) -> int:
    from dataclasses import asdict

    from .template import drift

    found = drift(project_path)
    if style == "json":
        click.echo(json.dumps(asdict(found)))
        return 0 if found.ok else 1
    click.echo(f"template: {found.version or 'unknown'}; {found.message}.")
    for name in found.edited:
        click.echo(f"edited: {name} is the template's; make the change there.")
    for name, instead in found.obsolete.items():
        click.echo(f"obsolete: {name} is no longer the template's; {instead}.")
    for name in found.unmerged:
        click.echo(f"unmerged: {name} waits for a decision after an update.")
    return 0 if found.ok else 1


def _print_table(findings: "list[Finding]") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("", "environment", "experiment")
    table.add_column("runs go to", overflow="fold")
    for finding in findings:
        mark = "[green]✓[/]" if finding.ok else "[red]✗[/]"
        where = finding.tracking_uri or "[dim]unknown[/]"
        experiment = finding.experiment or "[dim]unknown[/]"
        table.add_row(mark, finding.environment, experiment, where)
    console.print(table)
    for finding in findings:
        console.print(f"{finding.environment}: {finding.message}", markup=False)


def _serve(server: "Server", host: str, port: int | None) -> int:
    if importlib.util.find_spec("flask") is None:
        raise click.ClickException(
            "mlflow-skinny has no pages. Show the runs with an MLflow of its own: "
            f"uvx mlflow@{version('mlflow-skinny')} server --backend-store-uri "
            f"{server.shown_uri}; or install the whole of MLflow: "
            "copier update --data mlflow_install=full"
        )
    if port and not _is_free(host, port):
        raise click.ClickException(
            f"Port {port} on {host} is taken. Give another with --port, or let ui.port "
            "in mlflow.yml be null for the first free one."
        )
    port = port or _free_port(host)
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    command += ["--host", host, "--port", str(port)]
    if server.artifact_root:
        command += ["--default-artifact-root", server.artifact_root.as_uri()]
    env = {
        # To look at runs needs none of the server's background jobs, which take 2 GB.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **os.environ,
        # Not among the arguments, which other users of the machine can read.
        "MLFLOW_BACKEND_STORE_URI": server.uri,
    }
    click.echo(f"Opening the runs of {server.shown_uri} …")
    process = subprocess.Popen(command, env=env)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: process.terminate())
    while process.poll() is None and _is_free(host, port):
        time.sleep(0.2)
    if process.poll() is None:
        click.echo(f"The runs are at http://{host}:{port} (Ctrl-C ends it)")
    return process.wait()


def _free_port(host: str) -> int:
    """Give the first port from 5000 upwards on which nobody listens."""
    return next(port for port in range(5000, 65536) if _is_free(host, port))


def _is_free(host: str, port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _environment(env: str | None) -> str:
    default = settings.CONFIG_LOADER_ARGS.get("default_run_env") or "local"
    return env or os.environ.get("KEDRO_ENV") or default


def _conf_source(metadata: ProjectMetadata) -> Path:
    return metadata.project_path / settings.CONF_SOURCE
