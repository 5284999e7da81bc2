"""``kedro mlflow logs`` prints what a run has logged."""

import json

import pytest
from kedro.pipeline import Pipeline, node

from tests.tracking import nodes
from tests.tracking.conftest import Project, kedro_here

FAILS = Pipeline([node(nodes.fail, "params:a", "b", name="bad")])


@pytest.fixture(autouse=True)
def parameters(project: Project) -> None:
    project.write("conf/base/parameters.yml", {"a": 1})


def test_newest_or_named_run_says_why_it_failed(project: Project) -> None:
    with pytest.raises(ZeroDivisionError):
        project.run(FAILS)
    failed = project.only_run().info
    project.run(Pipeline([node(nodes.same, "params:a", "b", name="good")]))
    newest = kedro_here(project, "logs")
    assert newest.returncode == 0, newest.stderr
    assert "good: same" in newest.stdout
    assert "Traceback" not in newest.stdout
    for which in (failed.run_id[:8], failed.run_name):
        done = kedro_here(project, "logs", which)
        assert "Traceback (most recent call last)" in done.stdout
        assert done.stdout.rstrip().endswith("ZeroDivisionError: the node's own words")
        assert f"{failed.run_name} ({failed.run_id[:8]}), FAILED\n" in done.stderr


def test_run_without_a_log_and_a_run_that_is_none_are_sentences(
    project: Project,
) -> None:
    done = kedro_here(project, "logs")
    assert done.returncode == 1
    assert "No runs yet" in done.stderr
    project.mlflow_yml("tracking: {record: {console: false}}")
    project.run(Pipeline([node(nodes.same, "params:a", "b")]))
    done = kedro_here(project, "logs")
    assert (done.returncode, done.stdout) == (1, "")
    assert "has no log" in done.stderr
    assert "tracking.record.console is false" in done.stderr
    done = kedro_here(project, "logs", "")  # as of a variable that is not set
    assert done.returncode == 1
    assert "has no run ''" in done.stderr


def test_log_that_waits_for_its_server_is_on_this_machine(project: Project) -> None:
    project.mlflow_yml("server: {mlflow_tracking_uri: 'http://127.0.0.1:9'}")
    for name in ("first", "second"):
        project.run(Pipeline([node(nodes.same, "params:a", "b", name=name)]))
    newest = kedro_here(project, "logs")
    assert newest.returncode == 0, newest.stderr
    assert "second: same" in newest.stdout
    assert "FINISHED, on this machine\n" in newest.stderr
    done = kedro_here(project, "runs", "--format", "json")
    older = json.loads(done.stdout.splitlines()[-1])[1]
    for which in (older["name"], older["run_id"], older["run_id"][:14]):
        assert "first: same" in kedro_here(project, "logs", which).stdout
    away = kedro_here(project, "logs", "none")
    assert away.returncode == 1
    assert "http://127.0.0.1:9 does not answer" in away.stderr
