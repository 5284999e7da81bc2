"""Airflow, Prefect, Dagster and plain processes: each task is a process with the run key."""

from typing import Any

import pytest
import yaml

from tests.docs.test_kubernetes import manifests
from tests.engines.conftest import ENGINES, Workflow, examples, kedro, reports

DAGSTER = ENGINES / "dagster" / "bin" / "dagster"


def check(workflow: Workflow, run: Any, expected: str = "FINISHED") -> None:
    """Try a workflow whose node is killed once, and one whose node always fails.

    Args:
        workflow: the project.
        run: lets the engine run it, with the exit code that is expected.
        expected: the status of the first.
    """
    workflow.mistake("kill once")
    run(code=0)
    ((first,), _) = workflow.runs()
    assert first.info.status == expected
    workflow.check_whole(first, children=2)
    assert reports(first)["train"] == ("FINISHED", 2)

    workflow.mistake("fail")
    run(code=1)
    ((_, failed), nested) = workflow.runs()
    assert failed.info.status == "FAILED"
    assert {k: v[0] for k, v in reports(failed).items()} == {
        "prepare": "FINISHED",
        "train": "FAILED",
    }
    assert not [r for r in nested if r.info.status == "RUNNING"]


def test_airflow(workflow_of: Any) -> None:
    workflow = workflow_of("airflow")
    path = workflow.path
    settings = {"project": str(path), "kedro": kedro(), "retry_delay": 0}
    (path / "conf/base/airflow.yml").write_text(yaml.safe_dump({"default": settings}))
    workflow.call("kedro", "airflow", "create", "--jinja-file", "airflow_dag.j2")
    variables = {
        "AIRFLOW_HOME": str(path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(path / "airflow_dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    airflow = ENGINES / "airflow" / "bin" / "airflow"
    workflow.call(airflow, "db", "migrate", **variables)

    def run(code: int) -> None:
        workflow.call(airflow, "dags", "test", "tracked", code=code, **variables)

    check(workflow, run)


def test_prefect(workflow_of: Any) -> None:
    workflow = workflow_of("none")
    (workflow.path / "flow.py").write_text(examples("prefect", "python")[0])
    variables = {"KEDRO": kedro(), "PREFECT_HOME": str(workflow.path / "home")}
    variables["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "300"
    python = ENGINES / "prefect" / "bin" / "python"

    def run(code: int) -> None:
        workflow.call(python, "flow.py", code=code, **variables)

    check(workflow, run)


@pytest.mark.parametrize("executor", ["multiprocess", "in_process"])
def test_dagster(workflow_of: Any, executor: str) -> None:
    workflow = workflow_of("none")
    (workflow.path / "definitions.py").write_text(examples("dagster", "python")[0])
    config = workflow.path / "executor.yaml"
    config.write_text(yaml.safe_dump({"execution": {"config": {executor: {}}}}))
    words = [DAGSTER, "job", "execute", "-f", "definitions.py", "-j", "penguins"]
    words += ["-c", config.name]
    variables = {"KEDRO": kedro(), "DAGSTER_HOME": home(workflow)}

    def run(code: int) -> None:
        done = workflow.call(*words, code=code, **variables)
        is_multiprocess = "using multiprocess executor" in done.stderr
        assert is_multiprocess == (executor == "multiprocess")

    check(workflow, run)


def test_kedro_dagster_is_a_sentence(workflow_of: Any) -> None:
    """It calls hooks without a session; its run would be FAILED after its first op."""
    workflow = workflow_of("none")
    words = [DAGSTER.with_name("kedro"), "dagster", "init", "--env", "base"]
    workflow.call(*words)
    config = {"executors": {"one": {"in_process": None}}}
    job = {"pipeline": {"pipeline_name": "__default__"}, "executor": "one"}
    path = workflow.path / "conf/base/dagster.yml"
    path.write_text(yaml.safe_dump({**config, "jobs": {"all": job}}))
    definitions = workflow.path / "src/tracked/definitions.py"
    definitions.write_text(definitions.read_text().replace('"local"', '"base"'))
    words = [DAGSTER, "job", "execute", "-m", "tracked.definitions", "-j", "base__all"]
    done = workflow.call(*words, code=1, DAGSTER_HOME=home(workflow))
    assert "Let each op call 'kedro run --nodes' with a run key" in done.stderr


def home(workflow: Workflow) -> str:
    """Make a folder for what Dagster keeps."""
    folder = workflow.path / "home"
    folder.mkdir()
    return str(folder)


def test_commands_of_argo(workflow_of: Any) -> None:
    """The commands of the page's pods, as processes."""
    workflow = workflow_of("none")
    (manifest,) = manifests("Workflow")
    dag, finish = manifest["spec"]["templates"][:2]
    steps = [*dag["dag"]["tasks"], *finish["steps"][0]]
    words = [step["arguments"]["parameters"][0]["value"].split() for step in steps]
    for number, word in enumerate(words):
        last = number == len(words) - 1
        key = {"KEDRO_MLFLOW_RUN_KEY": "uid-1"}
        done = workflow.call("kedro", *word, code=int(last), **key)
    assert "without a report: report" in done.stdout
    ((run,), _) = workflow.runs()
    assert (run.info.status, len(reports(run))) == ("FAILED", 2)
