"""Keys of ``mlflow.yml``, each through a real session on a real store."""

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from click import ClickException
from kedro.pipeline import Pipeline, node

from tests.tracking import nodes
from tests.tracking.conftest import Project

ONE = Pipeline([node(nodes.one, "params:a", "done", name="one")])
UV = Path(sys.executable).parent / "uv"
SECRET = "hunter2-of-the-penguins"


@pytest.fixture(autouse=True)
def parameters(project: Project) -> None:
    project.write("conf/base/parameters.yml", {"a": 1, "password": SECRET})


@pytest.mark.parametrize("uri", ["elsewhere", "sqlite:///elsewhere/mlflow.db"])
def test_tracking_uri_is_relative_to_the_project(project: Project, uri: str) -> None:
    project.mlflow_yml(f"server: {{mlflow_tracking_uri: '{uri}'}}")
    (project.path / "elsewhere").mkdir()
    project.run(ONE)
    store = f"sqlite:///{project.path.as_posix()}/elsewhere/mlflow.db"
    (run,) = project.runs(store)
    assert run.info.artifact_uri.startswith(project.path.as_uri())
    assert project.runs() == []


def test_variable_says_where_runs_go(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = f"sqlite:///{project.path.as_posix()}/variable/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    project.run(ONE)
    assert len(project.runs(store)) == 1
    assert os.environ["MLFLOW_TRACKING_URI"] == store


def test_registry_uri_stands_during_the_run(project: Project) -> None:
    project.mlflow_yml("server: {mlflow_registry_uri: 'sqlite:///registry.db'}")
    seen = []
    pipeline = Pipeline(
        [
            node(
                lambda _: seen.append(mlflow.get_registry_uri()),
                "params:a",
                None,
                name="n",
            )
        ]
    )
    project.run(pipeline)
    assert seen == [f"sqlite:///{project.path.as_posix()}/registry.db"]


def test_an_earlier_set_tracking_uri_is_restored(project: Project) -> None:
    project.mlflow_yml("server: {mlflow_tracking_uri: mlruns}")
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    try:
        project.run(ONE)
        assert mlflow.get_tracking_uri() == "http://127.0.0.1:9"
    finally:
        mlflow.set_tracking_uri(None)
    assert project.only_run().info.status == "FINISHED"


def test_credentials_stand_during_the_run_and_are_shown_nowhere(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    project.write(
        "conf/local/credentials.yml", {"mine": {"MY_KEY": SECRET, "MY_PORT": 8080}}
    )
    project.mlflow_yml("server: {credentials: mine}")
    seen = {}

    def look(a: int, parameters: dict) -> None:
        seen.update(key=os.environ["MY_KEY"], port=os.environ["MY_PORT"])
        raise ZeroDivisionError

    pipeline = Pipeline([node(look, ["params:a", "parameters"], None, name="look")])
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(ZeroDivisionError) as error,
        project.session(pipeline, runtime_params={"my_token": SECRET}) as session,
    ):
        config = repr(session.load_context().mlflow)
        session.run()
    assert seen == {"key": SECRET, "port": "8080"}
    assert "MY_KEY" not in os.environ
    run = project.only_run()
    for text in (config, caplog.text, str(run.to_dictionary()), repr(error.value)):
        assert SECRET not in text


def test_tracking_uri_among_the_credentials_counts(project: Project) -> None:
    store = f"sqlite:///{project.path.as_posix()}/credentials/mlflow.db"
    project.write(
        "conf/local/credentials.yml", {"mine": {"MLFLOW_TRACKING_URI": store}}
    )
    project.mlflow_yml("server: {credentials: mine}")
    project.run(ONE)
    assert len(project.runs(store)) == 1


def test_mistyped_credentials_are_an_error_before_any_run(project: Project) -> None:
    project.write("conf/local/credentials.yml", {"mine": {"A": SECRET}})
    project.mlflow_yml("server: {credentials: mien}")
    with pytest.raises(ClickException, match="server.credentials is 'mien'"):
        project.run(ONE)
    assert project.runs() == []


def test_null_credentials_of_an_environment_hide_those_of_base(
    project: Project,
) -> None:
    project.write("conf/base/mlflow.yml", "server: {credentials: mine}")
    project.write("conf/prod/mlflow.yml", "server: {credentials: null}")
    project.run(ONE, env="prod")
    assert project.only_run().info.status == "FINISHED"


def test_processes_continue_the_run_that_a_variable_names(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.mlflow_yml('tracking: {run: {id: "${oc.env:PIPELINE_RUN_ID, null}"}}')
    kept = {"type": "json.JSONDataset", "filepath": "data/kept.json"}
    metric = {"type": "tracked.tracking.MlflowMetricDataset"}
    project.write("conf/base/catalog.yml", {"kept": kept, "number": metric})
    first = node(nodes.one, "params:a", "kept", name="first")
    steps = Pipeline([first, node(nodes.one, "kept", "number", name="second")])
    project.run(steps, node_names=["first"])
    monkeypatch.setenv("PIPELINE_RUN_ID", project.only_run().info.run_id)
    project.run(steps, from_nodes=["second"])
    run = project.only_run()
    assert (run.data.params, run.data.metrics) == ({"a": "1"}, {"number": 1.0})


def test_several_pipelines_name_the_run(project: Project) -> None:
    other = Pipeline([node(nodes.one, "params:a", "other", name="other")])
    project.run({"one": ONE, "other": other}, pipeline_names=["one", "other"])
    assert project.only_run().info.run_name == "one+other"


def test_run_is_tracked_unless_all_its_pipelines_are_disabled(project: Project) -> None:
    project.mlflow_yml("tracking: {disable_tracking: {pipelines: [one]}}")
    other = Pipeline([node(nodes.one, "params:a", "other", name="other")])
    named = {"one": ONE, "other": other}
    project.run(named, pipeline_names=["one"])
    assert project.runs() == []
    project.run(named, pipeline_names=["one", "other"])
    assert project.only_run().info.status == "FINISHED"


@pytest.mark.parametrize(
    ("params", "name"),
    [({}, r"\w+-\w+-\d+"), ({"mlflow_run_name": 2024}, "2024")],
)
def test_run_name_from_the_command_line(
    project: Project, params: dict, name: str
) -> None:
    project.mlflow_yml(
        'tracking: {run: {name: "${runtime_params:mlflow_run_name, null}"}}'
    )
    project.run(ONE, params=params)
    assert re.fullmatch(name, project.only_run().info.run_name)


def test_nested_resolvers_give_a_random_name(project: Project) -> None:
    project.mlflow_yml(
        'tracking: {run: {name: "${runtime_params:mlflow_run_name, ${km.random_name:}}"}}'
    )
    project.run(ONE)
    assert re.fullmatch(r"[a-z]+-[a-z]+-\d+", project.only_run().info.run_name)


def test_environment_variables_and_globals_are_resolved(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM", "penguins")
    project.write("conf/base/globals.yml", {"stage": "trial"})
    project.mlflow_yml(
        'tracking: {run: {name: "${globals:stage}"},'
        ' experiment: {name: "${oc.env:TEAM}"}}'
    )
    project.run(ONE)
    run = project.only_run()
    experiment = project.client.get_experiment(run.info.experiment_id)
    assert (run.info.run_name, experiment.name) == ("trial", "penguins")


def test_parameters_that_nodes_do_not_use_stay_out(project: Project) -> None:
    project.run(ONE)
    assert project.only_run().data.params == {"a": "1"}


@pytest.mark.parametrize(
    ("options", "value", "logged"),
    [
        ("{}", {"x": {"y": 1}}, {"a.x.y": "1"}),
        (
            "{dict_params: {flatten: false}}",
            {"x": {"y": 1}},
            {"a": "{'x': {'y': 1}}"},
        ),
        (
            "{dict_params: {flatten: true}}",
            {"x": {"y": 1}, "none": {}, "list": [1]},
            {"a.x.y": "1", "a.none": "{}", "a.list": "[1]"},
        ),
        (
            "{dict_params: {flatten: true, recursive: false, sep: '-'}}",
            {"x": {"y": 1}},
            {"a-x": "{'y': 1}"},
        ),
        ("{dict_params: {flatten: true}}", {"x@y": 1}, {"a.x_y": "1"}),
        ("{dict_params: {flatten: true}}", {"iban": 1}, {"a.iban": "1"}),
        (
            "{dict_params: {flatten: true}, redact: ['*iban*']}",
            {"iban": 1},
            {"a.iban": "***"},
        ),
        ("{long_params_strategy: truncate}", "x" * 6001, {"a": "x" * 6000}),
        ("{long_params_strategy: truncate}", "x" * 6000, {"a": "x" * 6000}),
    ],
)
def test_parameters_are_logged_as_the_options_say(
    project: Project, options: str, value: object, logged: dict[str, str]
) -> None:
    project.mlflow_yml(f"tracking: {{params: {options}}}")
    project.write("conf/base/parameters.yml", {"a": value})
    project.run(ONE)
    assert project.only_run().data.params == logged


def test_parameters_that_collide_leave_no_run(project: Project) -> None:
    project.mlflow_yml("tracking: {params: {dict_params: {flatten: true}}}")
    with pytest.raises(ClickException, match="'a > x.y' and 'a > x > y'"):
        project.run(ONE, params={"a": {"x.y": 1, "x": {"y": 2}}})
    assert project.runs() == []


def test_old_file_store_goes_on_only_where_it_is_allowed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {"experiment_id": "0", "name": "Default", "lifecycle_stage": "active"}
    project.write("old/0/meta.yaml", {**old, "artifact_location": "old/0"})
    project.mlflow_yml("server: {mlflow_tracking_uri: old}")
    with pytest.raises(ClickException, match="mlflow migrate-filestore"):
        project.run(ONE)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    project.run(ONE)
    (run,) = project.runs((project.path / "old").as_uri())
    assert run.info.status == "FINISHED"


@pytest.mark.parametrize("length", [6000, 6001, 8001])
def test_long_parameter_as_a_tag_keeps_all_of_it(project: Project, length: int) -> None:
    project.mlflow_yml("tracking: {params: {long_params_strategy: tag}}")
    value = "x" * length
    project.run(ONE, params={"a": value})
    run = project.only_run()
    logged = {**run.data.params, **run.data.tags}["a"]
    if length > 8000:
        artifact = Path(run.info.artifact_uri.removeprefix("file://")) / "params/a.txt"
        assert (len(logged), artifact.read_text()) == (8000, value)
    else:
        assert logged == value


def test_parameter_that_is_too_long_leaves_no_run(project: Project) -> None:
    with pytest.raises(ClickException, match="'a' has 6001 characters"):
        project.run(ONE, params={"a": "x" * 6001})
    assert project.runs() == []


def test_two_hundred_and_one_parameters_are_all_there(project: Project) -> None:
    project.mlflow_yml("tracking: {params: {dict_params: {flatten: true}}}")
    project.run(ONE, params={"a": {f"k{n}": n for n in range(201)}})
    assert len(project.only_run().data.params) == 201


@pytest.fixture(scope="session")
def rivals_mlflow_yml(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What ``kedro mlflow init`` of kedro-mlflow 2.0.3 writes."""
    folder = tmp_path_factory.mktemp("rival")
    words = ["pip", "install", "--quiet", "--no-deps", "--target", folder]
    subprocess.run([UV, *words, "kedro-mlflow==2.0.3"], check=True)
    (file,) = folder.rglob("template/project/mlflow.yml")
    return file.read_text("utf-8").replace("{{ python_package }}", "tracked")


def test_mlflow_yml_of_kedro_mlflow_works_unchanged(
    project: Project, rivals_mlflow_yml: str
) -> None:
    project.write("conf/base/mlflow.yml", rivals_mlflow_yml)
    project.run(ONE)
    run = project.only_run()
    assert run.info.status == "FINISHED"
    experiment = project.client.get_experiment(run.info.experiment_id)
    assert experiment.name == "tracked"
