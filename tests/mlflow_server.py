"""An MLflow server, with or without its own basic-auth app."""

import os
import subprocess
import sys
from pathlib import Path

import requests

from tests.loopback import free_port, wait_until


class MlflowServer:
    """A server with its store in a folder.

    Args:
        folder: for the store, the artifacts and the users.
        password: of the user ``admin``; None for a server without a login.
        workspaces: whether it has workspaces.
    """

    def __init__(
        self, folder: Path, password: str | None = None, workspaces: bool = False
    ) -> None:
        port = free_port()
        self.uri = f"http://127.0.0.1:{port}"
        words = [sys.executable, "-m", "mlflow", "server", "--port", str(port)]
        words += ["--backend-store-uri", "sqlite:///mlflow.db", "--workers", "1"]
        words += ["--artifacts-destination", str(folder / "artifacts")]
        words += ["--enable-workspaces"] if workspaces else []
        env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        if password:
            words += ["--app-name", "basic-auth"]
            users = folder / "basic_auth.ini"
            users.write_text(
                "[mlflow]\n"
                "default_permission = READ\n"
                "database_uri = sqlite:///users.db\n"
                "admin_username = admin\n"
                f"admin_password = {password}\n"
                "authorization_function = "
                "mlflow.server.auth:authenticate_request_basic_auth\n"
            )
            env["MLFLOW_AUTH_CONFIG_PATH"] = str(users)
            env["MLFLOW_FLASK_SERVER_SECRET_KEY"] = "for this test"
        with (folder / "log.txt").open("w") as log:
            self._process = subprocess.Popen(
                words, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT
            )
        wait_until(self._is_there)

    def close(self) -> None:
        """Stop the server."""
        self._process.terminate()
        self._process.wait(30)

    def _is_there(self) -> bool:
        assert self._process.poll() is None, "the server has ended"
        try:
            return requests.get(f"{self.uri}/health", timeout=5).ok
        except requests.RequestException:
            return False
