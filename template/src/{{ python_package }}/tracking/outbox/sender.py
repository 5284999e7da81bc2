"""Send an outbox in the background, while nodes compute."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from .delivery import Delivery, Refused
from .journal import Record, ends
from .lane import Lane, sent

_RECORDS = 1000  # MLflow's limit for a request
_FILES = 32  # of which some are uploaded at once
_LANES = ("records", "files")
_AWAY = "away"


class Sender:
    """Sends what all processes of a run write to its outbox.

    Records leave in one thread and files in another, so that a large file delays no
    metric. Both try again, with growing pauses, until the server answers.

    Args:
        folder: the outbox.
        delivery: to its server.
        on_away: called with the error when the server goes away.
        on_back: called when it answers again.
    """

    def __init__(
        self,
        folder: Path,
        delivery: Delivery,
        on_away: Callable[[Exception], None],
        on_back: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._on_away, self._on_back = on_away, on_back
        self._changed = threading.Condition()
        self._deadline = float("inf")
        self._was_away = False
        self._lanes = (
            self._lane(_LANES[0], delivery.log, _RECORDS, _nothing),
            self._lane(_LANES[1], delivery.upload, _FILES, delivery.forget),
        )

    def _lane(
        self,
        name: str,
        send: Callable[[list[Record]], list[Refused]],
        limit: int,
        on_sent: Callable[[list[Record]], None],
    ) -> Lane:
        def is_mine(record: Record) -> bool:
            return lane_of(record) == name

        return Lane(self._folder, name, is_mine, send, limit, on_sent, self._tried)

    def start(self) -> None:
        """Begin to send, in daemon threads."""
        for lane in self._lanes:
            lane.start()

    def wake(self) -> None:
        """Send now what is there."""
        for lane in self._lanes:
            lane.wake()

    def hold(self) -> None:
        """Send no records until ``wake``; files go on."""
        self._lanes[0].hold()

    def stop(self) -> None:
        """Send nothing more; a request that is under way is not awaited."""
        for lane in self._lanes:
            lane.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait after ``stop`` until nothing is under way; return whether that is so."""
        return all([lane.wait(timeout) for lane in self._lanes])

    @property
    def away(self) -> Exception | None:
        """Why the server is away; None if it answers."""
        return next((lane.away for lane in self._lanes if lane.away), None)

    def found_away(self, error: Exception) -> None:
        """Let the server count as away, for somebody else's request has failed."""
        self._lanes[0].away = error
        self._tried()

    def flush(self, timeout: float = float("inf"), is_patient: bool = False) -> bool:
        """Wait until the server has, or refuses, all that was written until now.

        Args:
            timeout: seconds to wait at most.
            is_patient: whether to go on waiting when the server turns out to be away.

        Returns:
            Whether it has everything.
        """
        target, tries = ends(self._folder), [lane.tries for lane in self._lanes]
        end = time.monotonic() + timeout
        self.wake()
        with self._changed:
            while not all(lane.has_sent(target) for lane in self._lanes):
                left = min(end, self._deadline) - time.monotonic()
                if left <= 0 or (self._has_failed(tries) and not is_patient):
                    return False
                self._changed.wait(min(left, 0.2))  # in steps that notice ``hurry``
        return True

    @property
    def part_sent(self) -> float:
        """How much of the journals was sent, from 0 to 1."""
        target = ends(self._folder)
        whole = sum(target.values()) * len(self._lanes)
        done = sum(lane.bytes_sent(target) for lane in self._lanes)
        return done / whole if whole else 1.0

    def hurry(self, seconds: float) -> None:
        """End every wait within these seconds: the process is asked to stop."""
        self._deadline = time.monotonic() + seconds

    def take_refused(self) -> list[Refused]:
        """Return what the server has refused since the last call."""
        refused = []
        for lane in self._lanes:
            found, lane.refused = lane.refused, []
            refused += found
        return refused

    def _has_failed(self, tries: list[int]) -> bool:
        """Whether a lane has failed again since it had made some number of tries."""
        lanes = zip(self._lanes, tries, strict=True)
        return any(lane.away and lane.tries > before for lane, before in lanes)

    def _tried(self) -> None:
        with self._changed:
            away, was_away = self.away, self._was_away
            self._was_away = away is not None
            self._changed.notify_all()
        if away and not was_away:
            with suppress(OSError):
                (self._folder / _AWAY).touch()
            self._on_away(away)
        elif was_away and not away:
            (self._folder / _AWAY).unlink(missing_ok=True)
            self._on_back()


def has_sent(folder: Path, ends: Mapping[str, int]) -> bool:
    """Whether the process that sends an outbox has passed these positions."""
    lanes = [sent(folder, lane) for lane in _LANES]
    return all(lane.get(name, 0) >= end for lane in lanes for name, end in ends.items())


def is_away(folder: Path) -> bool:
    """Whether the process that sends an outbox cannot reach the server."""
    return (folder / _AWAY).exists()


def _nothing(_: object) -> None:
    """Records leave nothing to delete."""


def lane_of(record: Record) -> str:
    """Return the name of the lane that sends a record; empty for a note."""
    if record.kind == "note":
        return ""
    return _LANES[1] if record.kind == "file" else _LANES[0]
