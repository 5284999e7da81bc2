"""A pipeline becomes a model with what it needs, and nothing else."""

import importlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import mlflow.pyfunc.scoring_server
import numpy as np
import pandas as pd
import pytest
from kedro.framework.session import KedroSession
from kedro.io import DatasetError
from kedro.pipeline import Pipeline, node
from kedro.runner import ThreadRunner

from tests.tracking.conftest import run_kedro
from tests.tracking.serving.conftest import ROWS, Scored

SCORES = [1102.0, 1204.0, 1208.0, 1110.0, 1212.0]  # 2 x + word + part


def files(folder: Path) -> dict[str, bytes]:
    return {
        f.relative_to(folder).as_posix(): f.read_bytes()
        for f in folder.rglob("*")
        if f.is_file()
    }


def test_run_logs_the_pipeline_with_all_that_it_needs(scored: Scored) -> None:
    run = scored.runs()[-1]
    model = scored.models(run.info.run_id)[-1]
    assert model.tags["kedro.pipeline"] == "scoring"
    assert model.tags["team"] == "us"
    assert "flowchart" in model.tags["mlflow.note.content"]
    version = scored.client.get_model_version("scorer", 1)
    assert version.run_id == run.info.run_id

    folder = scored.folder(model)
    data = folder / "data/pipeline/artifacts"
    words = min((scored.path / "data/06_models/words.json").glob("*/words.json"))
    assert files(data / "words") == {"words.json": words.read_bytes()}
    saved = files(scored.path / "data/06_models")
    assert (data / "limit/limit.json").read_bytes() == saved["limit.json"]
    assert (data / "parts/parts/one.json").read_bytes() == saved["parts/one.json"]
    assert (data / "line/MLmodel").exists()
    pins = (folder / "requirements.txt").read_text().splitlines()
    assert any(pin.startswith("kedro==") for pin in pins)
    content = json.loads((folder / "data/pipeline/pipeline.json").read_text())
    assert not {"credentials", "metadata"} & set(str(content).replace("'", " ").split())
    assert not [f for f in files(folder) if f.startswith(("code/scored/conf", "conf"))]


def test_signature_asks_for_what_the_pipeline_needs(scored: Scored) -> None:
    model = scored.models()[-1]
    signature = mlflow.models.Model.load(str(scored.folder(model))).signature
    assert signature is not None
    assert signature.inputs.input_names() == ["x", "word"]
    assert signature.inputs.required_input_names() == ["x", "word"]
    assert signature.outputs.input_names() == ["score", "count", "word"]
    defaults = {p.name: p.default for p in signature.params.params}
    assert defaults == {"factor": 1.0, "options": {"plus": 0.0}}


def test_model_answers_and_takes_parameters(scored: Scored) -> None:
    served = mlflow.pyfunc.load_model(str(scored.folder(scored.models()[-1])))
    rows = ROWS[["x", "word"]]
    before = rows.copy()
    answer = served.predict(rows)
    assert list(answer["score"]) == pytest.approx(SCORES)
    assert list(answer["count"]) == [5] * 5
    pd.testing.assert_frame_equal(rows, before)
    changed = served.predict(rows, params={"factor": 2.0, "options": {"plus": 1.0}})
    assert changed["score"][0] == pytest.approx(1105.0)
    assert served.predict(rows)["score"][0] == pytest.approx(SCORES[0])


@pytest.mark.parametrize(
    "runner", [pytest.param("ThreadRunner", marks=pytest.mark.slow), "ParallelRunner"]
)
def test_every_runner_logs_it(scored: Scored, runner: str) -> None:
    if runner == "ThreadRunner":
        scored.run("small", runner=ThreadRunner())
    else:  # not by a fork of this process, which has threads
        done = run_kedro(scored.path, "run", "--pipelines", "small", "--runner", runner)
        assert done.returncode == 0, done.stdout + done.stderr
    (model,) = scored.models(scored.runs()[0].info.run_id)
    served = mlflow.pyfunc.load_model(str(scored.folder(model)))
    assert list(served.predict(ROWS[["word"]])) == [100.0, 200.0] * 3


