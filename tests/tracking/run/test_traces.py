"""Traces of nodes are in the store when the run has ended."""

import mlflow
from kedro.pipeline import Pipeline, node

from tests.recorder import recorder
from tests.tracking import nodes
from tests.tracking.conftest import Project


def test_traces_of_nodes_arrive_before_the_server_is_left(
    project: Project, server: str
) -> None:
    """MLflow exports them in threads, which this test slows down."""
    project.write("conf/base/parameters.yml", {"count": 40})
    with recorder(server, latency=0.05) as proxy:
        project.mlflow_yml(
            f"{{server: {{mlflow_tracking_uri: '{proxy.uri}'}}, "
            "tracking: {experiment: {name: traced}}}"
        )
        project.run(Pipeline([node(nodes.trace, "params:count", "x", name="trace")]))
    client = mlflow.MlflowClient(server)
    experiment = client.get_experiment_by_name("traced")
    assert experiment
    traces = client.search_traces(
        locations=[experiment.experiment_id], max_results=100, include_spans=False
    )
    assert len(traces) == 40 + 1  # the timeline of the run's nodes
