"""One of the two queues of an outbox: its records, or its files."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from ..server.availability import tried_once
from .delivery import NotYet, Refused
from .folder import read_json, write_json
from .journal import Record, force_to_disk, journals, read

_NOTICE = 0.5  # seconds until what was written is sent, in few requests
_PAUSE = 0.25  # seconds before an away server is tried again; doubles
_LONGEST_PAUSE = 4.0


class Lane:
    """Sends some kinds of records, in order, and remembers how far it is.

    Args:
        folder: the outbox.
        name: for the file that remembers how far it is.
        is_mine: whether a record is sent here.
        send: sends records; returns the refused ones, and raises if the server is away.
        limit: how many at once.
        on_sent: called with what was sent, when that is remembered on the disk.
        changed: called after every try.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        is_mine: Callable[[Record], bool],
        send: Callable[[list[Record]], list[Refused]],
        limit: int,
        on_sent: Callable[[list[Record]], None],
        changed: Callable[[], None],
    ) -> None:
        self._folder, self._name = folder, name
        self._is_mine, self._send, self._limit = is_mine, send, limit
        self._on_sent = on_sent
        self._changed = changed
        self._sent = sent(folder, name)
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_stopped = self._is_held = False
        self.refused: list[Refused] = []
        self.away: Exception | None = None
        self.tries = 0

    def start(self) -> None:
        """Begin, in a daemon thread."""
        name = f"mlflow-{self._name}"
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Send now what is there."""
        self._is_held = False
        self._woken.set()

    def hold(self) -> None:
        """Send nothing until ``wake``: what is written meanwhile shares requests."""
        self._woken.clear()
        self._is_held = True

    def stop(self) -> None:
        """Send nothing more; ``wait`` waits for a request that is under way."""
        self._is_stopped = True
        self.wake()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is under way; return whether that is so."""
        if self._thread:
            self._thread.join(timeout)
        return not (self._thread and self._thread.is_alive())

    def has_sent(self, ends: Mapping[str, int]) -> bool:
        """Whether it has passed these positions in the journals."""
        return all(self._sent.get(name, 0) >= end for name, end in ends.items())

    def bytes_sent(self, ends: Mapping[str, int]) -> int:
        """Return how many bytes of these journals it has passed."""
        return sum(min(self._sent.get(name, 0), end) for name, end in ends.items())

    def _work(self) -> None:
        pause = _PAUSE
        with tried_once():
            while not self._is_stopped:
                if self._is_held:
                    self._woken.wait()
                try:
                    is_done = self._step()
                    pause, away = _PAUSE, self.away if is_done else None
                except NotYet:
                    is_done, away = True, None
                except Exception as error:
                    is_done, away = True, error
                if self._is_stopped:
                    return  # the outbox may be deleted already
                self.away = away
                self.tries += 1
                self._changed()
                if is_done:
                    self._woken.wait(pause if away else _NOTICE)
                    self._woken.clear()
                if away:
                    force_to_disk(journals(self._folder))
                    pause = min(2 * pause, _LONGEST_PAUSE)

    def _step(self) -> bool:
        """Send the next records; return whether there were none."""
        records: list[Record] = []
        ahead = dict(self._sent)
        for file in journals(self._folder):
            for record, position in read(file, ahead.get(file.name, 0)):
                if self._is_mine(record):
                    if len(records) == self._limit:
                        break
                    records.append(record)
                ahead[file.name] = position
        if ahead == self._sent:
            return True
        refused = self._send(records) if records else []
        with suppress(OSError):  # a full disk: what is sent again does no harm
            write_json(_file(self._folder, self._name), ahead)
            self._on_sent(records)
        self.refused += refused
        self._sent = ahead
        return False


def sent(folder: Path, lane: str) -> dict[str, int]:
    """Return how far a lane is in each journal, in bytes."""
    return read_json(_file(folder, lane))


def _file(folder: Path, lane: str) -> Path:
    return folder / f"sent-{lane}.json"