def test_lists_of_json_go_in_and_out(scored: Scored) -> None:
    scored.run("lists")
    model = scored.models(scored.runs()[0].info.run_id)[0]
    served = mlflow.pyfunc.load_model(str(scored.folder(model)))
    assert list(served.predict([4.0, 5.0])) == [8.0, 10.0]


@pytest.mark.parametrize(
    "data",
    [
        [1.5, 2.5],
        ["a", "b"],
        [{"a": 1.5, "b": "x"}, {"a": 2.5, "b": "y"}],
        {"a": 1.5, "b": "x"},
        [{"a": 1.5, "b": "x"}, {"a": None, "b": "y"}],
        [{"a": [1.5], "b": {"c": "x"}}, {"a": [1.5, 2.5], "b": {"c": "y"}}],
        [1.5, None],
        [1, 2],
        [True, False],
        {"a": [1.5, 2.5], "b": {"c": 1.5}},
        {"a": ["x", "y"], "b": ["z", "w"]},
        "text",
        np.array([[1.5, 2.5], [3.5, 4.5]]),
        pd.DataFrame({"a": [1.5], "b": ["x"]}),
    ],
    ids=lambda data: str(data)[:20],
)
def test_data_comes_in_the_form_of_training(
    scored: Scored, tmp_path: Path, data: Any
) -> None:
    serving = importlib.import_module("scored.tracking.serving")
    same = importlib.import_module("scored.scoring").same
    pipeline = line(pipeline=Pipeline([node(same, "rows", "out", name="same")]))
    model = pipeline.nodes[0].func(data)
    serving.save_model(model, str(tmp_path / "model"), pip_requirements=[])
    served = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    answer = served.predict(data)
    assert type(answer) is type(data)
    request = mlflow.models.convert_input_example_to_serving_input(data)
    parsed = mlflow.pyfunc.scoring_server._parse_json_data(
        request, served.metadata, served.metadata.get_input_schema()
    )
    for found in (answer, served.predict(parsed.data)):
        assert type(found) is type(data)
        if isinstance(data, pd.DataFrame):
            pd.testing.assert_frame_equal(found, data)
        else:
            np.testing.assert_equal(found, data)
            assert "np.str_" not in repr(found)


@pytest.fixture
def words(scored: Scored, tmp_path: Path) -> mlflow.pyfunc.PyFuncModel:
    """A model whose first node has MLflow's type hints."""
    serving = importlib.import_module("scored.tracking.serving")
    repeated = importlib.import_module("scored.scoring").repeated
    pipeline = Pipeline([node(repeated, "rows", "out", name="repeat")])
    model = (
        line(pipeline=pipeline)
        .nodes[0]
        .func([{"text": "a", "times": 2.0}, {"text": "b"}])
    )
    serving.save_model(model, str(tmp_path / "model"), pip_requirements=[])
    return mlflow.pyfunc.load_model(str(tmp_path / "model"))


@pytest.mark.parametrize(
    "request_body",
    [
        {"inputs": [{"text": "a", "times": 3}, {"text": "b"}]},
        {
            "dataframe_records": [
                {"text": "a", "times": 3},
                {"text": "b", "times": None},
            ]
        },
        {
            "dataframe_split": {
                "columns": ["text", "times"],
                "data": [["a", 3], ["b", None]],
            }
        },
    ],
    ids=lambda body: next(iter(body)),
)
def test_type_hints_of_mlflow_make_objects_of_a_request(
    words: mlflow.pyfunc.PyFuncModel, request_body: dict[str, Any]
) -> None:
    schema = words.metadata.get_input_schema()
    parsed = mlflow.pyfunc.scoring_server._parse_json_data(
        json.dumps(request_body), words.metadata, schema
    )
    assert words.predict(parsed.data) == ["aaa", "b"]


