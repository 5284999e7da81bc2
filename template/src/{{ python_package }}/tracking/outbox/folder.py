"""The folder of a run's outbox: whose run it is, and who may send it."""

import json
import logging
import os
import platform
import shutil
import sqlite3
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.utils import find_kedro_project

_logger = logging.getLogger(__name__)

OUTBOXES = "mlruns/outbox"  # of a project, where git ignores it

OPENING = "kedro.opening"
"""Tag with the local id of a run or model, to find it if its creation had no answer."""

RUN_KEY = "kedro.run_key"
"""Tag with the key that all tasks of a workflow share."""

TASK = "kedro.task."
"""Prefix of the tags in which tasks report."""

_ABOUT = "run.json"
_IDS = "ids"
_FILES = "files"
_LOCAL = "local-"


@dataclass(frozen=True)
class About:
    """Whose run an outbox holds. There is no secret in it.

    Attributes:
        opening: the local id with which the run was, or will be, created; the server's
            id of a run that exists already.
        name: its name; empty if only the server knows it.
        experiment: the name of its experiment.
        environment: the Kedro environment, whose ``mlflow.yml`` names the server.
        tracking_uri: the server, without a login.
        host: the machine that the run is on.
        start_time: when the outbox was opened, in milliseconds since 1970.
        is_joined: whether other code has started the run, and will end it.
        task: what identifies a task of a workflow; empty for other runs.
        key: the key of the workflow.
    """

    opening: str
    name: str
    experiment: str
    environment: str
    tracking_uri: str
    host: str
    start_time: int
    is_joined: bool = False
    task: str = ""
    key: str = ""


def this_host() -> str:
    """Return the name of this machine."""
    return platform.node()


def create(folder: Path, about: About) -> None:
    """Make the folder of a new outbox, which only its user may read.

    Raises:
        OSError: it cannot be made.
    """
    draft = _hidden(folder)
    (draft / _FILES).mkdir(parents=True, mode=0o700)
    draft.chmod(0o700)
    write_json(draft / _ABOUT, asdict(about))
    draft.rename(folder)  # in one step, or others would see half of it


def folders(outboxes: Path) -> list[Path]:
    """Return the outboxes in a folder, the oldest first; name those nobody can read."""
    files = outboxes.glob(f"[!.]*/{_ABOUT}")
    found = [file.parent for file in files if _is_readable(file.parent)]
    return sorted(found, key=lambda folder: (folder / _ABOUT).stat().st_mtime_ns)


def _is_readable(folder: Path) -> bool:
    try:
        about(folder)
    except (ValueError, TypeError):  # a loss of power can leave an empty file
        _logger.warning(
            "The outbox %s is not sent, since run.json is no JSON with the keys of this "
            "version. Its records are in the files beside it; delete the folder if nobody "
            "needs them.",
            folder,
            extra={"markup": False},
        )
        return False
    except FileNotFoundError:  # another process has just deleted it
        return False
    return True


def delete_remains(outboxes: Path) -> None:
    """Delete what processes have left that ended while they made or deleted an outbox."""
    for hidden in [found for found in outboxes.glob(".*") if found.is_dir()]:
        lock = Lock(hidden.with_name(hidden.name[1:]))
        with suppress(OSError):
            if lock.acquire():
                lock.release_and_delete(hidden)


def _hidden(folder: Path) -> Path:
    return folder.with_name(f".{folder.name.lstrip('.')}")


def about(folder: Path) -> About:
    """Return whose run an outbox holds.

    Raises:
        FileNotFoundError: it was deleted, since its server has everything.
    """
    return About(**json.loads((folder / _ABOUT).read_text("utf-8")))


def new_file(folder: Path, run_id: str, artifact_path: str) -> Path:
    """Return a path for the copy of an artifact.

    The artifacts of a run that the server does not know yet are arranged as there, so
    that they can be read. Any other copy has a folder of its own, since the same
    artifact may be logged again before it is uploaded.
    """
    if is_local(run_id):
        file = artifacts_of_local_run(folder, run_id) / artifact_path
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return file
    parent = folder / _FILES / uuid.uuid4().hex
    parent.mkdir(mode=0o700)
    return parent / PurePosixPath(artifact_path).name


