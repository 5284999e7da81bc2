"""What a run's records of itself cost: everything on beside everything off.

A project of this template, a repository with uncommitted changes, runs 50 nodes that each
load a table and log a metric, in turns with ``tracking.record`` on and off, in the
environment that calls this. The exit code is 1 when the ratio of the medians is over 1.1.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from copier import run_copy

TEMPLATE = Path(__file__).parents[1]
NODES = 50
MOST = 1.1

_RECORDS = (
    *("inputs", "metric_models", "signature", "input_example", "patch", "lock"),
    *("description", "timeline", "console"),
)
_REGISTRY = f'''"""A pipeline of {NODES} nodes."""

from kedro.pipeline import Pipeline, node


def rows(table):
    return float(len(table))


def register_pipelines():
    nodes = [
        node(rows, f"table_{{n}}", f"rows_{{n}}", name=f"n{{n}}") for n in range({NODES})
    ]
    return {{"__default__": Pipeline(nodes)}}
'''
_CATALOG = """
"table_{n}":
  type: pandas.CSVDataset
  filepath: data/table_{n}.csv
"rows_{n}":
  type: measured.tracking.MlflowMetricDataset
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.story", description=__doc__
    )
    parser.add_argument("--repeat", type=int, default=5, help="runs of each kind")
    repeat = parser.parse_args().repeat
    with tempfile.TemporaryDirectory() as folder:
        project = _project(Path(folder, "measured"))
        seconds: dict[bool, list[float]] = {True: [], False: []}
        _run(project, True)  # which compiles, and creates the store
        for _ in range(repeat):
            for is_on in (False, True):
                seconds[is_on].append(_run(project, is_on))
    off, on = (statistics.median(seconds[is_on]) for is_on in (False, True))
    print(f"off {off:.2f} s, on {on:.2f} s, ratio {on / off:.3f}, at most {MOST}")
    raise SystemExit(1 if on / off > MOST else 0)


def _project(folder: Path) -> Path:
    answers = {
        "project_name": "Measured",
        "python_package": "measured",
        "sample_pipeline": False,
    }
    run_copy(
        str(TEMPLATE), folder, data=answers, defaults=True, quiet=True, vcs_ref="HEAD"
    )
    (folder / "src/measured/pipeline_registry.py").write_text(_REGISTRY)
    (folder / "conf/base/catalog.yml").write_text(_CATALOG)
    for n in range(NODES):
        (folder / f"data/table_{n}.csv").write_text("x,y\n" + "1,2\n" * 1000)
    identity = ("-c", "user.name=b", "-c", "user.email=b@example.com")
    for words in (("init", "-q"), ("add", "."), (*identity, "commit", "-qm", "x")):
        subprocess.run(["git", *words], cwd=folder, check=True)
    (folder / "README.md").write_text("changed\n")
    return folder


def _run(project: Path, is_on: bool) -> float:
    record = json.dumps(dict.fromkeys(_RECORDS, is_on))
    settings = f"tracking: {{record: {record}}}\n"
    (project / "conf/local/mlflow.yml").write_text(settings)
    began = time.perf_counter()
    command = [sys.executable, "-m", "kedro", "run"]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
