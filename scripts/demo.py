"""``make demo``: create a project, install it, run it, show the run, ask its model."""

import os
import shlex
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from copier import run_copy
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parents[1]
PROJECT = HERE / "demo" / "penguin-classifier"
console = Console()


def step(title: str, *command: str) -> None:
    with console.status(title):
        done = subprocess.run(
            command,
            cwd=PROJECT,
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        console.print(f"[red]✗[/] {title}\n{done.stdout}{done.stderr}")
        raise SystemExit(done.returncode)
    console.print(f"[green]✓[/] {title}")


def show_run() -> None:
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{PROJECT / 'mlruns' / 'mlflow.db'}")
    (experiment,) = client.search_experiments(
        filter_string="name = 'penguin_classifier'"
    )
    (run,) = client.search_runs([experiment.experiment_id])
    table = Table("what", "name", "value", title=f"The MLflow run {run.info.run_name}")
    table.add_row("status", "", run.info.status)
    for name, value in sorted(run.data.params.items()):
        table.add_row("parameter", name, value)
    for name, number in sorted(run.data.metrics.items()):
        table.add_row("metric", name, f"{number:.3f}")
    for artifact in client.list_artifacts(run.info.run_id):
        table.add_row("artifact", artifact.path, f"{artifact.file_size or 0:,} bytes")
    for model in client.search_logged_models([experiment.experiment_id]):
        table.add_row("model", model.name, model.model_id)
    console.print(table)


def ask_the_model() -> None:
    """Serve the pipeline, and ask it for one penguin by HTTP, as its message says."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [".venv/bin/kedro", "mlflow", "serve", "--port", str(port)]
    with (
        console.status("kedro mlflow serve"),
        subprocess.Popen(
            words,
            cwd=PROJECT,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as server,
    ):
        assert server.stdout
        call = next((line for line in server.stdout if line.startswith("curl")), "")
        try:
            _, address, *_, body = shlex.split(call)
            kind = {"Content-Type": "application/json"}
            request = urllib.request.Request(address, body.encode(), kind)
            with urllib.request.urlopen(request, timeout=60) as response:
                answer = response.read().decode()
        finally:
            server.terminate()
    console.print("[green]✓[/] kedro mlflow serve")
    console.print(f"  {body}\n  {answer}", soft_wrap=True)


def _environment() -> dict[str, str]:
    own = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "MAKEFLAGS")}
    bin_folder = str(Path(sys.executable).parent)
    return {**own, "PATH": os.pathsep.join((bin_folder, own["PATH"])), "COLUMNS": "100"}


def main() -> None:
    shutil.rmtree(PROJECT, ignore_errors=True)
    with console.status("copier copy --defaults"):
        run_copy(str(HERE), PROJECT, defaults=True, quiet=True, vcs_ref="HEAD")
    console.print("[green]✓[/] copier copy --defaults")
    step("uv sync", "uv", "sync")
    step("kedro run", "uv", "run", "kedro", "run")
    show_run()
    ask_the_model()
    console.print(f"The project: {PROJECT.relative_to(HERE)}")
    console.print("See it in a browser:", style="bold")
    console.print("  cd demo/penguin-classifier && .venv/bin/kedro mlflow ui")


if __name__ == "__main__":
    main()
