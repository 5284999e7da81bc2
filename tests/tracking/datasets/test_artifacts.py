"""Exactly the files that a save has written become artifacts of the run."""

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import matplotlib.pyplot as plt
import mlflow
import pandas as pd
import pytest
from kedro.io import AbstractDataset, DataCatalog, DatasetError, SharedMemoryDataCatalog
from kedro.pipeline import Pipeline, node
from mlflow import MlflowClient
from tracking import MlflowArtifactDataset

from tests.tracking import nodes
from tests.tracking.conftest import OWN_FILES, Project
from tests.tracking.datasets.conftest import artifacts

JSON = {"type": "json.JSONDataset", "filepath": "data/new/folder/note.json"}
PARTS = {
    "type": "partitions.PartitionedDataset",
    "path": "parts",
    "filename_suffix": ".json",
    "dataset": {"type": "json.JSONDataset"},
}


def content(run_id: str, path: str) -> Any:
    return json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/{path}"))


def test_file_is_saved_and_logged(run_id: str) -> None:
    dataset = MlflowArtifactDataset(JSON, artifact_path="notes/")
    dataset.save({"a": 1})
    assert dataset.load() == {"a": 1}
    assert artifacts(run_id) == {"notes/note.json"}


def test_version_is_logged_under_the_name_of_the_file(run_id: str) -> None:
    for number in range(2):
        catalog = DataCatalog.from_config(
            {
                "inside": {
                    "type": MlflowArtifactDataset,
                    "artifact_path": "inside",
                    "dataset": {**JSON, "versioned": True},
                },
                "beside": {
                    "type": MlflowArtifactDataset,
                    "artifact_path": "beside",
                    "versioned": True,
                    "dataset": {**JSON, "filepath": "beside.json"},
                },
            },
            save_version=f"2026-11-23T00.00.0{number}.000Z",
        )
        catalog.save("inside", number)
        catalog.save("beside", number)
    assert artifacts(run_id) == {"inside/note.json", "beside/beside.json"}
    assert content(run_id, "inside/note.json") == 1
    assert content(run_id, "beside/beside.json") == 1
    assert len(list(Path("beside.json").iterdir())) == 2


@pytest.mark.parametrize("root", ["parts", "memory:///parts"])
def test_partitions_of_this_save_are_logged_and_no_others(
    run_id: str, root: str
) -> None:
    parts = {**PARTS, "path": root}
    earlier = MlflowArtifactDataset(parts, run_id, save_to_run=True)
    earlier.save({"old": 0, "kept": 0})
    with mlflow.start_run(nested=True) as run:
        dataset = MlflowArtifactDataset({**PARTS, "path": root})
        dataset.save({"kept": 0, "deep/new": lambda: 1})
    assert artifacts(run.info.run_id) == {"parts/kept.json", "parts/deep/new.json"}
    assert content(run.info.run_id, "parts/deep/new.json") == 1
    assert set(dataset.load()) == {"old", "kept", "deep/new"}
    assert artifacts(run_id) == {"parts/old.json", "parts/kept.json"}
    fsspec.filesystem("memory").store.clear()


def test_versions_of_partitions_are_logged(run_id: str) -> None:
    versioned = {"type": "json.JSONDataset", "versioned": True}
    with mlflow.start_run(nested=True):
        MlflowArtifactDataset({**PARTS, "dataset": versioned}).save({"a": 0})
    MlflowArtifactDataset({**PARTS, "dataset": versioned}).save({"a": 1})
    (path,) = artifacts(run_id)
    assert path.startswith("parts/a.json/")
    assert content(run_id, path) == 1


def test_of_a_folder_what_this_save_wrote_is_logged(run_id: str) -> None:
    config = {"type": "matplotlib.MatplotlibDataset", "filepath": "plots"}
    figure = plt.figure()
    with mlflow.start_run(nested=True):
        MlflowArtifactDataset(config).save({"old.png": figure, "again.png": figure})
    MlflowArtifactDataset(config).save({"again.png": figure, "new.png": figure})
    plt.close(figure)
    assert artifacts(run_id) == {"plots/again.png", "plots/new.png"}
    assert Path("plots/old.png").exists()


