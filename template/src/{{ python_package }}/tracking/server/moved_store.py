"""Correct the artifact locations in a local store after its project was moved."""

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

_logger = logging.getLogger(__name__)

_ROOT = "SELECT artifact_location FROM experiments WHERE experiment_id = 0"

# New runs are written below the location of their experiment, so it always changes.
_FUTURE = [("experiments", "artifact_location", "TRUE")]
_PAST = [
    ("runs", "artifact_uri", "TRUE"),
    ("logged_models", "artifact_location", "TRUE"),
    ("model_versions", "source", "TRUE"),
    ("model_versions", "storage_location", "TRUE"),
    ("trace_tags", "value", "key = 'mlflow.artifactLocation'"),
]


def follow(database: Path, default_location: str, artifact_root: Path) -> None:
    """Correct the locations in a local store that was moved, in one transaction.

    MLflow records absolute locations. That of the default experiment shows where the
    store was when they were written. Only locations below the old project folder
    change, or below the old store folder if the store is in no project.

    Args:
        database: the database of the store.
        default_location: the recorded artifact location of the default experiment.
        artifact_root: where artifacts of the store go now.
    """
    if default_location == f"{artifact_root.as_uri()}/0":
        return
    if not _is_ours(database, default_location, artifact_root):
        return
    with closing(
        sqlite3.connect(database, timeout=60, isolation_level=None)
    ) as connection:
        connection.execute("BEGIN IMMEDIATE")
        (recorded,) = connection.execute(_ROOT).fetchone()
        if recorded == default_location:  # otherwise another process was faster
            old, new = _moved(_path(recorded).parent, artifact_root)
            _relocate(connection, old, new)
            _logger.info(
                "%s was in %s; its artifacts are found in %s", database, old, new
            )
        connection.execute("COMMIT")


def _is_ours(database: Path, default_location: str, artifact_root: Path) -> bool:
    """Whether the store belongs to this project, and was really moved.

    A database outside of the project may belong to several projects. One whose
    artifacts are not local files was created by a server.
    """
    is_local = default_location.startswith("file:") and default_location.endswith("/0")
    if not is_local or not database.is_relative_to(artifact_root.parent):
        return False
    old = _path(default_location).parent
    return not (old.exists() and artifact_root.exists() and old.samefile(artifact_root))


def _moved(old_root: Path, new_root: Path) -> tuple[Path, Path]:
    """Return the old and the new folder of the project, or of a store without one."""
    for project in new_root.parents:
        if (project / "pyproject.toml").is_file():
            depth = len(new_root.relative_to(project).parts)
            if old_root.parts[-depth:] == new_root.parts[-depth:]:
                return old_root.parents[depth - 1], project
            break
    return old_root, new_root


def _relocate(connection: sqlite3.Connection, old: Path, new: Path) -> None:
    prefixes = [(old.as_uri(), new.as_uri()), (str(old), str(new))]

    def future(location: str) -> str:
        for before, now in prefixes:
            if location.startswith((f"{before}/", f"{before}{os.sep}")):
                return now + location.removeprefix(before)
        return location

    def past(location: str) -> str:
        """Do as ``future``, but keep a location whose files are still there."""
        now = future(location)
        stayed = (
            now != location and not _path(now).exists() and _path(location).exists()
        )
        return location if stayed else now

    for name, function, columns in (("f", future, _FUTURE), ("p", past, _PAST)):
        connection.create_function(name, 1, function)
        for table, column, condition in columns:
            value = f"coalesce({column}, '')"
            connection.execute(
                f"UPDATE {table} SET {column} = {name}({value})"  # noqa: S608
                f" WHERE {condition} AND {value} <> {name}({value})"
            )


def _path(location: str) -> Path:
    is_uri = location.startswith("file:")
    return Path(url2pathname(urlsplit(location).path) if is_uri else location)
