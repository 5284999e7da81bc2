"""The local store: a SQLite database, made whole or not at all."""

import contextlib
import logging
import os
from pathlib import Path

from ..terminal.progress import progress
from .uris import sqlite_path


def is_missing(uri: str) -> bool:
    """Whether a URI is that of a SQLite database that nobody has made yet."""
    database = sqlite_path(uri)
    return database is not None and not database.exists()


def create_local_store(uri: str, artifact_root: Path) -> None:
    """Create the database of a SQLite store if it is missing; takes a few seconds.

    It is built beside its place and moved there in one step, so that two first runs at
    the same moment, or an interrupted one, leave no half-made store.

    Args:
        uri: the absolute SQLite URI.
        artifact_root: where artifacts go that belong to no experiment of ours.
    """
    database = sqlite_path(uri)
    if database is None or database.exists():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    database.parent.mkdir(parents=True, exist_ok=True)
    draft = database.with_name(f".{database.name}.{os.getpid()}")
    try:
        with progress(f"Creating {database} …"), _quiet_migrations():
            store = SqlAlchemyStore(
                f"sqlite:///{draft.as_posix()}", artifact_root.as_uri()
            )
        store.engine.dispose()
        with contextlib.suppress(FileExistsError):  # another run was first
            os.link(draft, database)
    finally:
        draft.unlink(missing_ok=True)


@contextlib.contextmanager
def _quiet_migrations():
    loggers = [logging.getLogger(name) for name in ("mlflow.store.db.utils", "alembic")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
