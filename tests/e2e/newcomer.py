"""What a new user does with a default project: type commands, look at the runs."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import requests
from mlflow.entities import Run

from tests.loopback import wait_until

PACKAGE = "penguin_classifier"


def command(
    project: Path, *words: str, cwd: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=project / cwd,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def succeed(project: Path, *words: str, cwd: str = "") -> str:
    done = command(project, *words, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def runs(project: Path, package: str = PACKAGE) -> list[Run]:
    """All runs, the newest first."""
    client = mlflow.MlflowClient(f"sqlite:///{project.as_posix()}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name(package)
    assert experiment
    return list(client.search_runs([experiment.experiment_id]))


@contextmanager
def served(project: Path, line: str) -> Iterator[str]:
    """Run ``kedro mlflow ui`` or ``serve``, and yield the address that it prints."""
    server = subprocess.Popen(
        ["sh", "-c", line],
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout
        printed = (
            re.search(r"http://(localhost|127.0.0.1):\d+", line)
            for line in server.stdout
        )
        address = next(found[0] for found in printed if found)
        wait_until(lambda: requests.get(f"{address}/health", timeout=5).ok)
        yield address
    finally:
        server.terminate()
        server.wait(30)


def environment() -> dict[str, str]:
    """Return the environment of a machine with copier and uv, and without a login."""
    env = {
        k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")
    }
    person = {"NAME": "A", "EMAIL": "a@example.com"}
    git = {
        f"GIT_{r}_{k}": v for r in ("AUTHOR", "COMMITTER") for k, v in person.items()
    }
    bin_folder = str(Path(sys.executable).parent)
    return {**env, **git, "PATH": os.pathsep.join((bin_folder, env["PATH"]))}
