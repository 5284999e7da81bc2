"""The artifacts of a run, for MLflow's own functions while an outbox is in use."""

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

if TYPE_CHECKING:
    from mlflow.entities import FileInfo, Run

    from .outbox import Outbox


class OutboxArtifacts(ArtifactRepository):
    """Takes files for the outbox; reads what the server has, after a flush.

    Args:
        outbox: the outbox.
        run: the run.
        tracking_uri: its server.
    """

    def __init__(self, outbox: "Outbox", run: "Run", tracking_uri: str) -> None:
        super().__init__(run.info.artifact_uri)
        self._outbox, self._run_id, self._uri = outbox, run.info.run_id, tracking_uri

    def register(self) -> None:
        """Let MLflow's functions use these artifacts for the run."""
        _repositories()[self._run_id] = self

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        file = Path(local_file)
        path = str(PurePosixPath(artifact_path or "", file.name))
        self._outbox.write_file(self._run_id, file, path)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        for folder, _, names in os.walk(local_dir):
            within = Path(folder).relative_to(local_dir).as_posix()
            for name in sorted(names):
                path = str(PurePosixPath(artifact_path or "", within, name))
                self._outbox.write_file(self._run_id, Path(folder, name), path)

    def list_artifacts(self, path: str | None = None) -> "list[FileInfo]":
        found: list[FileInfo] = self._server().list_artifacts(path)
        return found

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        self._server()._download_file(remote_file_path, local_path)

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        self._server().delete_artifacts(artifact_path)

    def _server(self) -> Any:
        self._outbox.flush()
        return get_artifact_repository(self.artifact_uri, tracking_uri=self._uri)


def forget_artifacts(run_id: str) -> None:
    """Let MLflow's functions use the server's artifacts again."""
    _repositories().pop(run_id, None)


def _repositories() -> dict[str, Any]:
    """Return MLflow's artifact repositories by run: private, see docs/decisions/0004."""
    from mlflow.tracking._tracking_service import utils

    found: dict[str, Any] = utils._artifact_repos_cache
    return found