def test_request_without_what_a_type_hint_demands_is_refused(
    words: mlflow.pyfunc.PyFuncModel,
) -> None:
    with pytest.raises(mlflow.MlflowException, match="text"):
        words.predict([{"times": 2.0}])
    with pytest.raises(Exception, match="the node 'repeat' raised MlflowException in"):
        words.predict([{"text": None}])


def test_hooks_that_the_user_names_are_called_where_it_is_served(
    scored: Scored, tmp_path: Path
) -> None:
    serving = importlib.import_module("scored.tracking.serving")
    scoring = importlib.import_module("scored.scoring")
    steps = [
        node(scoring.half, "numbers", "halves", name="half"),
        node(scoring.double, "halves", "out", name="double"),
    ]
    where = {"pipeline": Pipeline(steps), "input": "numbers"}
    model = line(**where, hooks=[scoring.Watch]).nodes[0].func([1.0, 2.0])
    assert scoring.Watch.seen == []
    serving.save_model(model, str(tmp_path / "model"), pip_requirements=[])
    served = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    scoring.Watch.seen.clear()
    assert served.predict([4.0, 6.0]) == [6.0, 8.0]
    assert scoring.Watch.seen == [
        "before half",
        "after half: {'halves': [2.0, 3.0]}",
        "before double",
        "after double: {'out': [6.0, 8.0]}",
    ]
    scoring.Watch.seen.clear()
    with pytest.raises(Exception, match="node 'half' raised ValueError in") as failed:
        served.predict([13.0])
    assert "13.0" not in str(failed.value)
    assert scoring.Watch.seen == ["before half", "ValueError of half"]
    errors = importlib.import_module("scored.tracking.errors")
    with pytest.raises(errors.TrackingError, match="a hook cannot be imported where"):
        line(**where, hooks=[scoring.Watch()])


def test_failed_example_fails_the_run_and_registers_nothing(scored: Scored) -> None:
    before = scored.client.search_model_versions("name = 'scorer'")
    with pytest.raises(ValueError, match="no good"):
        scored.run("failing")
    run = scored.runs()[0]
    assert run.info.status == "FAILED"
    assert scored.models(run.info.run_id) == []
    assert len(scored.client.search_model_versions("name = 'scorer'")) == len(before)


def test_model_is_found_by_the_name_of_its_pipeline(
    scored: Scored, tmp_path: Path
) -> None:
    serving = importlib.import_module("scored.tracking.commands.serving")
    run_id = scored.runs()[-1].info.run_id
    with serving.downloaded_model(scored.path, "local", run_id, "scoring") as folder:
        assert Path(folder, "data/pipeline/pipeline.json").exists()
    (tmp_path / "rows.csv").touch()
    done = scored.kedro("predict", str(tmp_path / "rows.csv"), "--name", "train")
    assert done.exit_code == 1
    assert "no model of a pipeline with the name 'train' in the exp" in done.stderr


