"""What waits in outboxes for a server."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..terminal.humanize import size
from .delivery import BATCH, Refused
from .folder import artifacts_of_local_run
from .journal import Record, journals, read
from .lane import sent
from .sender import lane_of


@dataclass(frozen=True)
class Waiting:
    """How much waits.

    Attributes:
        records: metrics, parameters, tags and the like.
        files: artifacts.
        bytes: of both.
    """

    records: int
    files: int
    bytes: int

    def __str__(self) -> str:
        files = f" and {_count(self.files, 'file')}" if self.files else ""
        verb = "waits" if self.records + self.files == 1 else "wait"
        return f"{_count(self.records, 'record')}{files} ({size(self.bytes)}) {verb}"


def waiting(folder: Path) -> Waiting:
    """Count what an outbox holds that its server does not have."""
    counts, total = {"records": 0, "files": 0}, 0
    positions = {lane: sent(folder, lane) for lane in counts}
    for file in journals(folder):
        before = 0
        for record, position in read(file, 0):
            lane = lane_of(record)
            if lane and position > positions[lane].get(file.name, 0):
                counts[lane] += 1
                total += position - before
                sizes = list(_sizes(folder, record))
                counts["files"] += len(sizes) if record.kind == "model_end" else 0
                total += sum(sizes)
            before = position
    return Waiting(counts["records"], counts["files"], total)


def batch_waits(folder: Path) -> bool:
    """Whether records of an outbox wait that can share a request with others."""
    position = sent(folder, "records")
    return any(
        record.kind in BATCH
        for file in journals(folder)
        for record, _ in read(file, position.get(file.name, 0))
    )


def _sizes(folder: Path, record: Record) -> Iterator[int]:
    """Yield the sizes of the files that are sent with a record."""
    files: Iterable[Path] = ()
    if record.kind == "file":
        files = [folder / record.data["file"]]
    elif record.kind == "model_end":
        model = artifacts_of_local_run(folder, record.data["model_id"])
        files = (file for file in model.rglob("*") if file.is_file())
    for file in files:
        with suppress(FileNotFoundError):  # it has just been sent
            yield file.stat().st_size


def not_logged(refused: Sequence[Refused]) -> str:
    """Return a sentence about records that the server will not have."""
    sentences = []
    for verdict, reason in dict.fromkeys((r.verdict, r.reason) for r in refused):
        records = [each.record for each in refused if each.reason == reason]
        many = len(records) > 3
        names = [f"'{record.name}'" if many else str(record) for record in records]
        names = list(dict.fromkeys(names))
        more = f" and {len(names) - 10} more" if len(names) > 10 else ""
        what = ", ".join(names[:10]) + more
        sentences.append(f"{verdict} {what}. {reason}")
    return "\n".join(sentences)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
