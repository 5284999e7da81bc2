"""A run that has failed goes on with what is left of it, and makes no model twice."""

import importlib
import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from kedro.framework.startup import bootstrap_project

from tests.tracking.conftest import Project, kedro_here, run_kedro

REGISTRY = """
import mlflow
from kedro.pipeline import Pipeline, node
from sklearn.linear_model import LinearRegression

def clean(text):
    return text.upper()

def split(cleaned):
    mlflow.log_metric("halves", 2)
    return cleaned[:1], cleaned[1:]

def train(first, factor):
    mlflow.log_metric("trained", factor)
    return LinearRegression().fit([[1.0], [2.0]], [factor, 2 * factor])

def evaluate(model, second):
    ANSWER
    return float(model.predict([[len(second)]])[0])

def report(score):
    return f"{score:.1f}"

def register_pipelines():
    return {"__default__": Pipeline([
        node(clean, "text", "cleaned", name="clean"),
        node(split, "cleaned", ["first", "second"], name="split"),
        node(train, ["first", "params:factor"], "model", name="train"),
        node(evaluate, ["model", "second"], "score", name="evaluate"),
        node(report, "score", "report", name="report"),
    ])}
"""
BAD = REGISTRY.replace("ANSWER", "raise ValueError('no answer')")
GOOD = REGISTRY.replace("ANSWER", "pass")
CATALOG = {
    "text": {"type": "text.TextDataset", "filepath": "data/text.txt"},
    "cleaned": {"type": "text.TextDataset", "filepath": "data/cleaned.txt"},
    "model": {
        "type": "tracked.tracking.MlflowModelTrackingDataset",
        "flavor": "mlflow.sklearn",
        "save_args": {"registered_model_name": "line"},
    },
    "score": {"type": "tracked.tracking.MlflowMetricDataset"},
    "report": {"type": "text.TextDataset", "filepath": "data/report.txt"},
}


