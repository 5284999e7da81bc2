"""``kedro mlflow runs`` lists the latest runs briefly, and creates nothing."""

import importlib
import json
import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import mlflow
import pytest
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Pipeline, node
from tracking.commands.filters import point_in_time
from tracking.commands.run_table import Wanted, print_runs
from tracking.commands.runs import LatestRun, LatestRuns, latest_runs
from tracking.errors import TrackingError

from tests.recorder import recorder
from tests.tracking import nodes
from tests.tracking.conftest import Project, kedro_here


def log(client: mlflow.MlflowClient, name: str, status: str, **metrics: float) -> str:
    """Log a run to the project's experiment, without Kedro."""
    experiment = client.get_experiment_by_name("tracked")
    id_ = (
        experiment.experiment_id if experiment else client.create_experiment("tracked")
    )
    run_id = client.create_run(id_, run_name=name).info.run_id
    for key, value in metrics.items():
        client.log_metric(run_id, key, value)
    if status != "RUNNING":
        client.set_terminated(run_id, status)
    return run_id


def test_runs_are_listed_newest_first(project: Project) -> None:
    project.write("conf/base/parameters.yml", {"a": 1})
    log(project.client, "first", "KILLED", accuracy=0.5, loss=1)
    metric = Pipeline([node(nodes.log_in_node, "params:a", None, name="one")])
    project.run({"training": metric}, pipeline_names=["training"])
    log(project.client, "third", "RUNNING", accuracy=float("nan"))

    done = kedro_here(project, "runs")
    assert done.returncode == 0, done.stderr
    assert "Experiment 'tracked' at mlruns/mlflow.db" in done.stdout
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    ids = [run.info.run_id[:8] for run in reversed(project.runs())]
    rows = {line.split()[0]: line.split() for line in lines if line[:8] in ids}
    assert list(rows) == ids  # in this order
    third, training, first = rows.values()
    assert (third[1], third[-1]) == ("RUNNING", "nan")
    assert training[1] == "FINISHED"
    assert training[-2:] == ["training", "1"]
    assert first[1] == "KILLED"

    done = kedro_here(project, "runs", "--format", "json", "--limit", "2")
    newest, older = json.loads(done.stdout)
    assert (newest["name"], newest["ended"], newest["metrics"]) == (
        "third",
        None,
        {"accuracy": None},
    )
    assert (older["pipeline"], older["metrics"]) == ("training", {"fluent_1": 1.0})
    (run,) = [r for r in project.runs() if r.info.run_name == "training"]
    assert (older["run_id"], older["experiment_id"], older["tracking_uri"]) == (
        run.info.run_id,
        run.info.experiment_id,
        project.store,
    )
    started = datetime.fromisoformat(older["started"])
    assert started.timestamp() * 1000 == pytest.approx(run.info.start_time)
    assert older["seconds"] >= 0


