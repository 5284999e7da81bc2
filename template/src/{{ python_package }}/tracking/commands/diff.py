"""Compare two runs: parameters, metrics, inputs, code and packages."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from ..redaction import HIDDEN
from ..run.source import short_digest
from .context import load_context
from .recorded import RecordedRun, fetched_runs, lock_digest

_DATA = ("metric", "input")  # what a rerun should give again


@dataclass(frozen=True)
class Row:
    """One thing of two runs.

    Attributes:
        kind: ``param``, ``metric``, ``input`` or ``source``.
        name: what it is called.
        one: its value in the first run; empty if that has none.
        other: its value in the second run.
    """

    kind: str
    name: str
    one: str
    other: str

    @property
    def is_equal(self) -> bool:
        return self.one == self.other


@dataclass(frozen=True)
class Difference:
    """Two runs side by side.

    Attributes:
        one: id and name of the first.
        other: id and name of the second.
        rows: everything that one of them has.
    """

    one: tuple[str, str]
    other: tuple[str, str]
    rows: list[Row]

    @property
    def is_reproduced(self) -> bool:
        """Whether metrics and inputs are equal."""
        return all(row.is_equal for row in self.rows if row.kind in _DATA)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        runs = [{"run_id": run_id, "name": name} for run_id, name in self._runs]
        rows = [{**asdict(row), "equal": row.is_equal} for row in self.rows]
        return {"runs": runs, "reproduced": self.is_reproduced, "rows": rows}

    @property
    def _runs(self) -> tuple[tuple[str, str], tuple[str, str]]:
        return self.one, self.other


def diff(project_path: Path, env: str, one: str, other: str) -> Difference:
    """Fetch two runs of an environment and compare them.

    Raises:
        TrackingError: one does not exist, or the server does not answer.
    """
    context = load_context(project_path, env)
    return difference(*fetched_runs(context, one, other))


def difference(one: RecordedRun, other: RecordedRun) -> Difference:
    """Compare two runs."""
    rows = list(_rows("metric", _numbers(one.metrics), _numbers(other.metrics)))
    digests = [{k: v.digest for k, v in run.inputs.items()} for run in (one, other)]
    rows += _rows("input", *digests)
    rows += _rows("param", one.params, other.params)
    rows += _rows("source", _source(one), _source(other))
    names = [(run.run_id, run.name) for run in (one, other)]
    return Difference(names[0], names[1], rows)


def _rows(kind: str, one: Mapping[str, str], other: Mapping[str, str]) -> Iterator[Row]:
    for name in sorted({*one, *other}):
        yield Row(kind, name, one.get(name, ""), other.get(name, ""))


def _numbers(metrics: Mapping[str, float]) -> dict[str, str]:
    return {
        name: f"{value:.12g}" if isfinite(value) else str(value)
        for name, value in metrics.items()
        if not name.startswith("system/")
    }


def _source(run: RecordedRun) -> dict[str, str]:
    found = {
        "status": run.status,
        "commit": run.commit[:12],
        "patch": _patch_digest(run.patch),
        "packages": lock_digest(run),
        "python": run.tags.get("python.version", ""),
        "command": run.tags.get("kedro_command", ""),
    }
    return {key: value for key, value in found.items() if value}


def _patch_digest(patch: str) -> str:
    """Return what tells changes from others, whatever was hidden in them.

    Git's hashes of the files are left out: of a hidden secret they tell that it is another.
    """
    if not patch:
        return ""
    seen = re.sub(r"(?m)^index [0-9a-f]+\.\.[0-9a-f]+", "index", patch)
    return short_digest(seen.replace(f"'{HIDDEN}'", HIDDEN))
