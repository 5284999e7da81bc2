"""Dask, Ray and loky: a runner gives each node to a worker."""

from pathlib import Path
from typing import Any

import pytest

LOKY = """
from joblib.externals.loky import get_reusable_executor
from .tracking import ExecutorRunner

class LokyRunner(ExecutorRunner):
    def executor(self):
        return get_reusable_executor(2)
"""


@pytest.mark.parametrize(
    ("engine", "runner", "kill_is_retried"),
    [
        ("dask", "DaskRunner", True),
        ("ray", "RayRunner", True),
        ("none", "LokyRunner", False),
    ],
)
def test_workflow_is_one_run_with_the_right_status(
    workflow_of: Any, engine: str, runner: str, kill_is_retried: bool
) -> None:
    workflow = workflow_of(engine)
    if engine == "none":
        (workflow.path / "src/tracked/runner.py").write_text(LOKY)
    words = ["kedro", "run", "--runner", f"tracked.runner.{runner}"]
    workflow.call(*words)
    ((run,), _) = workflow.runs()
    assert run.info.status == "FINISHED"
    workflow.check_whole(run)

    workflow.mistake("fail once")
    done = workflow.call(*words, code=1)
    assert "the node's own words" in done.stdout + done.stderr
    (_, failed), _ = workflow.runs()
    assert (failed.info.status, failed.data.metrics) == (
        "FAILED",
        {"fluent": 1, "m_prepared": 1},
    )

    workflow.mistake("kill once")
    workflow.call(*words, code=not kill_is_retried)
    (*_, killed), _ = workflow.runs()
    assert killed.info.status == ("FINISHED" if kill_is_retried else "FAILED")
    if kill_is_retried:
        workflow.check_whole(killed, children=2)

    with workflow.stopped(*words):
        pass
    (*_, stopped), _ = workflow.runs()
    assert (stopped.info.status, stopped.data.metrics) == (
        "KILLED",
        {"fluent": 1, "m_prepared": 1},
    )
    runs, nested = workflow.runs()
    assert {r.info.status for r in [*runs, *nested]} <= {"FINISHED", "FAILED", "KILLED"}
    assert not list(Path(workflow.path).glob("mlruns/outbox/*/run.json"))
