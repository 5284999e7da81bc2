"""Files of a run: any dataset of the catalog whose files are also MLflow artifacts."""

from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from kedro.io import AbstractDataset, CatalogProtocol, DatasetError, Version
from kedro.io.core import parse_dataset_definition

from ..server.uris import refuse_artifact_name
from .base import MlflowDataset, replace
from .files import Files


class MlflowArtifactDataset(MlflowDataset):
    """Saves with another dataset, then logs what it saved as artifacts of the run.

    Files and folders keep their names. Of a folder, the files are logged that this save
    has written: the partitions of the saved mapping, or files that are new or changed.
    A versioned file is logged under its own name, without the version.

    Args:
        dataset: configuration of the dataset that saves and loads, as in the catalog.
            It has a ``filepath`` or ``path``, local or on any file system of fsspec.
        run_id: the run to log to and load from. None logs to the active run, and loads
            what ``dataset`` has saved, without MLflow.
        artifact_path: folder in the run's artifacts; None for the top.
        credentials: credentials for ``dataset``, unless it has its own.
        metadata: anything; Kedro ignores it.
        version: set by Kedro for ``versioned: true`` beside ``dataset``.
        local: whether the file stays on this machine, too. False: it is an artifact
            alone, named as in ``filepath``, and is downloaded to be loaded.
        save_to_run: whether a save may change the run of ``run_id``.

    Raises:
        DatasetError: ``dataset`` has no type, or no file.

    Example in the catalog::

        report:
          type: <package>.tracking.MlflowArtifactDataset
          artifact_path: reports
          dataset:
            type: json.JSONDataset
            filepath: data/08_reporting/report.json

    Example in Python::

        import mlflow
        from <package>.tracking import MlflowArtifactDataset

        report = MlflowArtifactDataset(
            dataset={"type": "json.JSONDataset", "filepath": "report.json"},
            artifact_path="reports",
        )
        with mlflow.start_run():
            report.save({"accuracy": 0.9})
        assert report.load() == {"accuracy": 0.9}
    """

    def __init__(
        self,
        dataset: dict[str, Any],
        run_id: str | None = None,
        artifact_path: str | None = None,
        credentials: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        version: Version | None = None,
        local: bool = True,
        save_to_run: bool = False,
    ) -> None:
        if not isinstance(dataset, dict) or "type" not in dataset:
            raise DatasetError(
                "'dataset' of MlflowArtifactDataset is a mapping with a 'type', like an "
                f"entry of the catalog; found {_shown(dataset)}."
            )
        config = {"credentials": credentials, **dataset} if credentials else dataset
        if version:
            config = {**config, "versioned": True}
        kind, arguments = parse_dataset_definition(config, *(version or ()))
        self._files = Files(arguments)
        self._dataset: AbstractDataset[Any, Any] = kind(**arguments)
        self._SINGLE_PROCESS = getattr(kind, "_SINGLE_PROCESS", False)  # read by Kedro
        self._run_id = run_id
        self.artifact_path = artifact_path
        self.metadata = metadata
        self._is_local, self._saves_to_run = local, save_to_run

    def save(self, data: Any) -> None:
        """Save with the inner dataset, then log what it has written."""
        self._refuse_other_run()
        if not self._is_local:
            self._save_elsewhere(data)
            return
        save = self._files.before_save(data)
        self._dataset.save(data)
        with self._active_run(self._artifact) as run_id:
            for path, folder in save.written():
                to = PurePosixPath(self.artifact_path or "", folder)
                refuse_artifact_name(str(to / path.name))
                self._log(run_id, path, to)

    def _save_elsewhere(self, data: Any) -> None:
        """Save to a folder that is deleted afterwards, and log what is there."""
        with TemporaryDirectory(prefix="kedro-mlflow-") as folder:
            refuse_artifact_name(self._artifact)
            path = str(Path(folder, self._files.name))
            type(self._dataset)(**self._files.at(path)).save(data)
            with self._active_run(self._artifact) as run_id:
                for file in sorted(Path(folder).rglob("*")):
                    if file.is_file():
                        within = file.parent.relative_to(folder).as_posix()
                        to = PurePosixPath(self.artifact_path or "", within)
                        self._log(run_id, file, to)

    def _log(self, run_id: str, file: Path, to: PurePosixPath) -> None:
        handle = self._handle
        if handle and handle.run.info.run_id == run_id:
            path = str(to / file.name)
            handle.outbox.write_file(run_id, file, path, self.name or "")
        else:
            self._client().log_artifact(run_id, str(file), _within(to))

    def load(self) -> Any:
        """Load what the inner dataset has saved, or the artifact of the given run.

        Data that are loaded lazily, such as partitions, exist as long as this dataset.
        """
        if self._run_id is None and self._is_local:
            return self._dataset.load()
        path = self._prefetched or self._read()
        return type(self._dataset)(**self._files.at(path)).load()

    def untrack(self, name: str, catalog: "CatalogProtocol[Any, Any]") -> None:
        """Replace it by the inner dataset, or keep the data in memory."""
        if self._is_local:
            replace(catalog, name, self._dataset)
        else:
            super().untrack(name, catalog)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._dataset, name)  # such as IncrementalDataset.confirm

    @property
    def is_local(self) -> bool:
        """Whether the file stays on this machine, where it is loaded from."""
        return self._is_local and self._run_id is None

    @property
    def inner(self) -> "AbstractDataset[Any, Any]":
        """The dataset that saves and loads."""
        return self._dataset

    @property
    def _artifact(self) -> str:
        return str(PurePosixPath(self.artifact_path or "", self._files.name))

    def _read(self) -> str:
        if self._run_id is None:
            return self._downloaded_of_this_run()
        return self._downloaded(f"runs:/{self.run_id}/{self._artifact}")

    def _downloaded_of_this_run(self) -> str:
        """Return the local path of the artifact, once the server has it."""
        folder = TemporaryDirectory(prefix="kedro-mlflow-")
        self._downloads = (*self._downloads, folder)
        with self._active_run(self._artifact) as run_id:
            client, path = self._client(), self._artifact
            found: str = client.download_artifacts(run_id, path, folder.name)
            return found

    def _exists(self) -> bool:
        if self._run_id is None and self._is_local:
            return self._dataset.exists()
        with self._active_run(self._artifact) as run_id:
            folder = PurePosixPath(self._artifact).parent
            found = self._client().list_artifacts(run_id, _within(folder))
        return self._artifact in [artifact.path for artifact in found]

    def _release(self) -> None:
        super()._release()
        self._dataset.release()

    def _describe(self) -> dict[str, Any]:
        return {
            "dataset": repr(self._dataset),
            "run_id": self._run_id,
            "artifact_path": self.artifact_path,
        }


def _shown(dataset: Any) -> str:
    """Describe what was found, without values, which may be secret."""
    if isinstance(dataset, dict):
        return f"the keys {sorted(dataset)}"
    return type(dataset).__name__


def _within(folder: PurePosixPath) -> str | None:
    """Return a folder of the artifacts as MLflow expects it: None for the top."""
    return None if folder == PurePosixPath() else str(folder)