@pytest.fixture
def failed(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose last run has failed in 'evaluate', after it trained a model."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    project.write("src/tracked/pipeline_registry.py", BAD)
    project.write("conf/base/catalog.yml", CATALOG)
    project.write("conf/base/parameters.yml", {"factor": 1.0})
    project.write("data/text.txt", "abc")
    _git(project, "init", "-q")
    _git(project, "add", "--all")
    _git(project, "commit", "-qm", "first")
    bootstrap_project(project.path)
    pipelines = _pipelines(project, BAD)
    with pytest.raises(ValueError, match="no answer"):
        project.run(pipelines, params={"factor": 3.0})
    assert project.only_run().info.status == "FAILED"
    return project


def _git(project: Project, *words: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    command = ["git", *identity, *words]
    subprocess.run(command, cwd=project.path, check=True, capture_output=True)


def _pipelines(project: Project, code: str) -> object:
    """Return what a registry registers; its file is for the process that resumes."""
    project.write("src/tracked/pipeline_registry.py", code)
    importlib.invalidate_caches()
    spec = importlib.util.spec_from_file_location(
        "registry", project.path / "src/tracked/pipeline_registry.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.register_pipelines()


def test_run_goes_on_with_what_is_left(failed: Project) -> None:
    run_id = failed.only_run().info.run_id
    failed.write("src/tracked/pipeline_registry.py", GOOD)
    done = run_kedro(failed.path, "mlflow", "resume")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "--params factor=3.0 --env local --nodes split,evaluate,report" in done.stdout
    )
    assert "Failed or did not run: evaluate, report." in done.stdout
    assert "Runs again: split, since its second is not kept." in done.stdout
    assert "Taken over: cleaned, of clean." in done.stdout
    assert "Taken over: model, of train." in done.stdout
    assert "the code had no changes that were not committed, and now has some" in (
        done.stdout
    )

    run = failed.only_run()  # and no new one
    assert (run.info.run_id, run.info.status) == (run_id, "FINISHED")
    assert run.data.metrics == {"halves": 2, "trained": 3, "score": pytest.approx(6)}
    for name in run.data.metrics:
        assert len(failed.client.get_metric_history(run_id, name)) == 1
    assert run.data.params == {"factor": "3.0"}
    found = failed.client.search_logged_models([run.info.experiment_id])
    assert [model.name for model in found] == ["model"]
    assert len(failed.client.search_model_versions("name = 'line'")) == 1
    assert [each.dataset.name for each in run.inputs.dataset_inputs] == ["text"]
    assert "kedro.error" not in run.data.tags
    assert re.search(
        r"Z [0-9a-f]{12} split, evaluate, report$", run.data.tags["kedro.resumed"]
    )
    files = [each.path for each in failed.client.list_artifacts(run_id, "source")]
    (path,) = [each for each in files if each.endswith("Z.patch")]
    patch = failed.client.download_artifacts(run_id, path)
    assert "-    raise ValueError('no answer')" in Path(patch).read_text()
    note = run.data.tags["mlflow.note.content"]
    assert "Failed" not in note
    assert "Resumed, and finished at" in note
    logs = kedro_here(failed, "logs", run_id).stdout
    assert re.search("no answer(.|\n)+report: report", logs)  # both, in order

    again = kedro_here(failed, "resume", run_id[:8])
    assert again.returncode == 1
    assert f"({run_id[:8]}) has finished: nothing is left of it" in again.stderr


def test_file_that_has_changed_since_is_made_again_and_a_model_only_if_asked(
    failed: Project,
) -> None:
    soon = time.time() + 60
    os.utime(failed.path / "data/cleaned.txt", (soon, soon))
    shown = kedro_here(failed, "resume", "--dry-run").stdout
    assert "Runs again: clean, since its cleaned is not kept." in shown
    assert "Taken over: cleaned" not in shown
    (failed.path / "data/cleaned.txt").unlink()
    shown = kedro_here(failed, "resume", "--dry-run").stdout
    assert "Runs again: clean, since its cleaned is not kept." in shown

    # A model in memory alone must be trained again, which nobody has asked for.
    failed.write(
        "conf/base/catalog.yml", {k: v for k, v in CATALOG.items() if k != "model"}
    )
    done = kedro_here(failed, "resume")
    assert done.returncode == 1
    assert "Runs again: train, since its model is not kept." in done.stdout
    assert re.search(r"would run again \(train: model, line, version 1\)", done.stderr)
    assert kedro_here(failed, "resume", "--retrain", "--dry-run").returncode == 0
    assert failed.only_run().info.status == "FAILED"


def test_changed_parameter_stops_it_before_anything_changes(failed: Project) -> None:
    failed.write("src/tracked/pipeline_registry.py", GOOD)
    run = failed.only_run()
    failed.client.log_param(run.info.run_id, "second", "1")
    failed.write("conf/base/parameters.yml", {"factor": 1.0, "second": 2})
    code = GOOD.replace('"second"], "score"', '"params:second"], "score"')
    failed.write(
        "src/tracked/pipeline_registry.py", code.replace("len(second)", "second")
    )
    done = run_kedro(failed.path, "mlflow", "resume")
    output = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 1
    assert "has the parameter 'second' already, as '1'; it cannot become '2'" in output
    assert "or start a new run with 'kedro run'" in output
    assert failed.only_run().info.status == "FAILED"


def test_versioned_data_are_those_of_the_run(failed: Project) -> None:
    file = {"type": "text.TextDataset", "filepath": "data/versions.txt"}
    versioned = {**file, "versioned": True}
    failed.write("conf/base/catalog.yml", {**CATALOG, "cleaned": versioned})
    with pytest.raises(ValueError, match="no answer"):
        failed.run(_pipelines(failed, BAD))
    session = failed.runs()[-1].data.tags["kedro.run_id"]
    later = failed.path / "data/versions.txt" / "2999-01-01T00.00.00.000Z/versions.txt"
    later.parent.mkdir(parents=True)
    later.write_text("of another run")
    shown = kedro_here(failed, "resume", "--dry-run").stdout
    assert f"--load-versions cleaned:{session}" in shown
    assert "Taken over: cleaned, of clean." in shown


def test_what_cannot_go_on_is_a_sentence(project: Project) -> None:
    client = project.client
    experiment = client.create_experiment("tracked")

    def refusal(run_id: str = "", **tags: str) -> str:
        for key, value in tags.items():
            client.set_tag(run_id, key, value)
        done = kedro_here(project, "resume", *([run_id] if run_id else []))
        assert done.returncode == 1
        return done.stderr

    assert "No run of the experiment 'tracked'" in refusal()
    run_id = client.create_run(experiment, run_name="by-hand").info.run_id
    assert "The run by-hand" in (said := refusal(run_id))
    assert "is under way" in said
    client.set_terminated(run_id, "FAILED")
    assert "was not started by 'kedro run'" in refusal(run_id)
    assert "No run of the experiment 'tracked'" in refusal()  # this one is no candidate
    said = refusal(run_id, kedro_command="kedro run --params token=***")
    assert "has a hidden parameter in its command" in said
    said = refusal(run_id, kedro_command="kedro run")
    assert "has no timeline of its nodes" in said
    assert "has no timeline of its nodes" in refusal()
