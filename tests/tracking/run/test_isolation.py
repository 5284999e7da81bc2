"""Catalogs, runs and processes do not mix, and leave nothing behind."""

import copy
import gc
import importlib
import multiprocessing
import os
import pickle
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import pytest
from click import ClickException
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner
from mlflow.utils.autologging_utils import get_autologging_config

from tests.tracking import nodes
from tests.tracking.conftest import Project

ONE = Pipeline([node(nodes.one, "params:a", "done", name="one")])
LOGGING = Pipeline([node(nodes.log_in_node, "params:a", "done", name="log")])
METRIC = {"type": "tracked.tracking.MlflowMetricDataset", "key": "m"}


@pytest.fixture(autouse=True)
def parameters(project: Project) -> None:
    project.write("conf/base/parameters.yml", {"a": 1})


def test_catalog_reads_from_the_store_of_its_own_context(
    project: Project, empty_store: Path
) -> None:
    for number, env in enumerate(("one", "two"), 1):
        uri = f"sqlite:///{project.path.as_posix()}/{env}/mlflow.db"
        (project.path / env).mkdir()
        (project.path / env / "mlflow.db").write_bytes(empty_store.read_bytes())
        client = mlflow.MlflowClient(uri)
        run_id = client.create_run("0").info.run_id
        client.log_metric(run_id, "m", number)
        project.write(
            f"conf/{env}/mlflow.yml", {"server": {"mlflow_tracking_uri": uri}}
        )
        entry = {**METRIC, "run_id": run_id}
        project.write(f"conf/{env}/catalog.yml", {"metric": entry})
    with project.session(ONE, env="one") as first:
        one = first.load_context()
    with project.session(ONE, env="two") as second:
        two = second.load_context()
    assert one.catalog.load("metric") == 1.0
    assert two.catalog.load("metric") == 2.0


def test_catalog_of_a_context_can_be_used_in_another_thread(project: Project) -> None:
    run_id = project.client.create_run("0").info.run_id
    project.client.log_metric(run_id, "m", 3)
    project.write("conf/base/catalog.yml", {"metric": {**METRIC, "run_id": run_id}})
    with project.session(ONE) as session:
        context = session.load_context()
    loaded = []
    thread = threading.Thread(
        target=lambda: loaded.append(context.catalog.load("metric"))
    )
    thread.start()
    thread.join()
    assert loaded == [3.0]


def test_refused_join_leaves_nothing_behind(project: Project) -> None:
    handler = signal.getsignal(signal.SIGINT)
    mlflow.set_tracking_uri(project.store)
    mlflow.sklearn.autolog(silent=True)
    try:
        with mlflow.start_run() as mine:
            mlflow.log_param("a", 2)
            with pytest.raises(ClickException, match="'a' already, as '2'.*become '1'"):
                project.run(ONE)
            assert mlflow.active_run().info.run_id == mine.info.run_id
            assert type(mlflow.tracking.fluent._active_run_stack.get()) is list
        assert get_autologging_config("sklearn", "disable") is False
    finally:
        mlflow.sklearn.autolog(disable=True)
        mlflow.set_tracking_uri(None)
    assert signal.getsignal(signal.SIGINT) == handler
    assert "MLFLOW_RUN_ID" not in os.environ


def test_start_that_fails_late_leaves_nothing_behind(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, before = signal.getsignal(signal.SIGINT), dict(os.environ)

    def broken(*_: object, **__: object) -> None:
        raise ConnectionError("gone")

    project.session(ONE)  # imports the project's modules
    lifecycle = importlib.import_module("tracked.tracking.run.lifecycle")
    monkeypatch.setattr(lifecycle, "batch_records", broken)
    with pytest.raises(ConnectionError):
        project.run(ONE)
    assert project.only_run().info.status == "FAILED"
    assert signal.getsignal(signal.SIGINT) == handler
    assert mlflow.active_run() is None
    names = ("MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID")
    assert [os.environ.get(n) for n in names] == [before.get(n) for n in names]


@pytest.mark.parametrize("disabled", [True, False])
def test_copy_of_a_run_does_nothing_to_the_process(
    project: Project, monkeypatch: pytest.MonkeyPatch, disabled: bool
) -> None:
    monkeypatch.setenv("KEDRO_MLFLOW_DISABLED", str(disabled).lower())
    copies = []

    def look(value: object) -> float:
        (run,) = open_runs()
        before = dict(os.environ)
        copies.append(copy.copy(run))
        copies.append(pickle.loads(pickle.dumps(run)))
        assert dict(os.environ) == before
        return 1.0

    project.session(ONE)  # the project's settings set variables of their own
    before = dict(os.environ)
    project.run(Pipeline([node(look, "params:a", "done", name="look")]))
    del copies[:]
    gc.collect()
    assert {k: v for k, v in os.environ.items() if k.startswith("MLFLOW")} == {
        k: v for k, v in before.items() if k.startswith("MLFLOW")
    }


class CopyingRunner(SequentialRunner):
    """Copies the catalog, to look at it, before it runs anything."""

    def _run(self, pipeline: Pipeline, catalog: Any, *words: Any, **more: Any) -> Any:
        copy.deepcopy(catalog)
        return super()._run(pipeline, catalog, *words, **more)


def test_copy_of_a_catalog_does_nothing_in_the_process_of_its_run(
    project: Project,
) -> None:
    project.run(LOGGING, runner=CopyingRunner())
    run = project.only_run()
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"fluent_1": 1.0})
    assert mlflow.active_run() is None


def test_nothing_of_a_run_outlives_it(project: Project) -> None:
    """Except the ledger of environment variables, which is empty again."""
    project.write("conf/local/credentials.yml", {"mine": {"SECRET_OF_MINE": "s3cret"}})
    project.mlflow_yml("server: {credentials: mine}")
    project.run(ONE)
    gc.collect()
    from tracked.tracking.run.handle import RunHandle
    from tracked.tracking.run.lifecycle import TrackedRun
    from tracked.tracking.server.process_environment import EnvironmentOverride

    kinds = (TrackedRun, RunHandle)
    assert not [thing for thing in gc.get_objects() if isinstance(thing, kinds)]
    assert not open_runs()
    assert not EnvironmentOverride._originals
    assert "SECRET_OF_MINE" not in os.environ


@pytest.mark.skipif(os.name == "nt", reason="Windows has no forks")
def test_worker_refuses_a_run_of_another_server_while_it_logs_to_one(
    project: Project, empty_store: Path
) -> None:
    """As in a worker of Dask, whose threads belong to several runs at once."""
    handles: list[bytes] = []

    def keep(value: object) -> float:
        (run,) = open_runs()
        handles.append(pickle.dumps(run.handle))  # type: ignore[attr-defined]
        return 1.0

    for env in ("one", "two"):
        store = project.path / env / "mlflow.db"
        store.parent.mkdir()
        store.write_bytes(empty_store.read_bytes())
        uri = f"sqlite:///{store.as_posix()}"
        project.write(
            f"conf/{env}/mlflow.yml", {"server": {"mlflow_tracking_uri": uri}}
        )
        project.run(Pipeline([node(keep, "params:a", "done", name="keep")]), env=env)
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as worker:
        refused = worker.submit(attach_all, handles).result()
    assert "needs another value of MLFLOW_TRACKING_URI" in refused


def attach_all(handles: list[bytes]) -> str:
    try:
        for handle in handles:
            pickle.loads(handle).attach()
    except ClickException as error:
        return error.message
    return ""


def open_runs() -> list[object]:
    from tracked.tracking.run import kedro_run

    return list(kedro_run._open)
