"""Airflow, Prefect, Dagster and plain processes: each task is a process with the run key."""

from typing import Any

import pytest
import yaml

from tests.docs.test_kubernetes import manifests
from tests.engines.conftest import ENGINES, Workflow, examples, kedro, reports


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


@pytest.mark.parametrize(
    ("page", "file", "command"),
    [
        ("prefect", "flow.py", ["python", "flow.py"]),
        (
            "dagster",
            "definitions.py",
            ["dagster", "job", "execute", "-f", "definitions.py", "-j", "penguins"],
        ),
    ],
)
def test_flow(workflow_of: Any, page: str, file: str, command: list[str]) -> None:
    workflow = workflow_of("none")
    (workflow.path / file).write_text(examples(page, "python")[0])
    program = ENGINES / page / "bin" / command[0]
    home = workflow.path / "home"
    home.mkdir()
    variables = {"KEDRO": kedro(), "PREFECT_HOME": str(home), "DAGSTER_HOME": str(home)}
    variables["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "300"

    def run(code: int) -> None:
        workflow.call(program, *command[1:], code=code, **variables)

    check(workflow, run)


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
