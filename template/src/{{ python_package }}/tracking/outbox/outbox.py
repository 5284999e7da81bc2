"""The outbox of an open run, for all threads and processes that log to it."""

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ..errors import TrackingError
from ..server.availability import ServerAway
from .delivery import Delivery, Refused
from .folder import (
    About,
    Lock,
    about,
    artifacts_of_local_run,
    create,
    local_id,
    new_file,
    server_id,
    set_server_id,
    this_host,
)
from .journal import Journal, Record, ends
from .limit import SizeLimit
from .records import file_record, run_record
from .release import CLOSING, release
from .repeats import Repeats
from .replay import new_local_run, notes, records
from .sender import Sender, has_sent, is_away
from .spool import keep
from .waiting import batch_waits, not_logged

if TYPE_CHECKING:
    from mlflow.entities import Run

_logger = logging.getLogger(__name__)


class Outbox:
    """Takes records of a run, and has them sent to its server in the background.

    The process that has opened the run sends; others on its machine only write. A record
    that cannot be written here, or that a worker on another machine logs, goes straight
    to the server.

    Args:
        folder: on this machine; None if it cannot be written to.
        delivery: to the server.
        experiment: the name of the run's experiment.
        limit: how many bytes of files may wait in all outboxes of the project.
        is_local: whether the server does not know the run yet.
    """

    def __init__(
        self,
        folder: Path | None,
        delivery: Delivery,
        experiment: str,
        limit: float,
        is_local: bool = False,
    ) -> None:
        self.folder, self._delivery = folder, delivery
        self.experiment, self.is_local = experiment, is_local
        self._journal = Journal(folder) if folder else None
        self._limit = SizeLimit(folder.parent if folder else Path(), limit)
        self._refused: list[Refused] = []
        self._notes: list[dict[str, Any]] = []  # if there is no disk
        self._sender: Sender | None = None
        self._process, self._host = os.getpid(), this_host()
        self._is_assumed_away = False
        self._thread = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        limit = self._limit.limit
        arguments = self._delivery, self.experiment, limit, self.is_local
        process = self._process, self._host
        return {"folder": self.folder, "arguments": arguments, "process": process}

    def __setstate__(self, state: dict[str, Any]) -> None:
        process, host = state["process"]
        # A shared disk may show another machine's files too late.
        is_here = host == this_host() and state["folder"] and state["folder"].exists()
        folder = state["folder"] if is_here else None
        self.__init__(folder, *state["arguments"])  # type: ignore[misc]
        self._process = process if is_here else 0  # which sends what is written here

    # --- Write ----------------------------------------------------------------

    def write(self, records: Sequence[Record]) -> None:
        """Take records; returns as soon as they are on this machine's disk."""
        if self._journal and records:
            try:
                self._journal.write(records)
                return
            except OSError as error:
                self._give_up(error)
        if records:
            self._refuse(self._delivery.send(records))

    def note(self, run_id: str, about: str, **data: Any) -> None:
        """Remember something for the processes of the run, not for its server."""
        note = {"about": about, **data}
        try:
            if self._journal:
                self._journal.write([Record(run_id, "note", note)])
                return
        except OSError as error:
            self._give_up(error)
        self._notes.append(note)

    def notes(self, about: str) -> list[dict[str, Any]]:
        """Return what all processes of the run have noted about something, in order."""
        mine = [note for note in self._notes if note["about"] == about]
        return [*(notes(self.folder, about) if self.folder else ()), *mine]

    def write_text(self, run_id: str, text: str, artifact_path: str) -> None:
        """Take a text as an artifact that a run is complete without."""
        with TemporaryDirectory() as folder:
            file = Path(folder, PurePosixPath(artifact_path).name)
            file.write_bytes(text.encode("utf-8", "surrogateescape"))
            self.write_file(run_id, file, artifact_path, is_optional=True)

    def write_file(
        self,
        run_id: str,
        file: Path,
        artifact_path: str,
        source: str = "",
        is_optional: bool = False,
    ) -> None:
        """Take a file as it is now; later changes of it do not matter.

        Args:
            run_id: the run.
            file: the file.
            artifact_path: its name in the run's artifacts, with its folders.
            source: the dataset that has saved it, for errors.
            is_optional: whether the run is complete without it.
        """
        if self.folder and self._has_room(file):
            try:
                copy = new_file(self.folder, run_id, artifact_path)
                keep(file, copy)
                words = (artifact_path, source, is_optional)
                self.write([file_record(run_id, copy, self.folder, *words)])
                return
            except OSError as error:
                if not file.exists():
                    raise
                self._give_up(error)
        elif self.folder and self.is_away:
            record = Record(run_id, "file", {"path": artifact_path}, source)
            self._refuse([] if is_optional else [self._limit.refused(record)])
            return
        data = {"path": artifact_path, "file": str(file.absolute())}
        record = Record(run_id, "file", {**data, "is_optional": is_optional}, source)
        self._refuse(self._delivery.upload_now(record))

    def _refuse(self, refused: list[Refused]) -> None:
        """Keep an error for the end of the run; in a worker, raise it."""
        self._refused += refused
        if refused and not self._is_owner:
            raise TrackingError(not_logged(refused))

    def _has_room(self, file: Path) -> bool:
        """Whether a file may wait here; over the limit, the node waits for the server."""
        number = file.stat().st_size
        if self._limit.has_room(number):
            return True
        return self.flush() and self._limit.has_room(number)

    def _give_up(self, error: OSError) -> None:
        """Use no disk any more; what is there already is still sent."""
        if self._journal:
            _logger.warning(
                "The outbox %s cannot be written to (%s); records go straight to the "
                "server, and nodes wait for it.",
                self.folder,
                error.strerror,
            )
        self._journal = None
        self.flush()  # or what waits would arrive after what goes straight to the server

    def opened(self, opening: str, run: "Run") -> None:
        """Record that the server has created or reopened the run of this outbox."""
        self.found(opening, run)
        self.write([Record(run.info.run_id, "open")])

    def found(self, opening: str, run: "Run") -> None:
        """Remember the server's id of the run, which others may end."""
        run_id = run.info.run_id
        self._delivery.locate(run_id, run.info.artifact_uri)
        if self.folder and run_id != opening:
            with suppress(OSError):
                set_server_id(self.folder, opening, run_id)

    def skip_repeats(self, run: "Run") -> None:
        """Do not send again what earlier attempts of this task have sent to the run."""
        self._delivery.repeats = Repeats(run.info.run_id, run)

    def create_local_run(
        self,
        experiment_id: str | None,
        tags: Mapping[str, str],
        name: str | None,
        start_time: int,
        opening: str = "",
    ) -> "Run":
        """Create a run that the server will create later.

        Args:
            experiment_id: the server's id of its experiment; None for the experiment of
                the outbox.
            tags: its tags.
            name: its name.
            start_time: in milliseconds since 1970.
            opening: the local id of the outbox's own run; empty for a nested run.

        Raises:
            ServerAway: it cannot be written here either.
        """
        if self._journal is None or self.folder is None:
            raise ServerAway("The server is away, and there is no outbox to write to.")
        run_id, user = opening or local_id(), tags.get("mlflow.user", "")
        record = run_record(
            run_id, experiment_id, self.experiment, start_time, tags, name, user
        )
        self._journal.write([record])
        self.is_local = self.is_local or bool(opening)
        artifacts = artifacts_of_local_run(self.folder, run_id).as_uri()
        return new_local_run(record, artifacts)

    def register(self, run_id: str, model_id: str, name: str) -> None:
        """Let a model become a new version of a registered one, when it is sent."""
        data = {"model_id": model_id, "key": name}
        self.write([Record(run_id, "version", data)])

    def local_model_id(self, name: str) -> str | None:
        """Return the newest model of that name which the server does not know yet."""
        found = None
        for record in records(self.folder) if self.folder and self.is_away else ():
            if record.kind == "model" and record.data["name"] == name:
                found = str(record.data["model_id"])
        return found

    # --- Send -----------------------------------------------------------------

    def start(
        self, on_away: Callable[[Exception], None], on_back: Callable[[], None]
    ) -> None:
        """Send in the background, from this process; see ``Sender``."""
        if self.folder:
            self._sender = Sender(self.folder, self._delivery, on_away, on_back)
            self._sender.start()

    def hold(self) -> None:
        """Let what the last node saves share a request with the end of the run."""
        if self._is_owner and self._sender and not self.is_away:
            self._sender.hold()

    def flush(self, timeout: float = float("inf"), is_patient: bool = False) -> bool:
        """Wait until the server has what was written; see ``Sender.flush``.

        Returns:
            Whether it has everything.
        """
        if self.folder is None:
            return True
        if not self._is_owner:
            return _wait_for_the_owner(self.folder)
        return bool(self._sender and self._sender.flush(timeout, is_patient))

    def take_refused(self) -> list[Refused]:
        """Return what the server has refused since the last call."""
        refused, self._refused = self._refused, []
        return refused + (self._sender.take_refused() if self._sender else [])

    def refuse_if_away(self) -> None:
        """Raise an error at once if the server was away at the last try.

        Raises:
            ServerAway: it was.
        """
        if self.is_away:
            raise ServerAway("The server is away.")

    def found_away(self, error: Exception) -> None:
        """Let the server count as away until it has taken a record."""
        if self._is_owner and self._sender:
            self._sender.found_away(error)

    @property
    def is_away(self) -> bool:
        """Whether the server was away at the last try, or does not know the run yet."""
        if self._is_assumed_away or self.is_local:
            return True
        if self._is_owner:
            return bool(self._sender and self._sender.away)
        return bool(self.folder and is_away(self.folder))

    @property
    def server_id(self) -> str:
        """The server's id of a local run, once it has one."""
        found = self.folder and server_id(self.folder, about(self.folder).opening)
        return found or ""

    @contextmanager
    def assumed_away(self) -> Iterator[None]:
        """Let the server count as away inside the block: a request has just failed."""
        self._is_assumed_away = True
        try:
            yield
        finally:
            self._is_assumed_away = False

    @contextmanager
    def without_local_models(self) -> Iterator[None]:
        """Begin no model here in this thread: its version needs the server at once."""
        self._thread.wants_server = True
        try:
            yield
        finally:
            self._thread.wants_server = False

    @property
    def has_local_models(self) -> bool:
        """Whether a model may begin here, in this thread, while the server is away."""
        return not getattr(self._thread, "wants_server", False)

    @property
    def has_batch(self) -> bool:
        """Whether metrics, parameters or tags wait to be sent, in any process."""
        return bool(self.folder and batch_waits(self.folder))

    def hurry(self, seconds: float) -> None:
        """End every wait within these seconds."""
        if self._sender:
            self._sender.hurry(seconds)

    def close(self) -> None:
        """Send nothing more."""
        if self._sender:
            self._sender.stop()
        if self._journal:
            self._journal.close()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait after ``close`` until no request is under way; return whether it is so."""
        return self._sender is None or self._sender.wait(timeout)

    @property
    def _is_owner(self) -> bool:
        return self._process == os.getpid()


def _wait_for_the_owner(folder: Path) -> bool:
    """Wait, in a worker, until the run's own process has sent everything."""
    target = ends(folder)
    while not has_sent(folder, target):
        if is_away(folder):
            return False
        time.sleep(0.02)
    return True


@contextmanager
def opened_outbox(
    outboxes: Path, whose: About, delivery: Callable[[Path], Delivery], limit: float
) -> Iterator[Outbox]:
    """Create an outbox, and delete it at the end if the server has everything.

    Args:
        outboxes: where outboxes are.
        whose: whose it is.
        delivery: makes the delivery of its folder.
        limit: how many bytes of files may wait in all outboxes together.
    """
    new = outboxes / uuid.uuid4().hex
    folder: Path | None = new
    lock = Lock(new)
    try:
        outboxes.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        create(new, whose)
    except OSError as error:
        _logger.warning(
            "%s cannot be written to (%s); what the run logs goes straight to the "
            "server, and nodes wait for it.",
            outboxes,
            error.strerror or error,
        )
        folder = None
    outbox = Outbox(folder, delivery(folder or outboxes), whose.experiment, limit)
    try:
        yield outbox
    finally:
        outbox.close()
        outbox.wait(CLOSING)
        release(lock, folder, outbox.wait)
