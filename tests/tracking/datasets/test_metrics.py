"""Numbers and histories: what is loaded is what was saved."""

import pickle
from typing import Any

import mlflow
import pytest
from kedro.io import DatasetError
from mlflow import MlflowClient
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from tracking import (
    MlflowMetricDataset,
    MlflowMetricHistoryDataset,
    MlflowMetricsHistoryDataset,
)


def steps(run_id: str, key: str) -> list[tuple[int, float]]:
    history = MlflowClient().get_metric_history(run_id, key)
    return [(point.step, point.value) for point in history]


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the batches that reach the store; each would be one request."""
    sizes: list[int] = []
    log_batch = SqlAlchemyStore.log_batch

    def counted(self: Any, run_id: str, metrics: Any, params: Any, tags: Any) -> None:
        sizes.append(len(metrics))
        log_batch(self, run_id, metrics, params, tags)

    monkeypatch.setattr(SqlAlchemyStore, "log_batch", counted)
    return sizes


def test_overwrite_keeps_to_the_last_step(run_id: str) -> None:
    dataset = MlflowMetricDataset("m")
    for value in (3.0, 2.0, 1.0):
        dataset.save(value)
        assert dataset.load() == value
    assert [step for step, _ in steps(run_id, "m")] == [0, 0, 0]
    MlflowMetricDataset("m", save_args={"step": 7}).save(5)
    dataset.save(4)
    assert dataset.load() == mlflow.get_run(run_id).data.metrics["m"] == 4
    assert steps(run_id, "m")[-1] == (7, 4.0)


def test_append_takes_the_next_step(run_id: str) -> None:
    dataset = MlflowMetricDataset("m", save_args={"mode": "append"})
    for value in (3.0, 2.0, 1.0):
        dataset.save(value)
    assert steps(run_id, "m") == [(0, 3.0), (1, 2.0), (2, 1.0)]
    assert dataset.load() == 1.0
    assert MlflowMetricDataset("m", load_args={"step": 1}).load() == 2.0


def test_step_and_timestamp_are_logged(run_id: str) -> None:
    args = {"step": 4, "timestamp": 1_700_000_000_000}
    MlflowMetricDataset("m", save_args=args).save(1)
    (point,) = MlflowClient().get_metric_history(run_id, "m")
    assert (point.step, point.timestamp) == (4, 1_700_000_000_000)


@pytest.mark.parametrize(
    "data",
    [
        [0.5, 0.25, 0.125],
        [0.5],
        {10: 0.5, 0: 0.75, 20: 1.0},
        {3: 0.5},
        [
            {"step": 1, "value": 0.5, "timestamp": 1_700_000_000_000},
            {"step": 2, "value": 0.5, "timestamp": 1_700_000_000_001},
        ],
    ],
)
def test_history_loads_as_it_was_saved(run_id: str, data: Any) -> None:
    MlflowMetricHistoryDataset("m").save(data)
    loaded = pickle.loads(pickle.dumps(MlflowMetricHistoryDataset("m", run_id))).load()
    assert loaded == data
    assert list(loaded) == list(data)


def test_history_keeps_points_of_one_step_in_order(run_id: str) -> None:
    points = [{"step": 0, "value": v} for v in (3.0, 1.0, 2.0, 2.0)]
    MlflowMetricHistoryDataset("m").save(points)
    assert MlflowMetricHistoryDataset("m", load_args={"mode": "list"}).load() == [
        3.0,
        1.0,
        2.0,
        2.0,
    ]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("list", [0.5, 0.25]),
        ("dict", {0: 0.5, 1: 0.25}),
    ],
)
def test_history_loads_in_the_form_that_is_asked_for(
    run_id: str, mode: str, expected: Any
) -> None:
    MlflowMetricHistoryDataset("m").save([0.5, 0.25])
    assert MlflowMetricHistoryDataset("m", load_args={"mode": mode}).load() == expected
    history = MlflowMetricHistoryDataset("m", load_args={"mode": "history"}).load()
    assert [point["value"] for point in history] == [0.5, 0.25]


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 3500])
@pytest.mark.parametrize("form", ["list", "dict"])
def test_history_costs_a_request_for_each_thousand_points(
    run_id: str, batches: list[int], count: int, form: str
) -> None:
    values = [float(number) for number in range(count)]
    data = values if form == "list" else dict(enumerate(values))
    MlflowMetricHistoryDataset("m").save(data)
    assert len(batches) <= count / 1000 + 1
    assert [value for _, value in steps(run_id, "m")] == values


def test_histories_share_their_requests(run_id: str, batches: list[int]) -> None:
    MlflowMetricsHistoryDataset(prefix="p").save(
        {f"m{n}": [0.0] * 100 for n in range(20)}
    )
    assert len(batches) <= 3


@pytest.mark.parametrize(
    "data",
    [
        {"loss": 0.5, "accuracy": 1.0},
        {"loss": {"step": 3, "value": 0.5}},
        {"loss": [{"step": 3, "value": 0.5}, {"step": 5, "value": 0.25}]},
        {"loss": [{"step": 3, "value": 0.5}]},
        {"loss": [0.5, 0.25], "accuracy": [1.0]},
        {
            "loss": [{"step": 3, "value": 0.5}, {"step": 5, "value": 0.25}],
            "accuracy": {"step": 0, "value": 1.0},
        },
    ],
)
def test_histories_load_as_they_were_saved(run_id: str, data: Any) -> None:
    MlflowMetricsHistoryDataset(prefix="train").save(data)
    assert MlflowMetricsHistoryDataset(run_id, "train").load() == data


def test_prefix_matches_whole_names(run_id: str) -> None:
    for name in ("train", "train.loss", "train.deep.loss", "training.loss", "loss"):
        mlflow.log_metric(name, 1)
    point = {"step": 0, "value": 1.0}
    assert MlflowMetricsHistoryDataset(prefix="train").load() == {
        "train": point,
        "loss": point,
        "deep.loss": point,
    }
    assert len(MlflowMetricsHistoryDataset(prefix="").load()) == 5
    assert MlflowMetricsHistoryDataset(prefix="train").exists()
    assert not MlflowMetricsHistoryDataset(prefix="trai").exists()


@pytest.mark.parametrize(
    ("dataset", "data", "found"),
    [
        (MlflowMetricDataset("m"), "high", "found str"),
        (MlflowMetricDataset("m"), [1, 2], "found list"),
        (MlflowMetricHistoryDataset("m"), 3, "found int"),
        (MlflowMetricHistoryDataset("m"), [1, "x"], "found str"),
        (MlflowMetricHistoryDataset("m"), [{"step": 1}], r"keys \['step'\]"),
        (
            MlflowMetricHistoryDataset("m", save_args={"mode": "dict"}),
            [1],
            "mode 'dict'; found 'list'",
        ),
        (MlflowMetricsHistoryDataset(prefix="m"), [1], "found list"),
        (MlflowMetricsHistoryDataset(prefix="m"), {"x": {0: 1}}, r"'x': .*keys \[0\]"),
    ],
)
def test_wrong_type_names_dataset_run_and_metric(
    run_id: str, dataset: Any, data: Any, found: str
) -> None:
    with pytest.raises(DatasetError, match=found) as error:
        dataset.save(data)
    assert f"{type(dataset).__name__}: 'm" in str(error.value)
    assert run_id in str(error.value)
    assert not mlflow.get_run(run_id).data.metrics


@pytest.mark.parametrize("kind", [MlflowMetricDataset, MlflowMetricHistoryDataset])
def test_missing_metric_or_run_is_named(run_id: str, kind: type) -> None:
    with pytest.raises(DatasetError, match=f"'m' in the run {run_id}: there is no"):
        kind("m").load()
    with pytest.raises(DatasetError, match="'m' in the run 0{32}.*not found"):
        kind("m", "0" * 32).load()
    assert not kind("m").exists()


def test_missing_step_is_named(run_id: str) -> None:
    MlflowMetricDataset("m").save(1)
    with pytest.raises(DatasetError, match=r"no step 3, only \[0\]"):
        MlflowMetricDataset("m", load_args={"step": 3}).load()


@pytest.mark.parametrize(
    ("kind", "args", "found"),
    [
        (MlflowMetricDataset, {"save_args": {"mode": "add"}}, "found 'add'"),
        (MlflowMetricDataset, {"save_args": {"stop": 1}}, r"found \['stop'\]"),
        (MlflowMetricHistoryDataset, {"load_args": {"mode": "x"}}, "found 'x'"),
        (MlflowMetricHistoryDataset, {"load_args": {"step": 1}}, r"found \['step'\]"),
    ],
)
def test_wrong_argument_is_refused(kind: type, args: Any, found: str) -> None:
    with pytest.raises(DatasetError, match=found):
        kind("m", **args)


@pytest.mark.parametrize(
    "dataset",
    [
        MlflowMetricDataset("m"),
        MlflowMetricHistoryDataset("m"),
        MlflowMetricsHistoryDataset(prefix="m"),
    ],
    ids=lambda dataset: type(dataset).__name__,
)
def test_outside_of_a_run_it_says_what_to_do(store: str, dataset: Any) -> None:
    assert not dataset.exists()
    with pytest.raises(DatasetError, match="has no run.*run_id.*'kedro run'"):
        dataset.load()
    assert mlflow.active_run() is None


def test_without_key_and_catalog_it_says_what_to_do(run_id: str) -> None:
    with pytest.raises(DatasetError, match="has no key"):
        MlflowMetricDataset().save(1)


@pytest.mark.parametrize("values", [(1.0, 2.0, 3.0), (3.0, 2.0, 1.0), (2.0, 3.0, 1.0)])
def test_of_several_points_at_once_it_loads_the_one_that_mlflow_shows(
    run_id: str, values: tuple[float, ...]
) -> None:
    for value in values:
        MlflowClient().log_metric(run_id, "m", value, timestamp=5, step=0)
    shown = mlflow.get_run(run_id).data.metrics["m"]
    assert MlflowMetricDataset("m").load() == shown
    assert MlflowMetricDataset("m", load_args={"step": 0}).load() == shown


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("a@b", "may only contain"),
        ("a//b", "resolve to 'a/b'"),
        ("x" * 251, "takes 250"),
    ],
)
def test_name_that_mlflow_refuses_is_an_error_of_its_dataset(
    run_id: str, key: str, problem: str
) -> None:
    for dataset, data in (
        (MlflowMetricDataset(key), 1),
        (MlflowMetricHistoryDataset(key), [1]),
        (MlflowMetricsHistoryDataset(prefix=""), {key: 1}),
    ):
        name = type(dataset).__name__
        with pytest.raises(DatasetError, match=f"{name}: .*MLflow refuses.*{problem}"):
            dataset.save(data)
    assert not mlflow.get_run(run_id).data.metrics


def test_step_and_time_that_mlflow_refuses_are_an_error_of_their_dataset(
    run_id: str,
) -> None:
    for args in ({"step": 2**63}, {"step": 1, "timestamp": -1}):
        with pytest.raises(DatasetError, match="'m' in the run .* 64 bits"):
            MlflowMetricDataset("m", save_args=args).save(1)
    with pytest.raises(DatasetError, match="'m' in the run .*'today'"):
        MlflowMetricHistoryDataset("m").save([{"value": 1, "timestamp": "today"}])


def test_form_of_a_metric_with_a_long_name_is_kept(run_id: str) -> None:
    dataset = MlflowMetricHistoryDataset("x" * 250)
    dataset.save({3: 0.5})
    assert dataset.load() == {3: 0.5}
