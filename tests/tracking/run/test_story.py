"""What a run records of itself, besides what its nodes log."""

import importlib
import json
import re
import subprocess
from collections.abc import Callable
from multiprocessing import get_all_start_methods
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import mlflow
import pytest
from click import ClickException
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Pipeline, node
from kedro.runner import ParallelRunner, SequentialRunner, ThreadRunner
from mlflow.entities import LoggedModel, Run, Trace
from mlflow.models import Model

from tests.loopback import wait_until
from tests.recorder import Answer, recorder
from tests.tracking import nodes
from tests.tracking.conftest import NO_RECORDS, Project, kedro_here

T = "tracked.tracking"
CATALOG = {
    "table": {"type": "pandas.CSVDataset", "filepath": "data/table.csv"},
    "model": {"type": f"{T}.MlflowModelTrackingDataset", "flavor": "mlflow.sklearn"},
    "score": {"type": f"{T}.MlflowMetricDataset"},
    "chosen": {"type": f"{T}.MlflowParametersDataset"},
}
PIPELINE = Pipeline(
    [
        node(nodes.fit_table, "table", "model", name="fit"),
        node(nodes.score_table, ["model", "table"], ["score", "chosen"], name="judge"),
    ]
)
FAILING = Pipeline([node(nodes.fail_with_a_secret, "table", None, name="broken")])


def git(project: Project, *words: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    subprocess.run(["git", *identity, *words], cwd=project.path, check=True)


@pytest.fixture
def tables(project: Project) -> Project:
    bootstrap_project(project.path)  # takes away caplog's handler, the first time
    project.write("data/table.csv", "x,y\n1,2\n2,4\n3,6\n")
    project.write("conf/base/catalog.yml", CATALOG)
    return project


@pytest.fixture
def dirty(tables: Project) -> Project:
    """A repository with a remote that has a login, and with changes."""
    git(tables, "init", "-q", "-b", "trunk")
    git(tables, "remote", "add", "origin", "https://me:hunter2@example.com/us/it.git")
    git(tables, "add", "--all")
    git(tables, "commit", "-qm", "x")
    tables.write("conf/base/parameters.yml", "seed: 7\nlogin:\n  password: hunter2\n")
    readme = tables.path / "README.md"
    readme.write_text('client(api_key="hunter2xyz")\n' + readme.read_text())
    return tables


def artifact(project: Project, run: Run, path: str) -> str:
    file = mlflow.artifacts.download_artifacts(
        run_id=run.info.run_id, artifact_path=path, tracking_uri=project.store
    )
    return Path(file).read_text("utf-8")


def names(project: Project, run: Run, path: str = "") -> set[str]:
    listed = project.client.list_artifacts(run.info.run_id, path or None)
    return {each.path for each in listed}


def trace_of(project: Project, run: Run) -> Trace:
    (trace,) = project.client.search_traces(
        locations=[run.info.experiment_id], run_id=run.info.run_id
    )
    return trace


def description(made: LoggedModel) -> Model:
    return Model.load(url2pathname(urlsplit(made.artifact_location).path))


def everything(project: Project) -> str:
    """All that the store has, artifacts and outbox included."""
    files = [f for f in (project.path / "mlruns").rglob("*") if f.is_file()]
    return "".join(file.read_bytes().decode("latin-1") for file in files)


def test_run_tells_where_it_comes_from_on_which_data_and_how_it_went(
    dirty: Project,
) -> None:
    dirty.run(PIPELINE)
    run = dirty.only_run()
    tags = run.data.tags

    (given,) = run.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.source_type) == ("table", "local")
    assert json.loads(given.dataset.source) == {"uri": "data/table.csv"}
    assert json.loads(given.dataset.profile)["num_rows"] == 3
    assert "int64" in given.dataset.schema
    about = {tag.key: tag.value for tag in given.tags}
    assert about["mlflow.data.context"] == "training"
    assert about["kedro.type"] == "pandas.CSVDataset"

    (made,) = dirty.client.search_logged_models([run.info.experiment_id])
    (metric,) = made.metrics
    assert (metric.key, metric.dataset_name) == ("score", "table")
    assert metric.dataset_digest == given.dataset.digest
    info = description(made)
    assert info.signature.inputs.input_names() == ["x"]
    assert info.saved_input_example_info
    assert run.data.params["chosen.best.C"] == "0.5"

    assert tags["mlflow.source.name"] == "tracked"
    assert tags["mlflow.source.git.branch"] == "trunk"
    assert tags["mlflow.source.git.repoURL"] == "https://example.com/us/it.git"
    assert tags["mlflow.source.git.commit"] == tags["git.commit"]
    patch = artifact(dirty, run, "source/changes.patch")
    assert "+seed: 7" in patch
    assert "+  password: ***" in patch
    assert '+client(api_key="***")' in patch
    assert "kedro==" in artifact(dirty, run, "source/packages.txt")

    note = tags["mlflow.note.content"]
    assert "`kedro run`" in note
    assert f"run_uuid={run.info.run_id}" in note
    assert "| table | `data/table.csv` |" in note
    assert "| `fit` |" in note
    assert ">judge<" in artifact(dirty, run, "pipeline.svg")
    assert "scored with https://me:***@host" in artifact(dirty, run, "console.log")
    root, *spans = trace_of(dirty, run).data.spans
    assert [span.name for span in spans] == ["fit", "judge"]
    assert spans[1].inputs == ["model", "table"]
    assert spans[1].outputs == ["score", "chosen"]
    assert spans[1].start_time_ns >= spans[0].end_time_ns
    assert root.status.status_code == "OK"

    assert "hunter2" not in everything(dirty)


