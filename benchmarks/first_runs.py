"""``python -m benchmarks.first_runs``: processes whose first runs make the store at once.

Each trial starts some ``kedro run`` at one moment in a project without a store, and counts
the runs that are whole: FINISHED, with their parameter and metric.
"""

import argparse
import os
import shutil
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
from rich.console import Console

from .contestants import OURS, PACKAGE, Contestant, build


def main() -> None:
    """Run the trials, and print what was not whole."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.first_runs", description=__doc__
    )
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--trials", type=int, default=20)
    options = parser.parse_args()
    console, bad, start = Console(), 0, time.perf_counter()
    with TemporaryDirectory() as scratch:
        ours = build(OURS, Path(scratch))
        ours.has_pipeline(1, 1)
        for number in range(1, options.trials + 1):
            began = time.perf_counter()
            problems = _trial(ours, options.processes)
            bad += bool(problems)
            for problem in problems:
                console.print(f"{number}: {problem}", style="red")
            console.print(
                f"trial {number} of {options.trials}: {time.perf_counter() - began:.0f} s"
            )
    console.print(
        f"{options.trials - bad} of {options.trials} trials of {options.processes} first "
        f"runs at once were whole, in {time.perf_counter() - start:.0f} s"
    )
    raise SystemExit(1 if bad else 0)


def _trial(ours: Contestant, count: int) -> list[str]:
    shutil.rmtree(ours.project / "mlruns", ignore_errors=True)
    both = [
        subprocess.Popen(
            [ours.project / ".venv/bin/kedro", "run"],
            cwd=ours.project,
            env={**os.environ, "DO_NOT_TRACK": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    errors = [process.communicate()[1] for process in both]
    problems = [
        error[-500:]
        for process, error in zip(both, errors, strict=True)
        if process.returncode
    ]
    client = mlflow.MlflowClient(f"sqlite:///{ours.project}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name(PACKAGE)
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    if len(runs) != count:
        problems.append(f"{len(runs)} runs of {count}")
    problems += [
        f"{run.info.run_id} is {run.info.status} with {run.data.params}, {run.data.metrics}"
        for run in runs
        if run.info.status != "FINISHED" or not (run.data.params and run.data.metrics)
    ]
    return problems


if __name__ == "__main__":
    main()
