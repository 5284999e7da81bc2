"""The local store, a SQLite database: create it, and migrate it to a newer MLflow."""

import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from ..errors import TrackingError
from ..terminal.progress import progress
from .moved_store import follow
from .uris import sqlite_path

_logger = logging.getLogger(__name__)

_ELSEWHERE = "name another place in server.mlflow_tracking_uri of mlflow.yml"


def is_missing(uri: str) -> bool:
    """Whether a URI names a SQLite database that does not exist yet, or is empty."""
    database = sqlite_path(uri)
    if database is None or os.path.isdir(database):
        return False
    return not os.path.exists(database) or os.path.getsize(database) == 0


def create_local_store(uri: str, artifact_root: Path) -> None:
    """Create the database of a SQLite store if it is missing, and update it otherwise.

    Creating takes a few seconds. The database is built beside its final path and moved
    there in one step, so an interrupted run leaves no incomplete database. If two first
    runs start at once, one waits for the other.

    Args:
        uri: the absolute SQLite URI.
        artifact_root: folder for artifacts of experiments without a location.

    Raises:
        TrackingError: as ``refuse_unwritable`` and ``open_local_store`` do.
    """
    database = sqlite_path(uri)
    if database is None:
        return
    refuse_unwritable(uri)
    if is_missing(uri):
        with _taking_turns(database):
            if is_missing(uri):
                _create(database, artifact_root)
    open_local_store(uri, artifact_root)


def open_local_store(uri: str, artifact_root: Path) -> None:
    """Update the database of a SQLite store, if it exists.

    A database of an older MLflow is copied, then migrated. If the project was moved,
    the artifact locations of its runs are corrected.

    Raises:
        TrackingError: it cannot be read, or a newer MLflow has written it.
    """
    database = sqlite_path(uri)
    if database is None or is_missing(uri):
        return
    _refuse_folder(database)
    revision, location = _recorded(database)
    if _is_older(database, revision):
        refuse_unwritable(uri)
        with _taking_turns(database):
            if is_older(uri):
                _migrate(database, uri)
    if location and os.access(database, os.W_OK):
        follow(database, location, artifact_root)


def refuse_unwritable(uri: str) -> None:
    """Raise an error if no run can be recorded in a store; this creates nothing.

    Raises:
        TrackingError: it is read-only, or a file where a folder should be or vice
            versa.
    """
    database = sqlite_path(uri)
    if database is None:
        return
    _refuse_folder(database)
    folder = next(p for p in database.parents if os.path.exists(p))
    if not os.path.isdir(folder):
        raise TrackingError(
            f"{folder} is a file, and should be the folder of the local store. Rename "
            f"it, or {_ELSEWHERE}."
        )
    for path in (folder, database):
        if os.path.exists(path) and not os.access(path, os.W_OK):
            raise TrackingError(
                f"{path} is read-only, so no run can be recorded in it. Make it "
                f"writable, or {_ELSEWHERE}."
            )


def _refuse_folder(database: Path) -> None:
    if os.path.isdir(database):
        raise TrackingError(
            f"{database} is a folder, and should be the database of the local store. "
            f"Rename it, or {_ELSEWHERE}."
        )


def is_older(uri: str) -> bool:
    """Whether a SQLite database has the tables of an older MLflow.

    Raises:
        TrackingError: it cannot be read, or a newer MLflow has written it.
    """
    database = sqlite_path(uri)
    return database is not None and _is_older(database, _recorded(database)[0])


def _is_older(database: Path, revision: str | None) -> bool:
    if revision is None:
        return False
    texts = [file.read_text("utf-8") for file in _migrations().glob("*.py")]
    if texts and not _names(texts, "revision", revision):
        installed = version("mlflow-skinny")
        raise TrackingError(
            f"{database} has the tables of a newer MLflow: the installed one, {installed}, "
            f"does not know their revision '{revision}'. Install the version that has "
            "created it, for example with 'uv lock --upgrade-package mlflow' and "
            f"'uv sync', or {_ELSEWHERE}."
        )
    return _names(texts, "down_revision", revision)


def _recorded(database: Path) -> tuple[str | None, str | None]:
    """Return the revision of the tables, and the default experiment's artifact location.

    Both are None in a database without MLflow's tables.
    """
    query = (
        "SELECT version_num, (SELECT artifact_location FROM experiments"
        " WHERE experiment_id = 0) FROM alembic_version"
    )
    try:
        with closing(
            sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True)
        ) as opened:
            return opened.execute(query).fetchone() or (None, None)
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None, None
        raise TrackingError(f"{database} cannot be opened: {error}.") from None
    except sqlite3.DatabaseError as error:
        raise TrackingError(
            f"{database} is damaged, or no SQLite database: {error}. Restore it from a "
            "backup, or rename it, and the next run creates a new one."
        ) from None


def _migrations() -> Path:
    """Return the folder of MLflow's migrations, a file each: seen in 3.10 to 3.17."""
    mlflow = find_spec("mlflow")
    assert mlflow and mlflow.origin  # noqa: S101  # a requirement of the project
    return Path(mlflow.origin).parent / "store/db_migrations/versions"


def _names(texts: list[str], key: str, revision: str) -> bool:
    line = re.compile(rf"^{key}\b.*['\"]{re.escape(revision)}['\"]", re.MULTILINE)
    return any(map(line.search, texts))


def _create(database: Path, artifact_root: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    draft = database.with_name(f".{database.name}.{os.getpid()}")
    try:
        with progress(f"Creating {database} …"), _quiet_migrations():
            store = SqlAlchemyStore(
                f"sqlite:///{draft.as_posix()}", artifact_root.as_uri()
            )
        store.engine.dispose()
        os.replace(draft, database)
    finally:
        draft.unlink(missing_ok=True)


def _migrate(database: Path, uri: str) -> None:
    from mlflow.db import upgrade

    installed = version("mlflow-skinny")
    backup = database.with_name(f"{database.name}.before-mlflow-{installed}")
    _copy(database, backup)
    try:
        with progress(f"Migrating {database} …"), _quiet_migrations():
            upgrade.main([uri], standalone_mode=False)
    except Exception as error:
        _copy(backup, database)
        raise TrackingError(
            f"{database} cannot be migrated to MLflow {installed}: {error}. It is as it "
            f"was; so is its copy {backup.name}."
        ) from error
    _logger.info(
        "Migrated %s to MLflow %s; as it was, it is beside it: %s",
        database,
        installed,
        backup.name,
    )


def _copy(database: Path, to: Path) -> None:
    with (
        closing(sqlite3.connect(database)) as source,
        closing(sqlite3.connect(to)) as copy,
    ):
        source.backup(copy)


@contextmanager
def _taking_turns(database: Path) -> Iterator[None]:
    """Let one process at a time create or migrate a database.

    The lock is SQLite's own, on an empty file beside the database. It works wherever
    SQLite does, also without hard links, and is released when its process ends. The
    file stays, since another process may be waiting for it.

    Raises:
        TrackingError: the folder cannot be written to.
    """
    lock = database.with_name(f".{database.name}.lock")
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(lock, timeout=600, isolation_level=None)) as turn:
            turn.execute("BEGIN EXCLUSIVE")
            yield
    except (OSError, sqlite3.OperationalError) as error:
        raise TrackingError(
            f"{database} cannot be created or migrated: {error}. Make {database.parent} "
            f"writable, or {_ELSEWHERE}."
        ) from None


@contextmanager
def _quiet_migrations() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("mlflow.store.db.utils", "alembic")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