def test_description_has_the_slowest_nodes_if_the_last_one_logs_nothing(
    tables: Project,
) -> None:
    fit, _ = PIPELINE.nodes
    last = node(nodes.wait, "model", "unlogged", name="wait")
    tables.run(Pipeline([fit, last]))
    note = tables.only_run().data.tags["mlflow.note.content"]
    assert "| Slowest nodes | Time |" in note
    assert "| `wait` |" in note


@pytest.mark.parametrize(
    ("runner", "method"),
    [
        (ThreadRunner, "spawn"),
        (ParallelRunner, get_all_start_methods()[0]),  # Python's own
        pytest.param(ParallelRunner, "spawn", marks=pytest.mark.slow),
    ],
)
def test_workers_record_the_same(
    tables: Project, monkeypatch: pytest.MonkeyPatch, runner: type, method: str
) -> None:
    monkeypatch.setenv("KEDRO_MP_CONTEXT", method)
    tables.run(PIPELINE, runner=runner())
    run = tables.only_run()
    (given,) = run.inputs.dataset_inputs
    assert json.loads(given.dataset.profile)["num_rows"] == 3
    (made,) = tables.client.search_logged_models([run.info.experiment_id])
    assert [metric.key for metric in made.metrics] == ["score"]
    _, *spans = trace_of(tables, run).data.spans
    assert [span.name for span in spans] == ["fit", "judge"]
    log = artifact(tables, run, "console.log")
    assert "scored with" in log
    assert "hunter2" not in everything(tables)


def test_description_with_the_picture_is_sent_with_the_parameters(
    tables: Project,
) -> None:
    notes = []

    def look(a: object, table: object) -> object:
        wait_until(lambda: bool(tables.only_run().data.params))
        notes.append(tables.only_run().data.tags["mlflow.note.content"])
        return a

    tables.write("conf/base/parameters.yml", {"a": 1})
    tables.run(Pipeline([node(look, ["params:a", "table"], "seen", name="look")]))
    (note,) = notes
    assert "data/table.csv" in note
    assert "path=pipeline.svg" in note