def test_run_that_is_not_tracked_logs_no_model(
    scored: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(scored.runs()), len(scored.models())
    monkeypatch.setenv("KEDRO_MLFLOW_DISABLED", "true")
    outputs = scored.run()
    answer = outputs["scorer"].load().predict(ROWS)
    assert list(answer["score"]) == pytest.approx(SCORES)
    assert (len(scored.runs()), len(scored.models())) == before


def test_run_that_trains_nothing_packs_nothing_unless_it_is_continued(
    scored: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(scored.models())
    first = scored.runs()[-1].info.run_id
    catalog = scored.path / "conf/local/catalog.yml"
    text = "line: {type: scored.tracking.MlflowModelTrackingDataset, run_id: %s, flavor: mlflow.sklearn}"
    catalog.write_text(text % first)
    scored.run("scoring")
    catalog.unlink()
    assert len(scored.models()) == before
    monkeypatch.setenv("MLFLOW_TRACKING_URI", scored.store)
    monkeypatch.setenv("MLFLOW_RUN_ID", first)  # as a task of an orchestrator
    scored.run("scoring")
    assert len(scored.models()) == before + 1


def line(**arguments: Any) -> Pipeline:
    serving = importlib.import_module("scored.tracking.serving")
    where = {"input": "rows", "output": "scorer", **arguments}
    return Pipeline([serving.pipeline_model(name="scoring", **where)])


@pytest.mark.parametrize(
    ("nodes", "sentence"),
    [
        ([("clean", "other", "out")], "no free input 'rows'.*are: other"),
        ([("clean", "rows", "a"), ("spoil", "rows", "b")], "one output.*found a, b"),
        ([("spoil", ["rows", "parameters"], "out")], "params:<name>"),
        ([("spoil", ["rows", "params:api_token"], "out")], "stored in the model"),
        ([(lambda rows: rows, "rows", "out")], "by def or class at the top of"),
        ([(partial(len), "rows", "out")], "cannot be imported where"),
    ],
)
def test_pipeline_that_cannot_be_served_is_a_sentence_at_once(
    scored: Scored, nodes: list[Any], sentence: str
) -> None:
    scoring = importlib.import_module("scored.scoring")
    errors = importlib.import_module("scored.tracking.errors")
    for_two = {"spoil": lambda *_: None}
    made = [
        node(
            (getattr(scoring, f) if isinstance(i, str) else for_two[f])
            if isinstance(f, str)
            else f,
            i,
            o,
            name=f"n{number}",
        )
        for number, (f, i, o) in enumerate(nodes)
    ]
    with pytest.raises(errors.TrackingError, match=sentence):
        line(pipeline=Pipeline(made))


@pytest.mark.parametrize(
    ("pipeline", "sentence"),
    [
        ("lacking", "needs a default for 'params:absent'"),
        ("memory", "needs 'memory', which is in no file, but a MemoryDataset"),
        ("nowhere", "flavor: scored.tracking.serving; found a MemoryDataset"),
        ("flavour", "flavor: scored.tracking.serving; found a Mlflow"),
    ],
)
def test_catalog_that_lacks_something_is_a_sentence_before_the_run(
    scored: Scored, pipeline: str, sentence: str
) -> None:
    errors = importlib.import_module("scored.tracking.errors")
    before = len(scored.runs())
    with pytest.raises(errors.TrackingError, match=sentence):
        scored.run(pipeline)
    assert len(scored.runs()) == before


def test_function_of_a_loose_module_is_a_sentence(scored: Scored) -> None:
    connect = importlib.import_module("scored.tracking.serving.connect")
    errors = importlib.import_module("scored.tracking.errors")
    loose = Pipeline([node(files, "rows", "out", name="loose")])
    with KedroSession.create(scored.path, save_on_close=False) as session:
        catalog = session.load_context().catalog
    pipeline = line(pipeline=loose)
    with pytest.raises(errors.TrackingError, match="neither part of scored nor"):
        connect.refuse_unservable(pipeline, catalog)
    dataset = catalog.get("scorer")
    dataset.add_save_args(code_paths=["/somewhere/tests"])
    connect.refuse_unservable(pipeline, catalog)


def test_missing_artifact_is_named(scored: Scored) -> None:
    (scored.path / "data/06_models/limit.json").rename(scored.path / "limit.json")
    try:
        with pytest.raises(DatasetError, match="limit"):
            scored.run("scoring")
    finally:
        (scored.path / "limit.json").rename(scored.path / "data/06_models/limit.json")


def test_other_version_of_the_code_is_told(
    scored: Scored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    errors = importlib.import_module("scored.tracking.errors")
    shutil.copytree(scored.folder(scored.models()[-1]), tmp_path / "model")
    content = tmp_path / "model/data/pipeline/pipeline.json"
    spec = json.loads(content.read_text())
    content.write_text(json.dumps({**spec, "code": "of an older version"}))
    with pytest.raises(errors.TrackingError, match="another version of the package"):
        mlflow.pyfunc.load_model(str(tmp_path / "model"))
    monkeypatch.setenv("KEDRO_MLFLOW_INSTALLED_CODE", "true")
    mlflow.pyfunc.load_model(str(tmp_path / "model"))
