"""CPU and memory of a run, where MLflow's variable asks for them."""

import importlib.util
from typing import Any

import pytest
from click import ClickException
from kedro.pipeline import Pipeline, node

from tests.tracking import nodes
from tests.tracking.conftest import Project

ONE = Pipeline([node(nodes.one, "params:a", "done", name="one")])


@pytest.fixture(autouse=True)
def asked_for(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("conf/base/parameters.yml", {"a": 1})
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")


def test_system_metrics_land_in_the_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    project.run(Pipeline([node(nodes.wait, "params:a", "done", name="wait")]))
    run = project.only_run()
    assert run.info.status == "FINISHED"
    assert any(name.startswith("system/cpu") for name in run.data.metrics)


def test_missing_psutil_is_a_sentence_before_the_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec

    def without_psutil(name: str, *args: Any) -> Any:
        return None if name == "psutil" else find(name, *args)

    from tracked.tracking.run import system_metrics

    monkeypatch.setattr(system_metrics, "find_spec", without_psutil)
    with pytest.raises(ClickException, match="psutil.*is not installed. Install it"):
        project.run(ONE)
    assert project.runs() == []
