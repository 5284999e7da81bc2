"""Outboxes that no process sends any more: settle their runs, and send what waits."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from .delivery import Delivery, Refused, reason
from .folder import About, Lock, about, delete_remains, folders, server_id, this_host
from .journal import Journal, Record, ends, journals
from .records import info_record
from .release import CLOSING, release
from .replay import records
from .sender import Sender, has_sent
from .waiting import Waiting, waiting

LastWords = Callable[[Path, int], list[Record]]
"""Takes an outbox, and the end of its process in milliseconds since 1970."""

_ENDED = ("FINISHED", "FAILED", "KILLED")
_REFUSED = "refused.jsonl"


@dataclass(frozen=True)
class Left:
    """An outbox whose process has ended.

    Attributes:
        folder: the outbox.
        about: whose it is.
        was_killed: whether its process ended without a status for the run.
        waiting: what waits.
        senders: what has sent it in this process.
    """

    folder: Path
    about: About
    was_killed: bool
    waiting: Waiting
    senders: list[Sender]

    @property
    def run_id(self) -> str:
        """The server's id of the run, or else the local one."""
        return server_id(self.folder, self.about.opening) or self.about.opening


@contextmanager
def left_outbox(
    folder: Path, last_words: LastWords, any_host: bool = False
) -> Iterator[Left | None]:
    """Yield an outbox that this process alone may send; None if another one may.

    A run whose process has ended without a status becomes KILLED.

    Args:
        folder: the outbox.
        last_words: returns what such a run would have recorded of itself at its end.
        any_host: whether to take one of another machine, which nobody can ask whether
            its process has ended.
    """
    lock = Lock(folder)
    try:
        is_ours = any_host or about(folder).host == this_host()
        whose = about(folder) if is_ours and lock.acquire() else None
    except OSError:  # another process has just deleted it
        whose = None
    if whose is None:
        lock.release()
        yield None
        return
    senders: list[Sender] = []
    try:
        was_killed = _settle(folder, whose, last_words)
        yield Left(folder, whose, was_killed, waiting(folder), senders)
    finally:
        release(lock, folder, lambda t: all([sender.wait(t) for sender in senders]))


def left_outboxes(
    outboxes: Path,
    last_words: LastWords,
    is_wanted: Callable[[About], bool] = lambda whose: not whose.task,
) -> Iterator[Left]:
    """Yield the outboxes of this machine that no process sends, the oldest first.

    Args:
        outboxes: where they are.
        last_words: as for ``left_outbox``.
        is_wanted: whether to yield one. What a task has left is sent by its next attempt
            or at the end of its workflow: together with a retry it would arrive twice.
    """
    delete_remains(outboxes)
    for folder in folders(outboxes):
        with suppress(FileNotFoundError):  # another process has just deleted it
            if not is_wanted(about(folder)):
                continue
        with left_outbox(folder, last_words) as left:
            if left:
                yield left


def ended_without_status(outboxes: Path) -> Iterator[str]:
    """Yield the ids of runs whose process on this machine has ended without a status.

    It only reads; ``left_outboxes`` gives them a status.
    """
    for folder in folders(outboxes):
        lock = Lock(folder)
        try:
            whose = about(folder)
            if whose.host == this_host() and not whose.task and lock.acquire():
                for run_id, is_open in _opened(folder, whose).items():
                    if is_open:
                        yield server_id(folder, run_id) or run_id
        except OSError:  # another process has just deleted it, or nobody can lock here
            continue
        finally:
            lock.release()


def send(
    left: Left, delivery: Delivery, on_step: Callable[[float], bool]
) -> tuple[list[Refused], str]:
    """Send what waits in an outbox.

    Args:
        left: the outbox.
        delivery: to its server.
        on_step: called now and then with the part that was sent, 0 to 1; returns whether
            to stop.

    Returns:
        What the server has refused, which is also kept in a file; and why something
        waits still, empty if nothing does.
    """
    sender = Sender(left.folder, delivery, lambda _: None, lambda: None)
    left.senders.append(sender)
    sender.start()
    try:
        while not sender.flush(0.2):
            if on_step(sender.part_sent) or sender.away:
                break
    finally:
        sender.stop()
        sender.wait(CLOSING)
    refused = sender.take_refused()
    _keep(refused, left.folder.parent)
    if has_sent(left.folder, ends(left.folder)):
        return refused, ""
    return refused, reason(sender.away or TimeoutError("it was not sent in time"))


def send_copy(folder: Path, delivery: Delivery) -> None:
    """Send the copy of an outbox, whose runs no server knows, to a store to look at."""
    sender = Sender(folder, delivery, lambda _: None, lambda: None)
    sender.start()
    sender.flush()
    sender.stop()


def _settle(folder: Path, whose: About, last_words: LastWords) -> bool:
    """Write the end of runs that have none; return whether there were any."""
    opened = _opened(folder, whose)
    written = [file.stat().st_mtime for file in journals(folder)]
    end = int(1000 * max(written, default=folder.stat().st_mtime))
    left_open = [run_id for run_id, is_open in opened.items() if is_open]
    new = [info_record(run_id, "KILLED", end) for run_id in left_open]
    if left_open:
        new += last_words(folder, end)
    if not opened and not whose.is_joined:
        # It ended while the server created the run, perhaps.
        data = {"experiment": whose.experiment, "end_time": end}
        new = [Record(whose.opening, "unanswered", data)]
    journal = Journal(folder)
    journal.write(new)
    journal.close()
    return bool(new)


def _opened(folder: Path, whose: About) -> dict[str, bool]:
    """Return the runs of an outbox, and of each whether it has no final status."""
    opened: dict[str, bool] = {}
    for record in records(folder):
        if record.kind in ("open", "run"):
            opened.setdefault(record.run_id, True)
        elif record.kind == "info" and record.data["status"]:
            opened[record.run_id] = record.data["status"] not in _ENDED
    if whose.is_joined:
        opened.pop(whose.opening, None)  # others end it
    return opened


def _keep(refused: list[Refused], outboxes: Path) -> None:
    """Keep refused records, in case that somebody wants to know what they were."""
    if refused:
        (outboxes / _REFUSED).touch(mode=0o600)
        with (outboxes / _REFUSED).open("a", encoding="utf-8") as file:
            for each in refused:
                data = {**asdict(each.record), "reason": each.reason}
                file.write(json.dumps(data) + "\n")