def test_metrics_are_chosen_and_a_wrong_one_is_a_sentence(project: Project) -> None:
    log(project.client, "first", "FINISHED", accuracy=0.25, loss=12345.678)
    done = kedro_here(project, "runs", "--metric", "loss", "--metric", "accuracy")
    assert re.search(r"loss +accuracy\n", done.stdout)
    assert re.search(r"1\.235e\+04 +0\.25\n", done.stdout)
    done = kedro_here(project, "runs", "--metric", "acuracy", "--format", "json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "has the metric 'acuracy' (did you mean 'accuracy'?)" in done.stderr


def test_store_that_is_not_there_is_said_and_not_made(project: Project) -> None:
    project.write("conf/qa/mlflow.yml", "server: {mlflow_tracking_uri: other}")
    done = kedro_here(project, "runs", "--env", "qa")
    assert (done.returncode, done.stderr.count("INFO")) == (0, 0)
    assert "the first one creates other/mlflow.db" in done.stdout
    assert not (project.path / "other").exists()


def test_experiment_without_runs_and_a_deleted_one_are_sentences(
    project: Project,
) -> None:
    bootstrap_project(project.path)
    id_ = project.client.create_experiment("tracked")
    empty = latest_runs(project.path, "local", 10)
    assert empty.message == (
        "No runs yet in the experiment 'tracked' at mlruns/mlflow.db."
    )
    assert (empty.metrics(["any"]), empty.as_dicts([])) == (["any"], [])
    project.client.delete_experiment(id_)
    assert latest_runs(project.path, "local", 10).message == (
        "No runs: the experiment 'tracked' at mlruns/mlflow.db is deleted."
    )


def test_two_requests_and_no_experiment_is_made(project: Project, server: str) -> None:
    with recorder(server) as seen:
        project.mlflow_yml(
            f"server: {{mlflow_tracking_uri: '{seen.uri}'}}\n"
            "tracking: {experiment: {name: nobody's}}"
        )
        done = kedro_here(project, "runs")
        assert f"{seen.uri} does not have the experiment 'nobody's'" in done.stdout
        assert (done.returncode, seen.counts.total()) == (0, 1), seen.counts

        project.mlflow_yml(f"server: {{mlflow_tracking_uri: '{seen.uri}'}}")
        run_id = log(mlflow.MlflowClient(server), "there", "FAILED", loss=1)
        seen.counts.clear()
        done = kedro_here(project, "runs", "--format", "json", "--limit", "1")
        (run,) = json.loads(done.stdout)
        assert seen.counts.total() == 2, seen.counts
        assert run["run_id"] == run_id
        assert run["url"].startswith(f"{seen.uri}/#/experiments/")


def test_server_that_is_away_is_a_sentence(project: Project) -> None:
    project.mlflow_yml("server: {mlflow_tracking_uri: 'http://127.0.0.1:9'}")
    done = kedro_here(project, "runs")
    assert (done.returncode, done.stdout) == (1, "")
    assert "http://127.0.0.1:9 does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def latest(**metrics: float) -> LatestRuns:
    now = datetime.now(timezone.utc)
    run = LatestRun(
        run_id="0" * 32,
        name="training",
        status="FINISHED",
        pipeline="training",
        started=now - timedelta(minutes=5),
        ended=now - timedelta(minutes=3),
        metrics=metrics,
        url=None,
    )
    return LatestRuns("tracked", "1", "sqlite:////there/mlflow.db", [run])


@pytest.mark.parametrize(("width", "shown"), [(50, 0), (80, 3), (200, 9)])
def test_as_many_metrics_as_fit(
    width: int,
    shown: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_runs(latest(**{f"metric_{n}": n for n in range(9)}), Wanted(), Path("/"))
    table, _, hidden = capsys.readouterr().out.partition("--metric NAME shows another:")
    names = [f"metric_{n}" for n in range(9)]
    assert re.findall(r"metric_\d", table) == names[:shown]
    assert re.findall(r"metric_\d", hidden) == names[shown:]
    assert max(map(len, table.splitlines())) <= width
    assert "5 min ago" in table
    assert "2 min 0 s" in table


def test_metrics_that_are_wanted_are_shown_whole_in_further_tables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    metrics = {f"a_long_name_of_metric_{n}": n + 0.25 for n in range(3)}
    print_runs(latest(**metrics), Wanted(list(metrics)), Path("/"))
    table = capsys.readouterr().out
    assert all(name in table for name in metrics)
    assert max(map(len, table.splitlines())) <= 60
    assert re.search(r"00000000 +0\.25 +1\.25 *\n", table)
    assert re.search(r"00000000 +2\.25 *\n", table)


def test_name_makes_room_for_the_parameter_that_differs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (run,) = latest(accuracy=0.5, f1_adelie=0.5).runs
    runs = [
        replace(
            run, name="illustrious-gull-543", pipeline="", params={"classifier.C": c}
        )
        for c in ("1.0", "0.1")
    ]
    print_runs(
        LatestRuns("tracked", "1", "sqlite:////mlflow.db", runs), Wanted(), Path("/")
    )
    table = capsys.readouterr().out
    assert re.search(r"illustrious-g… +0\.5 +1\.0\b", table)
    assert re.search("run +accuracy +classifier.C", table)


def test_long_names_and_values_make_no_table_wider_than_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (run,) = latest(accuracy=0.5).runs
    long = replace(run, name="n" * 90, pipeline="p" * 90, params={"x": "v" * 90})
    other = replace(run, params={"x": "w", "only_here": "1"})
    listed = LatestRuns("tracked", "1", "sqlite:////there/mlflow.db", [long, other])
    for width in (30, 80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        for wanted in (Wanted(), Wanted(["accuracy"], ["x"])):
            print_runs(listed, wanted, Path("/"))
            shown = capsys.readouterr().out.splitlines()
            table = shown[2:] if width > 30 else shown[2:5]  # a hint may be longer
            assert max(map(len, table)) <= width


def test_parameters_that_differ_are_columns_and_others_are_not(
    project: Project,
) -> None:
    for run_id, c in (
        (log(project.client, "first", "FINISHED", accuracy=0.5), "1.0"),
        (log(project.client, "second", "FINISHED", accuracy=0.75), "0.1"),
    ):
        project.client.log_param(run_id, "model.C", c)
        project.client.log_param(run_id, "seed", 3)
    shown = kedro_here(project, "runs").stdout
    assert re.search(r"accuracy +model\.C\n", shown)
    assert re.search(r"second +0\.75 +0\.1 *\n", shown)
    assert "seed" not in shown
    assert re.search(r"seed\n", kedro_here(project, "runs", "--param", "seed").stdout)
    done = kedro_here(project, "runs", "--param", "sed")
    assert done.returncode == 1
    assert "has the parameter 'sed' (did you mean 'seed'?)" in done.stderr


def test_filters_are_joined_by_and(project: Project) -> None:
    project.write("conf/base/parameters.yml", {"a": 1})
    log(project.client, "bad", "FAILED", loss=9)
    log(project.client, "good", "FINISHED", loss=1)
    metric = Pipeline([node(nodes.log_in_node, "params:a", None, name="one")])
    both = {"training": metric, "train": Pipeline([node(nodes.one, "params:a", "b")])}
    project.run(both, pipeline_names=["training"])
    project.run(both, pipeline_names=["train"])

    def names(*words: str) -> list[str]:
        done = kedro_here(project, "runs", "--format", "json", *words)
        assert done.returncode == 0, done.stderr
        return [run["name"] for run in json.loads(done.stdout)]

    assert names("--status", "failed") == ["bad"]
    assert names("--pipeline", "train") == ["train"]
    assert names("--pipeline", "training", "--limit", "1") == ["training"]
    assert names("--where", "metrics.loss < 5") == ["good"]
    assert names("--where", "metrics.loss > 0", "--status", "FAILED") == ["bad"]
    assert len(names("--since", "1h")) == 4
    assert names("--since", "2999-01-01") == []
    done = kedro_here(project, "runs", "--pipeline", "none")
    assert "No run in the experiment 'tracked' at mlruns/mlflow.db is as" in done.stdout
    done = kedro_here(project, "runs", "--where", "metrics.loss ~ 5")
    assert done.returncode == 1
    assert 'MLflow does not understand --where "metrics.loss ~ 5"' in done.stderr
    assert "Traceback" not in done.stderr


def test_since_is_so_long_ago_or_a_date() -> None:
    now = datetime(2026, 11, 27, 12, tzinfo=timezone.utc)
    assert point_in_time("2d", now) == now - timedelta(days=2)
    assert point_in_time("90m", now) == now - timedelta(minutes=90)
    assert point_in_time("2026-11-20T10:00+02:00", now).hour == 8
    local = datetime(2026, 11, 20).astimezone()
    assert point_in_time("2026-11-20", now) == local
    with pytest.raises(TrackingError, match="--since is 'last week', which is no time"):
        point_in_time("last week", now)


def test_watch_ends_when_no_run_is_under_way(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = log(project.client, "slow", "RUNNING", loss=1)
    pauses = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            project.client.set_terminated(run_id, "FINISHED")

    module = importlib.import_module("tracked.tracking.commands.run_table")
    monkeypatch.setattr(module.time, "sleep", pause)
    done = kedro_here(project, "runs", "--watch")
    assert (done.returncode, len(pauses)) == (0, 2)
    assert done.stdout.count("FINISHED") == 1
    assert "RUNNING" not in done.stdout


def test_ctrl_c_ends_the_watching(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    log(project.client, "slow", "RUNNING", loss=1)

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    module = importlib.import_module("tracked.tracking.commands.run_table")
    monkeypatch.setattr(module.time, "sleep", interrupt)
    done = kedro_here(project, "runs", "--watch")
    assert (done.returncode, done.stdout.count("RUNNING")) == (0, 1)


def test_trials_of_a_sweep_are_sorted_by_their_metric(project: Project) -> None:
    client = project.client
    parent = log(client, "sweep", "FINISHED")
    for trial, accuracy in enumerate([0.5, 0.9, 0.7]):
        run_id = log(client, "trial", "FINISHED", accuracy=accuracy, also=1, loss=1)
        client.set_tag(run_id, "mlflow.parentRunId", parent)
        client.log_param(run_id, "trial", trial)
    log(client, "another", "FINISHED", also=1, loss=1)

    def trials(*words: str) -> list[str]:
        done = kedro_here(project, "runs", "--format", "json", *words)
        assert done.returncode == 0, done.stderr
        return [run["params"].get("trial", "") for run in json.loads(done.stdout)]

    best_first = ["--order-by", "metrics.accuracy DESC"]
    assert trials("--parent", parent[:8]) == ["2", "1", "0"]
    assert trials("--parent", "sweep", *best_first) == ["1", "2", "0"]
    assert trials(*best_first, "--limit", "1") == ["1"]
    assert trials("--order-by", "params.trial")[:3] == ["0", "1", "2"]
    shown = kedro_here(project, "runs", *best_first).stdout
    assert re.search(r"run +accuracy +also", shown)  # though fewer runs have it
    assert kedro_here(project, "runs", "--parent", "another").stdout == (
        "No run in the experiment 'tracked' at mlruns/mlflow.db is as asked for.\n"
    )


def test_a_wrong_order_and_an_unknown_parent_are_sentences(project: Project) -> None:
    log(project.client, "first", "FINISHED", accuracy=0.5)
    done = kedro_here(project, "runs", "--order-by", "metrics.acuracy DESC")
    assert (done.returncode, done.stdout) == (1, "")
    assert "has the metric 'acuracy' (did you mean 'accuracy'?)" in done.stderr
    done = kedro_here(project, "runs", "--order-by", "accuracy upwards")
    assert done.returncode == 1
    assert 'MLflow does not understand --order-by "accuracy upwards"' in done.stderr
    for parent in ("none", ""):  # as of a variable that is not set
        done = kedro_here(project, "runs", "--parent", parent)
        assert done.returncode == 1
        assert f"at mlruns/mlflow.db has no run '{parent}'" in done.stderr