def test_remote_file_is_logged_and_loaded_with_its_options(run_id: str) -> None:
    config = {
        "type": "text.TextDataset",
        "filepath": "memory://bucket/naïve.txt",
        "fs_args": {
            "open_args_save": {"mode": "w", "encoding": "utf-16"},
            "open_args_load": {"encoding": "utf-16"},
        },
    }
    MlflowArtifactDataset(config).save("é")
    fsspec.filesystem("memory").store.clear()
    assert artifacts(run_id) == {"naïve.txt"}
    assert MlflowArtifactDataset(config, run_id).load() == "é"


def test_credentials_reach_the_inner_dataset_and_are_not_shown() -> None:
    dataset = MlflowArtifactDataset(
        {"type": "json.JSONDataset", "filepath": "memory://bucket/x.json"},
        credentials={"token": "hidden"},
    )
    assert dataset._dataset._fs.storage_options == {"token": "hidden"}
    assert "hidden" not in f"{dataset!r}{dataset}"
    with pytest.raises(DatasetError) as error:
        MlflowArtifactDataset({"credentials": {"token": "hidden"}})
    assert "'type'" in str(error.value)
    assert "hidden" not in str(error.value)


def test_run_id_loads_without_the_credentials_of_elsewhere(run_id: str) -> None:
    config = {"type": "pandas.CSVDataset", "filepath": "memory://bucket/table.csv"}
    args = {"dataset": config, "credentials": {"token": "hidden"}}
    MlflowArtifactDataset(**args).save(pd.DataFrame({"a": [1]}))
    assert MlflowArtifactDataset(**args, run_id=run_id).load()["a"].tolist() == [1]
    fsspec.filesystem("memory").store.clear()


class Plain(AbstractDataset[str, str]):
    """A dataset that makes no folders."""

    def __init__(self, filepath: str) -> None:
        self.path = Path(filepath)

    def save(self, data: str) -> None:
        self.path.write_text(data)

    def load(self) -> str:
        return self.path.read_text()

    def _describe(self) -> dict[str, Any]:
        return {"path": self.path}


def test_parent_folders_are_made_for_any_dataset(run_id: str) -> None:
    config = {"type": Plain, "filepath": "deep/er/note.txt"}
    MlflowArtifactDataset(config).save("text")
    assert MlflowArtifactDataset(config, run_id).load() == "text"


@pytest.mark.parametrize("root", ["data", "memory://bucket"])
def test_run_id_loads_the_artifact_and_leaves_the_copy_alone(
    run_id: str, root: str
) -> None:
    config = {"type": "json.JSONDataset", "filepath": f"{root}/note.json"}
    MlflowArtifactDataset(config, artifact_path="a").save("of the run")
    mlflow.end_run()
    plain = MlflowArtifactDataset(config)._dataset
    plain.save("of today")
    dataset = pickle.loads(pickle.dumps(MlflowArtifactDataset(config, run_id, "a")))
    assert dataset.exists()
    assert dataset.load() == "of the run"
    assert plain.load() == "of today"
    dataset.release()
    assert dataset.load() == "of the run"
    fsspec.filesystem("memory").store.clear()


def test_run_id_loads_partitions_and_versions(run_id: str) -> None:
    versioned = {**JSON, "versioned": True}
    MlflowArtifactDataset(versioned).save(1)
    MlflowArtifactDataset(PARTS).save({"a": 1, "deep/b": 2})
    parts = MlflowArtifactDataset(PARTS, run_id)
    loaded = {name: load() for name, load in parts.load().items()}
    assert loaded == {"a": 1, "deep/b": 2}
    assert MlflowArtifactDataset(versioned, run_id).load() == 1


def test_run_id_logs_to_that_run(run_id: str) -> None:
    with mlflow.start_run(nested=True) as other:
        MlflowArtifactDataset(JSON, run_id, save_to_run=True).save(1)
    assert artifacts(run_id) == {"note.json"}
    assert artifacts(other.info.run_id) == set()


@pytest.mark.parametrize("missing", ["artifact", "run"])
def test_missing_artifact_or_run_is_named(run_id: str, missing: str) -> None:
    wanted = run_id if missing == "artifact" else "0" * 32
    catalog = DataCatalog({"note": MlflowArtifactDataset(JSON, wanted)})
    with pytest.raises(DatasetError) as error:
        catalog.load("note")
    assert f"runs:/{wanted}/note.json" in str(error.value)
    assert not MlflowArtifactDataset(JSON, run_id).exists()


def test_outside_of_a_run_it_says_what_to_do(store: str) -> None:
    with pytest.raises(DatasetError, match=r"no run to save 'note\.json' to.*run_id"):
        MlflowArtifactDataset(JSON).save(1)
    assert mlflow.active_run() is None