def test_failed_run_has_its_error_in_timeline_description_and_log(
    tables: Project,
) -> None:
    with pytest.raises(ValueError, match="no answer"):
        tables.run(FAILING)
    run = tables.only_run()
    root, span = trace_of(tables, run).data.spans
    assert [each.status.status_code for each in (root, span)] == ["ERROR", "ERROR"]
    assert "no answer of https://me:***@host" in span.status.description
    assert "**Failed in `broken`:**" in run.data.tags["mlflow.note.content"]
    why = run.data.tags["kedro.error"]
    assert why.startswith("broken: ValueError: no answer of https://me:***@host")
    listed = kedro_here(tables, "runs").stdout
    assert re.search(rf"(?m)^{run.info.run_id[:8]} .* failed in broken: Val", listed)
    assert "Traceback" in artifact(tables, run, "console.log")
    assert "hunter2" not in everything(tables)


def test_server_without_traces_is_a_line_in_the_log(
    tables: Project, server: str, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = json.dumps({"error_code": "ENDPOINT_NOT_FOUND", "message": "unknown"})

    def old(path: str, body: bytes, real: Callable[[], Answer]) -> Answer:
        is_new = "/traces" in path or "log-inputs" in path or "/artifacts/" in path
        return (404, unknown.encode()) if is_new else real()

    with recorder(server, spoil=old) as proxy, caplog.at_level("INFO"):
        tables.mlflow_yml(
            f"{{server: {{mlflow_tracking_uri: '{proxy.uri}'}}, "
            "tracking: {experiment: {name: old}}}"
        )
        tables.run(Pipeline([node(nodes.one, "table", "done", name="one")]))
    experiment = mlflow.MlflowClient(server).get_experiment_by_name("old")
    assert experiment
    (run,) = mlflow.MlflowClient(server).search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    for what in ("timeline", "inputs", "console.log"):
        assert caplog.text.count(f"does not have '{what}' of this run") == 1


def test_all_of_it_waits_for_a_server_that_is_away(
    tables: Project, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_away = True

    def away(path: str, body: bytes, real: Callable[[], Answer]) -> Answer:
        return (503, b"away") if is_away else real()

    tables.session(PIPELINE)
    lifecycle = importlib.import_module("tracked.tracking.run.lifecycle")
    monkeypatch.setattr(lifecycle, "_LAST_WAIT", 1.0)
    with recorder(server, spoil=away) as proxy:
        tables.mlflow_yml(
            f"{{server: {{mlflow_tracking_uri: '{proxy.uri}'}}, "
            "tracking: {experiment: {name: awaited}}}"
        )
        tables.run(PIPELINE)
        is_away = False
        assert kedro_here(tables, "sync").returncode == 0
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    client = mlflow.MlflowClient(server)
    experiment = client.get_experiment_by_name("awaited")
    assert experiment
    (run,) = client.search_runs([experiment.experiment_id])
    assert [each.dataset.name for each in run.inputs.dataset_inputs] == ["table"]
    (made,) = client.search_logged_models([experiment.experiment_id])
    assert [metric.key for metric in made.metrics] == ["score"]
    (trace,) = client.search_traces(locations=[experiment.experiment_id])
    assert trace.info.request_metadata["mlflow.sourceRun"] == run.info.run_id
    assert [span.name for span in trace.data.spans] == ["__default__", "fit", "judge"]
    assert "`fit`" in run.data.tags["mlflow.note.content"]
    listed = {each.path for each in client.list_artifacts(run.info.run_id)}
    assert listed >= {"console.log", "pipeline.svg"}


def test_each_record_can_be_turned_off(dirty: Project) -> None:
    dirty.mlflow_yml(f"tracking: {{record: {json.dumps(NO_RECORDS)}}}")
    dirty.run(PIPELINE)
    run = dirty.only_run()
    assert run.inputs.dataset_inputs == []
    assert "mlflow.note.content" not in run.data.tags
    assert names(dirty, run) == set()
    (made,) = dirty.client.search_logged_models([run.info.experiment_id])
    assert not made.metrics
    assert description(made).signature is None
    assert dirty.client.search_traces(locations=[run.info.experiment_id]) == []


def test_lock_is_recorded_once_for_each_content(tables: Project) -> None:
    only_lock = {**NO_RECORDS, "lock": True}
    tables.mlflow_yml(f"tracking: {{record: {json.dumps(only_lock)}}}")
    one = Pipeline([node(nodes.one, "table", "done", name="one")])
    tables.write("uv.lock", "version = 1\n")
    for _ in range(2):
        tables.run(one)
    first, second = tables.runs()
    assert artifact(tables, first, "source/uv.lock") == "version = 1\n"
    assert names(tables, second) == set()
    assert second.data.tags["lock.run_id"] == first.info.run_id


def test_metric_of_several_models_names_one_in_the_catalog(tables: Project) -> None:
    other = {**CATALOG["model"]}
    score = {**CATALOG["score"], "model": "modle"}
    tables.write("conf/base/catalog.yml", {**CATALOG, "other": other, "score": score})
    both = PIPELINE + Pipeline([node(nodes.fit_table, "table", "other", name="more")])
    with pytest.raises(ClickException, match="'modle'.*did you mean 'model'"):
        tables.run(both)
    assert tables.runs() == []


@pytest.mark.parametrize("data", ["metadata", "content"])
def test_digest_changes_with_the_data(tables: Project, data: str) -> None:
    record = {**NO_RECORDS, "inputs": True, "digest": data}
    tables.mlflow_yml(f"tracking: {{record: {json.dumps(record)}}}")
    one = Pipeline([node(nodes.one, "table", "done", name="one")])
    tables.run(one)
    (tables.path / "data/table.csv").touch()
    tables.run(one)
    tables.write("data/table.csv", "x,y\n1,2\n")
    tables.run(one)
    first, touched, changed = (
        run.inputs.dataset_inputs[0].dataset.digest for run in tables.runs()
    )
    assert (first == touched) == (data == "content")
    assert changed not in (first, touched)


MD5 = "0cc175b9c0f1b6a831c399e269772661"
DVC = f"outs:\n- md5: {MD5}\n  size: 12\n  hash: md5\n  path: table.csv\n"


def test_digest_is_what_dvc_and_delta_know_already(tables: Project) -> None:
    log = "data/delta/_delta_log"
    for version in range(3):
        tables.write(f"{log}/{version:020}.json", '{"commitInfo": {}}\n')
    tables.write(f"{log}/{9:020}.{9:020}.compacted.json", "{}")  # no version
    tables.write("data/table.csv.dvc", DVC)
    tables.write("data/parts/one.csv", "x\n1\n")
    parts = {"type": "partitions.PartitionedDataset", "dataset": "pandas.CSVDataset"}
    folders = {name: {**parts, "path": f"data/{name}"} for name in ("delta", "parts")}
    pinned = {**folders["delta"], "load_args": {"version": 1}}
    tables.write("conf/base/catalog.yml", {**CATALOG, **folders, "pinned": pinned})
    record = {**NO_RECORDS, "inputs": True}
    tables.mlflow_yml(f"tracking: {{record: {json.dumps(record)}}}")
    names = ["table", "delta", "pinned", "parts"]
    tables.run(Pipeline([node(nodes.first_of_four, names, "done", name="one")]))
    found = {
        each.dataset.name: ({t.key: t.value for t in each.tags}, each.dataset.digest)
        for each in tables.only_run().inputs.dataset_inputs
    }
    made_of = {name: (tags["digest"], digest) for name, (tags, digest) in found.items()}
    assert made_of.pop("parts")[0] == "size and time"
    assert made_of == {
        "table": ("dvc", MD5),
        "delta": ("delta", f"{2:020}"),
        "pinned": ("load_args: version", f"{1:020}"),
    }


def test_unknown_psutil_key_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    bootstrap_project(project.path)
    system_metrics = importlib.import_module("tracked.tracking.run.system_metrics")
    project.write("data/table.csv", "x,y\n1,2\n")
    project.mlflow_yml("tracking: {record: {system_metrics: true}}")
    monkeypatch.setattr(system_metrics, "find_spec", lambda _: None)
    with pytest.raises(ClickException, match="record.system_metrics.*psutil"):
        project.run(
            Pipeline([node(nodes.look_at_the_run, None, "x", name="x")]),
            runner=SequentialRunner(),
        )
    assert project.runs() == []
