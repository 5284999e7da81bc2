"""Run 200 tasks of one workflow as processes, kill some of them, and count what arrives.

Writes ``results/workflow.json``:

- ``tasks``, ``at_once``: processes, each with a ``KedroSession`` of one node; they are forks
  of one that has imported Kedro and MLflow, since imports are not what is measured.
- ``killed``, ``failed``: first attempts that end by ``kill -9``, and by an exception; all are
  tried again. ``noticed``: those that ``kedro mlflow finish`` names before.
- ``runs``: of the workflow on the server; ``status``: its own at the end.
- ``points``, ``expected``: of all metrics.
- ``requests``: that the server has answered, ``for_each_attempt`` of a task.
"""

import argparse
import json
import multiprocessing
import os
import re
import signal
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from copier import run_copy

from tests.mlflow_server import MlflowServer

TEMPLATE = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "workflow.json"
KEY = "KEDRO_MLFLOW_RUN_KEY"

REGISTRY = '''
import os
import signal
import time
from functools import partial, update_wrapper
from pathlib import Path

import mlflow
from kedro.pipeline import Pipeline, node

TASKS = int(os.environ["TASKS"])


def work(value, number):
    """Log, and end in the way that a file says, once."""
    mlflow.log_metric(f"fluent_{number}", value)
    mistake = Path(f"mistake-{number}")
    if mistake.exists():
        what = mistake.read_text()
        mistake.unlink()
        time.sleep(number % 7 / 10)  # a part of what was logged may be on its way
        if what == "fail":
            raise ZeroDivisionError("as the benchmark wants it")
        os.kill(os.getpid(), signal.SIGKILL)
    return [0.9, 0.5, 0.3]


def task(number):
    function = update_wrapper(partial(work, number=number), work)
    return node(function, f"params:p_{number}", f"history_{number}", name=f"task_{number}")


def register_pipelines():
    return {"__default__": Pipeline([task(number) for number in range(TASKS)])}
'''


def main() -> None:
    """Run the workflow, and write the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workflow")
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=20)
    parser.add_argument("--mistakes", type=int, default=5, help="of each kind")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        figures = _measured(Path(folder), options)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    print(json.dumps(figures, indent=2))


def _measured(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    import mlflow.tracking  # noqa: F401  # once, for all forks

    os.environ |= {"TASKS": str(options.tasks), KEY: "benchmark/1", "DO_NOT_TRACK": "1"}
    project = folder / "project"
    server = MlflowServer(folder)
    try:
        _render(project, server.uri, options.tasks)
        chosen = range(0, options.tasks, options.tasks // (2 * options.mistakes))
        mistakes = list(chosen)[: 2 * options.mistakes]
        for turn, number in enumerate(mistakes):
            what = "fail" if turn % 2 else "kill"
            (project / f"mistake-{number}").write_text(what)
        _in_process(_start, project)
        before = _requests(folder)
        started = time.monotonic()
        codes = _tasks(project, range(options.tasks), options.at_once)
        noticed = _in_process(_finish, project)
        again = [number for number, code in codes.items() if code]
        retried = _tasks(project, again, options.at_once)
        seconds = time.monotonic() - started
        last = _in_process(_finish, project)
        requests = _requests(folder) - before
        found = _in_process(_found, server.uri)
    finally:
        server.close()
    attempts = options.tasks + len(again)
    return {
        "tasks": options.tasks,
        "at_once": options.at_once,
        "killed": sum(code == -signal.SIGKILL for code in codes.values()),
        "failed": sum(code == 1 for code in codes.values()),
        "noticed": len(re.findall(r"task_\d+", noticed)),
        "retried": len(retried),
        **found,
        "finish": last.strip(),
        "expected": options.tasks * 4,
        "requests": requests,
        "for_each_attempt": round(requests / attempts, 2),
        "seconds": round(seconds),
    }


def _render(project: Path, uri: str, tasks: int) -> None:
    answers: dict[str, Any] = {"project_name": "Tracked", "environments": {}}
    answers |= {"sample_pipeline": False, "telemetry": False}
    run_copy(
        str(TEMPLATE), project, data=answers, defaults=True, quiet=True, vcs_ref="HEAD"
    )
    texts = {
        "src/tracked/pipeline_registry.py": REGISTRY,
        "conf/base/parameters.yml": "".join(f"p_{n}: {n}\n" for n in range(tasks)),
        "conf/base/catalog.yml": '"history_{n}":\n'
        "  type: tracked.tracking.MlflowMetricHistoryDataset\n",
        "conf/local/mlflow.yml": f"server: {{mlflow_tracking_uri: '{uri}'}}\n",
    }
    for name, text in texts.items():
        (project / name).write_text(text, "utf-8")


def _requests(folder: Path) -> int:
    """Count the requests for runs in the server's log."""
    log = (folder / "log.txt").read_text("utf-8")
    return len(re.findall(r'"(?:GET|POST|PUT|PATCH) /api/', log))


def _in_process(function: Any, *arguments: Any) -> Any:
    """Call a function in a fork: this process stays without threads and connections."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(function, arguments)


def _fork(target: Any, *arguments: Any) -> Any:
    process = multiprocessing.get_context("fork").Process(
        target=target, args=arguments, daemon=False
    )
    process.start()
    return process


def _tasks(project: Path, numbers: Sequence[int], at_once: int) -> dict[int, int]:
    """Run tasks, some at once; return their exit codes."""
    waiting = list(numbers)
    under_way: dict[int, Any] = {}
    codes: dict[int, int] = {}
    while waiting or under_way:
        while waiting and len(under_way) < at_once:
            number = waiting.pop(0)
            under_way[number] = _fork(_task, project, number)
        for number, process in list(under_way.items()):
            if process.exitcode is not None:
                codes[number] = process.exitcode
                del under_way[number]
        time.sleep(0.01)
    return codes


def _task(project: Path, number: int) -> None:
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    os.chdir(project)
    with (project.parent / "tasks.txt").open("a") as log, redirect_stdout(log):
        bootstrap_project(project)
        with KedroSession.create(project, save_on_close=False) as session:
            session.run(node_names=[f"task_{number}"])  # type: ignore[call-arg]


def _start(project: Path) -> str:
    return _command(project, "start")


def _finish(project: Path) -> str:
    return _command(project, "finish")


def _command(project: Path, word: str) -> str:
    from click.testing import CliRunner
    from kedro.framework.startup import bootstrap_project

    metadata = bootstrap_project(project)
    from tracked.tracking.commands.cli import mlflow_commands

    done = CliRunner().invoke(mlflow_commands, [word], obj=metadata)
    return str(done.stdout.splitlines()[-1] if done.stdout else done.output)


def _found(uri: str) -> dict[str, Any]:
    """Return what the server has."""
    import mlflow

    client = mlflow.MlflowClient(uri)
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(ids)
    points = 0
    for key in runs[0].data.metrics:
        points += len(client.get_metric_history(runs[0].info.run_id, key))
    tags = runs[0].data.tags
    reports = [json.loads(v) for k, v in tags.items() if k.startswith("kedro.task.")]
    return {
        "runs": len(runs),
        "status": runs[0].info.status,
        "params": len(runs[0].data.params),
        "reports": len(reports),
        "second_attempts": sum(report["attempt"] == 2 for report in reports),
        "points": points,
    }


if __name__ == "__main__":
    main()
