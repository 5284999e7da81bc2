"""Inputs of libraries that this environment does not have: polars and deltalake."""

import subprocess
import sys
from collections.abc import Mapping

import pytest

from tests.tracking.conftest import Project

pytestmark = pytest.mark.slow  # run by 'make test-slow'

FILE = {"filepath": "data/table.csv", "file_format": "csv"}
CATALOG = {
    "table": {"type": "polars.EagerPolarsDataset", **FILE},
    "lazy": {"type": "polars.LazyPolarsDataset", **FILE},
    "delta": {"type": "pandas.DeltaTableDataset", "filepath": "data/delta"},
}
REGISTRY = """
from kedro.pipeline import Pipeline, node

def look(table, lazy, delta):
    assert type(table).__module__ + type(lazy).__name__ == "polars.dataframe.frameLazyFrame"
    assert len(delta) == 4

def register_pipelines():
    return {"__default__": Pipeline([node(look, ["table", "lazy", "delta"], None, name="look")])}
"""
WRITE = """
import pandas, deltalake
for n in range(2):
    rows = pandas.DataFrame({"x": [n, n + 1]})
    deltalake.write_deltalake("data/delta", rows, mode="append")
"""


def test_inputs_of_polars_and_delta(
    project: Project, installed: Mapping[str, str]
) -> None:
    project.write("src/tracked/pipeline_registry.py", REGISTRY)
    project.write("conf/base/catalog.yml", CATALOG)
    project.write("data/table.csv", "x,word\n1,a\n2,b\n3,c\n")
    for words in (
        [sys.executable, "-c", WRITE],
        [sys.executable, "-m", "kedro", "run"],
    ):
        done = subprocess.run(
            words, cwd=project.path, env=dict(installed), capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "PerformanceWarning" not in done.stderr
    inputs = {
        i.dataset.name: i.dataset for i in project.only_run().inputs.dataset_inputs
    }
    assert "Int64" in inputs["table"].schema
    assert '"num_rows": 3' in inputs["table"].profile
    assert not inputs["lazy"].schema
    assert inputs["delta"].digest == f"{1:020}"
    assert '"num_rows": 4' in inputs["delta"].profile
