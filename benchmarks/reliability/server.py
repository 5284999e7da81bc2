"""A real MLflow server that can be killed, and started again at the same address."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import requests

from tests.loopback import free_port, wait_until


class Server:
    """A server whose database and artifacts stay when it is killed.

    Args:
        folder: for both.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._port = folder, free_port()
        self.uri = f"http://127.0.0.1:{self._port}"
        self.artifacts = folder / "artifacts"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start it if it is not alive; return the time at which it answers."""
        if self._process is None:
            words = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
            words += ["--port", str(self._port)]
            words += ["--backend-store-uri", "sqlite:///mlflow.db"]
            words += ["--artifacts-destination", str(self.artifacts)]
            env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
            with (self._folder / "log.txt").open("a") as log:
                self._process = subprocess.Popen(
                    words,
                    cwd=self._folder,
                    env=env,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # so that its worker dies with it
                )
        wait_until(self._answers)
        return time.time()

    def kill(self) -> float:
        """Kill it and its worker (kill -9); return the time just before."""
        at = time.time()
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
        return at

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.uri}/health", timeout=5).ok
        except requests.RequestException:
            return False