def artifacts_of_local_run(folder: Path, run_id: str) -> Path:
    """Return the folder with the artifacts of a run that the server does not know."""
    return folder / "artifacts" / run_id


class Lock:
    """Held by the one process that may send an outbox; released when that process ends.

    It is SQLite's own lock on an empty file, which works wherever SQLite does, and which
    a forked process does not inherit. The file is beside the folder, so that the lock
    can be taken before the folder is there.

    Args:
        folder: the outbox.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder.with_name(f"{folder.name}.lock")
        self._connection: sqlite3.Connection | None = None

    def acquire(self) -> bool:
        """Take the lock; return whether nobody else holds it.

        Raises:
            OSError: the file system cannot lock.
        """
        connection = None
        try:
            connection = sqlite3.connect(
                self._file, timeout=0, isolation_level=None, check_same_thread=False
            )
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if connection:
                connection.close()
            if "locked" in str(error):
                return False
            raise OSError(f"{self._file} cannot be locked: {error}") from None
        self._connection = connection
        return True

    def release(self) -> None:
        """Release the lock; idempotent."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def release_and_delete(self, folder: Path) -> None:
        """Delete an outbox that has nothing to send any more, and its lock."""
        with suppress(OSError):  # at once, or others would see a half of it
            folder = folder.rename(_hidden(folder))
        shutil.rmtree(folder, ignore_errors=True)
        self.release()  # Windows deletes no open file
        with suppress(OSError):
            self._file.unlink(missing_ok=True)


def local_id(prefix: str = "") -> str:
    """Return a new id for a run or a model that the server does not know yet."""
    return f"{prefix}{_LOCAL}{uuid.uuid4().hex}"


def is_local(run_or_model_id: str) -> bool:
    """Whether an id was made on this machine, while the server was away."""
    return _LOCAL in run_or_model_id


def server_id(folder: Path, run_or_model_id: str) -> str | None:
    """Return the server's id of a run or model; None if it has none yet.

    Local ids that somebody has seen stay when an outbox is deleted, so that a ``run_id``
    of the catalog goes on working.
    """
    if not is_local(run_or_model_id):
        return run_or_model_id
    for place in (folder, folder.parent):
        with suppress(FileNotFoundError):
            return (place / _IDS / run_or_model_id).read_text("utf-8")
    return None


def is_seen(folder: Path, run_or_model_id: str) -> bool:
    """Whether somebody has seen a local id, so that it stays when an outbox is deleted."""
    return (folder.parent / _IDS / run_or_model_id).exists()


def known_id(run_or_model_id: str, outboxes: Path | None = None) -> str:
    """Return the server's id for a local one that the catalog names, if it has one.

    Args:
        run_or_model_id: any id.
        outboxes: where outboxes are; None for those of the project of this code.
    """
    if not is_local(run_or_model_id):
        return run_or_model_id
    project = find_kedro_project(Path(__file__).parent) or Path()
    outbox = (outboxes or project / OUTBOXES) / "any"
    return server_id(outbox, run_or_model_id) or run_or_model_id


def set_server_id(place: Path, local: str, of_server: str) -> None:
    """Record the server's id of a run or model.

    Args:
        place: the outbox, for an id that nobody has seen; else the folder of all
            outboxes.
        local: the local id.
        of_server: the server's id.
    """
    (place / _IDS).mkdir(exist_ok=True)
    draft = place / _IDS / f".{local}.{os.getpid()}"
    draft.write_text(of_server, "utf-8")
    draft.replace(place / _IDS / local)


def read_json(file: Path) -> dict[str, Any]:
    """Return what ``write_json`` has written; empty if it has written nothing."""
    try:
        found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return found


def write_json(file: Path, content: Mapping[str, object]) -> None:
    """Write a file in one step, so that no reader sees half of it.

    Raises:
        OSError: the disk is full.
    """
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(content), "utf-8")
    draft.replace(file)
