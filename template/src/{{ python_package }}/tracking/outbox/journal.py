"""The journal: what a run records, one JSON object in a line, in order."""

import json
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_SUFFIX = ".jsonl"


@dataclass(frozen=True)
class Record:
    """Something that a run has logged.

    Attributes:
        run_id: the run, by the id that its nodes see.
        kind: ``metric``, ``param``, ``tag``, ``inputs``, ``file``, ``run``, ``info``,
            ``trace``, or one of a model's. A ``note`` is for the processes of the run
            and not for the server.
        data: what MLflow needs to log it, as JSON.
        source: the dataset that has saved it, for errors; empty for others.
    """

    run_id: str
    kind: str
    data: dict[str, Any] = field(default_factory=dict)
    source: str = ""

    @property
    def is_optional(self) -> bool:
        """Whether the run is complete without it: nobody has asked for it."""
        return bool(self.data.get("is_optional"))

    @property
    def name(self) -> str:
        """What it is called, for messages."""
        names = {"info": "the status of the run", "trace": "timeline"}
        known = names.get(self.kind, self.kind)
        return str(self.data.get("key") or self.data.get("path") or known)

    def __str__(self) -> str:
        by = f" (saved by the dataset '{self.source}')" if self.source else ""
        return f"'{self.name}'{by}"


class Journal:
    """Appends the records of this process to a file of its own.

    Every process of a run has a file in the same folder. A write is one call of the
    system, so that threads and forks do not mix their lines; what was written survives
    the end of the process.

    Args:
        folder: of the run's outbox.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._file: int | None = None
        self._process = 0

    def write(self, records: Iterable[Record]) -> None:
        """Append records.

        Raises:
            OSError: the disk is full, or the folder cannot be written to.
        """
        text = "".join(json.dumps(asdict(record)) + "\n" for record in records)
        with self._lock:
            whole = memoryview(text.encode())
            start = os.fstat(self._opened()).st_size
            written = 0
            try:
                while written < len(whole):
                    written += os.write(self._opened(), whole[written:])
            except OSError:
                os.ftruncate(self._opened(), start)  # no half of a record
                raise

    def close(self) -> None:
        """Close the file; idempotent."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _opened(self) -> int:
        if self._file is None or self._process != os.getpid():
            self._process = os.getpid()
            name = f"{time.time_ns()}-{self._process}{_SUFFIX}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            self._file = os.open(self._folder / name, flags, 0o600)
        return self._file


def journals(folder: Path) -> list[Path]:
    """Return the files of all processes, the oldest first."""
    return sorted(folder.glob(f"[0-9]*{_SUFFIX}"))


def ends(folder: Path) -> dict[str, int]:
    """Return where the last whole record of each file ends, in bytes."""
    return {file.name: _end(file) for file in journals(folder)}


def force_to_disk(files: Iterable[Path]) -> None:
    """Let files survive a loss of power; a system may keep them in memory for a while."""
    for name in files:
        with suppress(OSError), name.open("ab") as file:  # one may be sent just now
            os.fsync(file.fileno())


def read(file: Path, start: int) -> Iterator[tuple[Record, int]]:
    """Yield the whole records of a file, each with the position after it.

    An incomplete line is being written, or the last one of a process that was killed.
    """
    with file.open("rb") as lines:
        lines.seek(start)
        for line in lines:
            if not line.endswith(b"\n"):
                return
            start += len(line)
            yield Record(**json.loads(line)), start


def _end(file: Path) -> int:
    size = file.stat().st_size
    with file.open("rb") as lines:
        while size:
            start = max(0, size - 65536)
            lines.seek(start)
            newline = lines.read(size - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            size = start
    return 0
