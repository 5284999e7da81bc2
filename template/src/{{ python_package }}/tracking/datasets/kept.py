"""What a run has saved and can load again, after its end."""

import posixpath
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from kedro.framework.context import KedroContext
from kedro.io import DatasetError
from kedro.io.core import get_protocol_and_path

from ..run.resumed import sessions
from . import inner_dataset
from .base import MlflowDataset
from .files import file_system
from .inputs import StoredFile

_TOLERANCE = 2  # seconds between a file's clock and that of the run


class Kept:
    """The data of an earlier run that its continuation can load.

    Args:
        context: the run's.
        tags: of the run.

    Attributes:
        versions: of the versioned datasets that were found, by name.
    """

    def __init__(self, context: KedroContext, tags: Mapping[str, str]) -> None:
        self._catalog, self._sessions = context.catalog, sessions(tags)
        self.versions: dict[str, str] = {}

    def has(self, name: str, end: int) -> bool:
        """Whether a dataset still is what the run has saved.

        What is in MLflow is; what is in memory is not. A versioned dataset has the
        version of the run, and a local file has not changed since.

        Args:
            name: of the dataset.
            end: when the node that made it ended, in nanoseconds since 1970.
        """
        in_catalog = name in self._catalog
        dataset = inner_dataset(self._catalog.get(name)) if in_catalog else None
        if dataset is None or dataset._EPHEMERAL:  # read by Kedro's runners, too
            return False
        if isinstance(dataset, MlflowDataset):
            if not getattr(dataset, "is_local", False):
                return True
            dataset = dataset.inner  # type: ignore[attr-defined]  # of an artifact
        file = StoredFile(dataset)
        if file.config.get("version"):
            return self._has_version(name, file)
        with suppress(DatasetError):
            is_same = not file.local or _changed(file.local) <= end / 1e9 + _TOLERANCE
            return bool(dataset.exists()) and is_same
        return False

    def _has_version(self, name: str, file: StoredFile) -> bool:
        path = file.config.get("filepath") or file.config["path"]
        protocol, root = get_protocol_and_path(str(path), file.config["version"])
        address = root if protocol == "file" else f"{protocol}://{root}"
        for session in reversed(self._sessions):
            fs, top = file_system(address, file.config)
            if fs.exists(posixpath.join(top, session, posixpath.basename(top))):
                self.versions[name] = session
                return True
        return False


def _changed(path: Path) -> float:
    """Return when a file, or the newest of a folder, was changed; seconds since 1970."""
    files = [f for f in path.rglob("*") if f.is_file()] if path.is_dir() else [path]
    return max((f.stat().st_mtime for f in files if f.exists()), default=0.0)