def test_dataset_without_a_file_is_refused() -> None:
    with pytest.raises(DatasetError, match="'filepath' or 'path'"):
        MlflowArtifactDataset({"type": "kedro.io.MemoryDataset"})


def test_incremental_dataset_is_confirmed(run_id: str) -> None:
    config = {**PARTS, "type": "partitions.IncrementalDataset"}
    dataset = MlflowArtifactDataset(config)
    dataset.save({"2026-01": 1})
    assert list(dataset.load()) == ["2026-01"]
    assert not Path("parts/CHECKPOINT").exists()
    dataset.confirm()
    assert Path("parts/CHECKPOINT").exists()


def count(a: int) -> int:
    return a


def test_dataset_factory_names_the_artifact(project: Project) -> None:
    project.write("conf/base/parameters.yml", {"a": 1})
    project.write(
        "conf/base/catalog.yml",
        {
            "{name}_note": {
                "type": "tracked.tracking.MlflowArtifactDataset",
                "artifact_path": "{name}",
                "dataset": {**JSON, "filepath": "data/{name}.json"},
            }
        },
    )
    project.run(Pipeline([node(count, "params:a", "my_note", name="count")]))
    listed = MlflowClient(project.store).list_artifacts(project.only_run().info.run_id)
    assert {each.path for each in listed} - OWN_FILES == {"my"}


class OneProcess(Plain):
    _SINGLE_PROCESS = True


def test_dataset_for_one_process_is_kept_from_others() -> None:
    dataset = MlflowArtifactDataset({"type": OneProcess, "filepath": "x"})
    catalog = SharedMemoryDataCatalog({"x": dataset})
    with pytest.raises(AttributeError, match="cannot be used with multiprocessing"):
        catalog.validate_catalog()


@pytest.fixture
def run_on_server(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The id of a run whose artifacts are uploaded over HTTP."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.chdir(tmp_path)
    with mlflow.start_run() as run:
        yield run.info.run_id


@pytest.mark.parametrize("name", ["a#1", "a?b", "a%20b", "d#1/a"])
def test_name_that_mlflow_reads_as_another_is_refused(
    run_on_server: str, name: str
) -> None:
    """The server would save ``a``, ``a#1`` and ``a?b`` all as ``a``."""
    dataset = MlflowArtifactDataset({**PARTS, "filename_suffix": ""})
    dataset.save({"a": 1})
    with pytest.raises(
        DatasetError, match="cannot have '.*' in its name, which MLflow"
    ):
        dataset.save({name: 2})
    assert artifacts(run_on_server) == {"parts/a"}
    assert content(run_on_server, "parts/a") == 1


@pytest.mark.parametrize("name", ["100%", "a b", "ü+&=;,@:", "[1]'\""])
def test_other_names_arrive_on_a_server_as_they_are(
    run_on_server: str, name: str
) -> None:
    dataset = MlflowArtifactDataset({**PARTS, "filename_suffix": ""})
    dataset.save({name: 1})
    assert artifacts(run_on_server) == {f"parts/{name}"}
    assert content(run_on_server, f"parts/{name}") == 1


def test_artifact_without_a_local_file_is_loaded_from_the_run(
    project: Project, run_id: str, tmp_path: Path
) -> None:
    config = {"type": "json.JSONDataset", "filepath": str(tmp_path / "note.json")}
    note = MlflowArtifactDataset(config, artifact_path="notes", local=False)
    assert not note.exists()
    note.save([1, 2])
    assert artifacts(run_id) == {"notes/note.json"}
    assert not (tmp_path / "note.json").exists()
    assert note.exists()
    assert note.load() == [1, 2]

    kind = {"type": "tracked.tracking.MlflowArtifactDataset", "local": False}
    inner = {"type": "json.JSONDataset", "filepath": "data/note.json"}
    project.write("conf/base/catalog.yml", {"note": {**kind, "dataset": inner}})
    project.write("conf/base/parameters.yml", {"a": 1})
    steps = [
        node(nodes.one, "params:a", "note", name="one"),
        node(nodes.same, "note", "again", name="two"),
    ]
    mlflow.end_run()
    for setting in ("", "tracking: {disable_tracking: {pipelines: [__default__]}}"):
        project.mlflow_yml(setting)
        assert project.run(Pipeline(steps))["again"].load() == 1.0
        assert not (project.path / "data/note.json").exists()
