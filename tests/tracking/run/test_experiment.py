"""The experiment is found, created or restored, as ``mlflow.yml`` configures it."""

import subprocess
import sys
from pathlib import Path

import pytest
from click import ClickException
from kedro.pipeline import Pipeline, node

from tests.tracking import nodes
from tests.tracking.conftest import Project

ONE = Pipeline([node(nodes.one, "params:a", "done", name="one")])


@pytest.fixture(autouse=True)
def parameters(project: Project) -> None:
    project.write("conf/base/parameters.yml", {"a": 1})


def test_create_false_says_how_to_make_it(project: Project) -> None:
    project.mlflow_yml("tracking: {experiment: {name: mine, create: false}}")
    with pytest.raises(
        ClickException,
        match="local/mlflow.yml: tracking.experiment.create.*'mine' does not exist.*"
        "experiments create",
    ):
        project.run(ONE)
    project.client.create_experiment("mine")
    project.run(ONE)
    assert project.only_run().info.status == "FINISHED"


def test_deleted_experiment_is_restored(project: Project) -> None:
    project.run(ONE)
    experiment_id = project.only_run().info.experiment_id
    project.client.delete_experiment(experiment_id)
    project.run(ONE)
    assert project.client.get_experiment(experiment_id).lifecycle_stage == "active"


def test_deleted_experiment_is_an_error_where_it_must_stay_so(project: Project) -> None:
    project.run(ONE)
    project.client.delete_experiment(project.only_run().info.experiment_id)
    project.mlflow_yml("tracking: {experiment: {restore_if_deleted: false}}")
    with pytest.raises(ClickException, match="'tracked' was deleted"):
        project.run(ONE)


def test_new_experiment_gets_its_tags_and_a_location_in_the_project(
    project: Project,
) -> None:
    project.mlflow_yml(
        "tracking: {experiment: {name: new, create_experiment_kwargs:"
        " {artifact_location: data/artifacts, tags: {team: penguins}}}}"
    )
    project.run(ONE)
    experiment = project.client.get_experiment_by_name("new")
    assert experiment.artifact_location == (project.path / "data/artifacts").as_uri()
    assert experiment.tags["team"] == "penguins"


def test_two_first_runs_at_one_moment_both_succeed(project: Project) -> None:
    """Two processes race for the database and for the experiment in it."""
    Path(project.store.removeprefix("sqlite:///")).unlink()
    project.write(
        "src/tracked/pipeline_registry.py",
        "from kedro.pipeline import Pipeline, node\n"
        "def same(x): return x\n"
        "def register_pipelines():\n"
        "    return {'__default__': Pipeline([node(same, 'params:a', 'x')])}\n",
    )
    words = [Path(sys.executable).parent / "kedro", "run"]
    racers = [
        subprocess.Popen(
            words,
            cwd=project.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    for racer in racers:
        output, _ = racer.communicate(timeout=120)
        assert racer.returncode == 0, output
    runs = project.runs()
    assert [r.info.status for r in runs] == ["FINISHED"] * 2
    assert len({r.info.experiment_id for r in runs}) == 1
    left = [p.name for p in (project.path / "mlruns").iterdir()]
    assert "mlflow.db" in left
    hidden = [name for name in left if name.startswith(".")]
    assert hidden == [".mlflow.db.lock"]
