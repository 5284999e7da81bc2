"""Spark on this machine: the driver logs, and executors have no run."""

import sys
from typing import Any

from tests.engines.conftest import examples


def test_driver_logs_and_a_stray_call_on_an_executor_is_an_error(
    workflow_of: Any,
) -> None:
    workflow = workflow_of("none")
    package = workflow.path / "src" / "tracked"
    registry, hook, settings = examples("spark", "python")
    (package / "pipeline_registry.py").write_text(registry)
    (package / "spark.py").write_text(hook)
    given = (package / "settings.py").read_text()
    hooks = "HOOKS = (MlflowHook(),)\n"
    assert given.count(hooks) == 1
    (package / "settings.py").write_text(given.replace(hooks, settings))
    variables = {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    workflow.call("kedro", "run", **variables)
    ((run,), _) = workflow.runs()
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"rows": 10})

    stray = registry.replace(
        "    yield", '    mlflow.log_metric("stray", 1)\n    yield'
    )
    assert stray != registry
    (package / "pipeline_registry.py").write_text(stray)
    before = set(workflow.path.rglob("*.db"))
    done = workflow.call("kedro", "run", code=1, **variables)
    output = done.stdout + done.stderr
    assert "unsupported URI 'return-values-to-the-driver://'" in output
    assert 'mlflow.log_metric("stray", 1)' in output
    ((_, failed), nested) = workflow.runs()
    assert (failed.info.status, failed.data.metrics, nested) == ("FAILED", {}, [])
    assert set(workflow.path.rglob("*.db")) == before
