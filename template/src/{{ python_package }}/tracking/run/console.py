"""The log of a run, as an artifact."""

import heapq
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path

from ..redaction import without_secrets

_FOLDER = "console"  # in the outbox
_FORMAT = "%(asctime)s %(levelname)-8s %(name)s: %(message)s"
_BEGIN = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")


@contextmanager
def console_kept(outbox: Path | None, max_bytes: int) -> Iterator[None]:
    """Keep what this process logs in a file, inside the block.

    A forked process keeps it already.

    Args:
        outbox: the outbox of the run; None to keep nothing.
        max_bytes: of which the end is kept.
    """
    root = logging.getLogger()
    folders = [h.folder for h in root.handlers if isinstance(h, _Handler)]
    if outbox is None or not max_bytes or outbox / _FOLDER in folders:
        yield
        return
    handler = _Handler(outbox / _FOLDER, max_bytes)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()


def console_log(outbox: Path | None, max_bytes: int) -> str:
    """Return what all processes of a run have logged, in order; at most so much."""
    files = outbox.glob(f"{_FOLDER}/*.log") if outbox and max_bytes else ()
    parts = []
    for file in sorted(files):
        older = file.with_name(f"{file.name}.1")
        texts = [f.read_text("utf-8", "replace") for f in (older, file) if f.exists()]
        parts.append(_entries("".join(texts)))
    text = without_secrets("".join(heapq.merge(*parts, key=lambda entry: entry[:23])))
    whole = text.encode()
    if len(whole) <= max_bytes:
        return text
    return "… the beginning is left out\n" + whole[-max_bytes:].decode(
        "utf-8", "ignore"
    )


def _entries(text: str) -> list[str]:
    """Divide a log where an entry begins: a traceback has many lines."""
    found: list[str] = []
    for line in text.splitlines(keepends=True):
        if found and not _BEGIN.match(line):
            found[-1] += line
        else:
            found.append(line)
    return found


class _File(RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """Be silent on a full disk, which stops no node."""


class _Handler(logging.Handler):
    """Writes to a file of its own in each process, also in a forked one.

    Args:
        folder: for the files.
        max_bytes: for all of them together, roughly.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        super().__init__()
        self.folder, self._max_bytes = folder, max_bytes
        self._file: RotatingFileHandler | None = None
        self._process = 0

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            self._opened().emit(record)

    def close(self) -> None:
        if self._file:
            self._file.close()
        super().close()

    def _opened(self) -> RotatingFileHandler:
        if self._file is None or self._process != os.getpid():
            self._process = os.getpid()
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self._file = _File(
                self.folder / f"{self._process}.log",
                maxBytes=self._max_bytes,
                backupCount=1,
                encoding="utf-8",
            )
            self._file.setFormatter(logging.Formatter(_FORMAT))
        return self._file
