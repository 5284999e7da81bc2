"""Find the files of a dataset, and which of them a save has written."""

import contextlib
import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem
from kedro.io import DatasetError, Version
from kedro.io.core import get_protocol_and_path


class Files:
    """The files of a dataset, local or on any file system of fsspec.

    Args:
        config: the dataset's arguments, with ``filepath``, or ``path`` for partitions.

    Attributes:
        name: name of the file or folder.

    Raises:
        DatasetError: the arguments have neither.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._key = "path" if "path" in config else "filepath"
        if self._key not in config:
            raise DatasetError(
                "An artifact is a file or folder: the dataset in MlflowArtifactDataset "
                f"needs a 'filepath' or 'path'; found {sorted(config)}."
            )
        self._fs_args: dict[str, Any] = config.get("fs_args") or {}
        url = str(config[self._key])
        if self._key == "filepath":  # Kedro's datasets parse it in their own way
            url = "://".join(get_protocol_and_path(url, config.get("version")))
        self._fs, root = file_system(url, config)
        self._root: str = root.rstrip("/")
        self.name = posixpath.basename(self._root)

    def at(self, path: str) -> dict[str, Any]:
        """Return arguments for a dataset of the same kind on a local file or folder."""
        config = {k: v for k, v in self._config.items() if k != "version"}
        config[self._key] = path
        if not isinstance(self._fs, LocalFileSystem):
            config.pop("credentials", None)
            if self._fs_args:
                kept = {k: v for k, v in self._fs_args.items() if _is_for_open(k)}
                config["fs_args"] = kept
        return config

    def copy_to(self, folder: Path, version: str | None) -> None:
        """Copy the file or folder, in one version, into a new local folder."""
        found = (self._root, version, self.name) if version else (self._root,)
        folder.mkdir(parents=True)
        self._fs.get(posixpath.join(*found), str(folder / self.name), recursive=True)

    def before_save(self, data: Any) -> "Save":
        """Record the files before ``data`` is saved, and create their folders."""
        version: Version | None = self._config.get("version")
        top, targets = posixpath.dirname(self._root), [self._root]
        if version:
            top = posixpath.join(self._root, version.save)
            targets = [posixpath.join(top, self.name)]
        elif self._key == "path" and isinstance(data, Mapping):
            suffix = self._config.get("filename_suffix", "")
            targets = [f"{self._root}/{key.lstrip('/')}{suffix}" for key in data]
        if isinstance(self._fs, LocalFileSystem):
            for target in targets:
                with contextlib.suppress(OSError):  # the dataset's own error says more
                    Path(target).parent.mkdir(parents=True, exist_ok=True)
        return Save(self._fs, top, targets)


class Save:
    """One save of a dataset.

    A file that the dataset is known to write always counts as written. In a folder,
    whose content only the dataset knows, files that are new or changed count.

    Args:
        fs: the file system.
        top: the folder that paths are relative to.
        targets: the files or folders that the dataset is about to write.
    """

    def __init__(
        self, fs: fsspec.AbstractFileSystem, top: str, targets: list[str]
    ) -> None:
        self._fs = fs
        self._top = top
        self._targets = targets
        self._before = self._found()

    def written(self) -> Iterator[tuple[Path, str]]:
        """Yield each file of the save.

        Yields:
            A local path, valid until the next one, and the file's folder, relative to
            ``top``.
        """
        for file, info in self._found().items():
            if file in self._targets or info != self._before.get(file):
                folder = posixpath.dirname(posixpath.relpath(file, self._top))
                with self._local(file) as path:
                    yield path, folder

    def _found(self) -> dict[str, dict[str, Any]]:
        self._fs.invalidate_cache()
        return {
            file: info
            for target in self._targets
            for file, info in self._fs.find(target, detail=True).items()
        }

    @contextlib.contextmanager
    def _local(self, file: str) -> Iterator[Path]:
        if isinstance(self._fs, LocalFileSystem):
            yield Path(file)
            return
        with TemporaryDirectory() as folder:
            path = Path(folder, posixpath.basename(file))
            self._fs.get_file(file, str(path))
            yield path


def file_system(url: str, config: Mapping[str, Any]) -> tuple[Any, str]:
    """Return the file system of a dataset's file, and its path there."""
    fs_args = config.get("fs_args") or {}
    options = {k: v for k, v in fs_args.items() if not _is_for_open(k)}
    options.update(config.get("credentials") or {})
    fs, path = fsspec.url_to_fs(url, **options)
    return fs, path


def _is_for_open(fs_arg: str) -> bool:
    return fs_arg.startswith("open_args")
