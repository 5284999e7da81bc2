"""The requests of a run, counted by a proxy in front of a real server."""

import json
from collections import Counter
from math import ceil

import pytest
from kedro.pipeline import Pipeline, node
from kedro.runner import ParallelRunner, SequentialRunner, ThreadRunner

from tests.recorder import recorder
from tests.tracking import nodes
from tests.tracking.conftest import Project

PARAMS = 20  # of each node
MORE = 2  # requests for what a run records of itself
TABLE = {"type": "pandas.CSVDataset", "filepath": "data/table.csv"}
METRIC = {"type": "tracked.tracking.MlflowMetricDataset"}
ARTIFACT = {
    "type": "tracked.tracking.MlflowArtifactDataset",
    "dataset": {"type": "json.JSONDataset", "filepath": "data/{n}.json"},
}


def pipeline(count: int, outputs: list[str]) -> Pipeline:
    """A pipeline of some nodes, each with its own parameters and outputs."""
    return Pipeline(
        [
            node(
                nodes.several,
                [f"params:p{n}_{i}" for i in range(PARAMS)],
                [f"{output}_{n}" for output in outputs],
                name=f"n{n}",
            )
            for n in range(count)
        ]
    )


def requests(
    project: Project, server: str, count: int, outputs: list[str], runner: type
) -> Counter[str]:
    """Return the requests of a run, without the uploads of its own artifacts."""
    names = [f"p{n}_{i}" for n in range(count) for i in range(PARAMS)]
    project.write("conf/base/parameters.yml", dict.fromkeys(names, 1))
    catalog = {"a_{n}": METRIC, "b_{n}": METRIC, "file_{n}": ARTIFACT}
    project.write("conf/base/catalog.yml", catalog)
    with recorder(server) as seen:
        project.mlflow_yml(f"server: {{mlflow_tracking_uri: '{seen.uri}'}}")
        project.run(pipeline(count, outputs), runner=runner())
    own = ("console.log", "pipeline.svg", "traces.json", "packages.txt")
    return Counter({k: n for k, n in seen.counts.items() if not k.endswith(own)})


@pytest.mark.parametrize("runner", [SequentialRunner, ThreadRunner, ParallelRunner])
@pytest.mark.parametrize("count", [1, 10])
def test_run_of_parameters_costs_a_constant_whatever_the_runner(
    project: Project, server: str, count: int, runner: type
) -> None:
    seen = requests(project, server, count, ["x", "y"], runner)
    assert seen.total() <= MORE + 4 + ceil(count * PARAMS / 100), seen


def test_a_hundred_nodes_cost_no_more_than_one(project: Project, server: str) -> None:
    seen = requests(project, server, 100, ["x", "y"], SequentialRunner)
    batches = seen["POST /api/2.0/mlflow/runs/log-batch"]
    assert batches <= 100 * PARAMS / 100 + 1  # which the description shares
    assert seen.total() <= MORE + 4 + 100 * PARAMS / 100, seen


@pytest.mark.parametrize("count", [1, 10])
def test_metrics_of_a_node_go_in_one_request(
    project: Project, server: str, count: int
) -> None:
    seen = requests(project, server, count, ["a", "b"], SequentialRunner)
    batches = seen.pop("POST /api/2.0/mlflow/runs/log-batch")
    assert batches <= MORE + count + ceil(count * PARAMS / 100)
    assert seen.total() <= MORE + 3, seen


@pytest.mark.parametrize("count", [1, 10])
def test_artifact_costs_its_upload(project: Project, server: str, count: int) -> None:
    seen = requests(project, server, count, ["file", "x"], SequentialRunner)
    uploads = {path for path in seen if path.startswith("PUT ")}
    assert len(uploads) == count
    others = seen.total() - sum(seen[path] for path in uploads)
    assert others <= MORE + 4 + ceil(count * PARAMS / 100), seen


@pytest.mark.parametrize("output", ["x", "a"])
def test_story_of_a_run_costs_two_requests(
    project: Project, server: str, output: str
) -> None:
    """One for its inputs and one for its timeline; the description shares another's."""
    project.write("conf/base/catalog.yml", {"a_{n}": METRIC, "table": TABLE})
    project.write("data/table.csv", "x,y\n1,2\n")
    steps = [node(nodes.one, "table", f"{output}_{n}", name=f"n{n}") for n in range(50)]
    counts = []
    for record in (False, True):
        keys = ("inputs", "metric_models", "lock", "description", "timeline", "console")
        options = json.dumps(dict.fromkeys(keys, record))
        with recorder(server) as seen:
            project.mlflow_yml(
                f"{{server: {{mlflow_tracking_uri: '{seen.uri}'}}, "
                f"tracking: {{experiment: {{name: told}}, record: {options}}}}}"
            )
            project.run(Pipeline(steps))
        batches = seen.counts.pop("POST /api/2.0/mlflow/runs/log-batch", 0)
        creations = seen.counts.pop("POST /api/2.0/mlflow/experiments/create", 0)
        assert batches <= 2 if output == "x" else batches <= 51
        assert creations <= 1
        counts.append(sum(n for k, n in seen.counts.items() if k[:3] != "PUT"))
    without, everything = counts
    assert everything - without == MORE
