"""Let others send an outbox, once nothing of this process is under way."""

import threading
from collections.abc import Callable
from pathlib import Path

from .folder import Lock
from .journal import ends, force_to_disk
from .sender import has_sent

CLOSING = 2.0
"""Seconds to wait for a request that is under way, before somebody else may send."""


def release(
    lock: Lock, folder: Path | None, wait: Callable[[float | None], bool]
) -> None:
    """Let others send an outbox, or delete it if its server has everything.

    A request that takes longer is awaited in a thread: a record that two processes send
    at once could arrive twice.

    Args:
        lock: of the outbox.
        folder: the outbox; None if there is none.
        wait: waits so many seconds until nothing is under way, or without a limit;
            returns whether that is so.
    """
    if wait(0):
        _release(lock, folder)
    else:
        words = lock, folder, wait
        threading.Thread(target=_release_later, args=words, daemon=True).start()


def _release_later(
    lock: Lock, folder: Path | None, wait: Callable[[float | None], bool]
) -> None:
    wait(None)
    _release(lock, folder)


def _release(lock: Lock, folder: Path | None) -> None:
    if folder and has_sent(folder, ends(folder)):
        lock.release_and_delete(folder)
    else:
        if folder:
            force_to_disk(file for file in folder.rglob("*") if file.is_file())
        lock.release()
