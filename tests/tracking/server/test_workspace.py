"""The workspace of an MLflow server that ``server.workspace`` names."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from click import ClickException
from kedro.pipeline import Pipeline, node

from tests.mlflow_server import MlflowServer
from tests.tracking import nodes
from tests.tracking.conftest import Project, kedro_here

ONE = Pipeline([node(nodes.one, "params:a", "done", name="one")])


@pytest.fixture(autouse=True)
def parameters(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_WORKSPACE", raising=False)
    project.write("conf/base/parameters.yml", {"a": 1})


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, empty_store: Path
) -> Iterator[str]:
    """A server with the workspace ``team-a``."""
    folder = tmp_path_factory.mktemp("shared")
    shutil.copy(empty_store, folder / "mlflow.db")
    there = MlflowServer(folder, workspaces=True)
    mlflow.set_tracking_uri(there.uri)
    mlflow.create_workspace("team-a")
    mlflow.set_tracking_uri(None)
    yield there.uri
    there.close()


def choose(project: Project, server: str, workspace: str) -> None:
    server_yml = {"mlflow_tracking_uri": server, "workspace": workspace}
    project.write("conf/local/mlflow.yml", {"server": server_yml})


def test_run_is_in_the_workspace_and_its_link_says_so(
    project: Project, shared: str, capsys: pytest.CaptureFixture[str]
) -> None:
    choose(project, shared, "team-a")
    project.run(ONE)
    assert "MLFLOW_WORKSPACE" not in os.environ
    assert project.runs(shared) == []
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("MLFLOW_WORKSPACE", "team-a")
        (run,) = project.runs(shared)
    ids = f"{run.info.experiment_id}/runs/{run.info.run_id}"
    assert f"{shared}/#/experiments/{ids}?workspace=team-a" in capsys.readouterr().out


def test_variable_counts_where_no_workspace_is_configured(
    project: Project, shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_WORKSPACE", "team-a")
    project.mlflow_yml(f"server: {{mlflow_tracking_uri: '{shared}'}}")
    (finding,) = json.loads(kedro_here(project, "check", "--format", "json").stdout)
    assert (finding["ok"], finding["workspace"]) == (True, "team-a")


def test_check_names_the_workspace(project: Project, shared: str) -> None:
    choose(project, shared, "team-a")
    (finding,) = json.loads(kedro_here(project, "check", "--format", "json").stdout)
    assert (finding["ok"], finding["workspace"]) == (True, "team-a")
    shown = "".join(kedro_here(project, "check").stdout.split())
    assert f"{shared},workspaceteam-a" in shown


def refusals(project: Project) -> list[str]:
    with pytest.raises(ClickException) as error:
        project.run(ONE)
    done = kedro_here(project, "check")
    assert done.returncode == 1
    return [error.value.message, " ".join(done.stdout.split())]


def test_workspace_that_is_not_there_is_a_sentence(
    project: Project, shared: str
) -> None:
    choose(project, shared, "team-b")
    for refusal in refusals(project):
        assert f"{shared} has no workspace 'team-b'. Create it there, or" in refusal


def test_server_without_workspaces_is_a_sentence(project: Project, server: str) -> None:
    choose(project, server, "team-a")
    for refusal in refusals(project):
        assert (
            f"{server} has no workspaces. Start it with --enable-workspaces" in refusal
        )


@pytest.mark.parametrize(
    ("place", "name", "sentence"),
    [
        ("mlruns", "team-a", "'team-a', and only an MLflow server has workspaces"),
        ("http://127.0.0.1:9", "Team A", "'Team A', which cannot be the name of a"),
    ],
)
def test_workspace_that_cannot_be_is_a_sentence_with_its_key(
    project: Project, place: str, name: str, sentence: str
) -> None:
    choose(project, place, name)
    with pytest.raises(ClickException) as error:
        project.run(ONE)
    assert (
        f"conf/local/mlflow.yml: server.workspace is {sentence}" in error.value.message
    )
