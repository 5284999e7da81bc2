"""``python -m benchmarks.large``: memory and time of a large file and a long history.

Prints a table, and writes it to docs/performance.md. The memory is the most that the
process of the run has had, over that of a run that logs next to nothing.
"""

import argparse
import os
import re
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.mlflow_server import MlflowServer

from .contestants import OURS, PACKAGE, TEMPLATE, Contestant, build

PAGE = TEMPLATE / "docs/performance.md"
_REGISTRY = """
import array
from pathlib import Path
import mlflow
from kedro.pipeline import Pipeline, node

def work(size, points):
    file = Path("large.bin")
    with file.open("wb") as large:
        for _ in range(size):
            large.write(b"x" * 1_000_000)
    mlflow.log_artifact(str(file))
    file.unlink()
    return array.array("d", range(points))

def register_pipelines():
    return {"__default__": Pipeline([node(work, ["params:size", "params:points"], "loss")])}
"""
_SIZES = (1, 100, 2000)  # MB
_POINTS = (1, 100_000, 1_000_000)


def main() -> None:
    """Measure, print and write."""
    argparse.ArgumentParser(
        prog="python -m benchmarks.large", description=__doc__
    ).parse_args()
    cases = [(size, 1) for size in _SIZES] + [(1, points) for points in _POINTS[1:]]
    with TemporaryDirectory() as scratch:
        server = MlflowServer(Path(scratch))
        ours = build(OURS, Path(scratch))
        _has_pipeline(ours)
        ours.tracks_to(server.uri)
        _run(ours, 1, 1)  # makes the experiment, compiles
        found = [_run(ours, *case) for case in track(cases, "Running")]
        server.close()
    least = found[0][1]
    rows = [("file (MB)", "points", "seconds", "memory over the least (MB)")]
    rows += [
        (f"{size:,}", f"{points:,}", f"{seconds:.1f}", f"{memory - least:.0f}")
        for (size, points), (seconds, memory) in zip(cases, found, strict=True)
    ]
    table = Table(*rows[0])
    for row in rows[1:]:
        table.add_row(*row)
    Console().print(table)
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "| --- | --- | --- | --- |")
    body = "\n".join(["<!-- large -->", *lines, "<!-- end of large -->"])
    text = PAGE.read_text("utf-8")
    pattern = "<!-- large -->.*<!-- end of large -->"
    PAGE.write_text(re.sub(pattern, lambda _: body, text, flags=re.S), "utf-8")


def _has_pipeline(ours: Contestant) -> None:
    ours.has_pipeline(0, 0)
    registry = ours.project / "src" / PACKAGE / "pipeline_registry.py"
    registry.write_text(_REGISTRY, "utf-8")
    base = ours.project / "conf/base"
    (base / "catalog.yml").write_text(
        f"loss:\n  type: {PACKAGE}.tracking.MlflowMetricHistoryDataset\n", "utf-8"
    )


def _run(ours: Contestant, size: int, points: int) -> tuple[float, float]:
    """Run; return the seconds, and the peak of the memory in MB."""
    parameters = ours.project / "conf/base/parameters.yml"
    parameters.write_text(f"size: {size}\npoints: {points}\n", "utf-8")
    start = time.perf_counter()
    process = subprocess.Popen(
        [ours.project / ".venv/bin/kedro", "run"],
        cwd=ours.project,
        env={**os.environ, "DO_NOT_TRACK": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"a run of {size} MB and {points} points has failed"
    return time.perf_counter() - start, usage.ru_maxrss / 1000


if __name__ == "__main__":
    main()
