"""A served pipeline in tables of polars and of Spark."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.tracking.serving.conftest import Scored

pytestmark = pytest.mark.slow  # run by 'make test-slow'

POLARS = """
import sys
import mlflow, pandas, polars
from kedro.pipeline import Pipeline, node

sys.path.insert(0, sys.argv[1])
from scored.scoring import shouted
from scored.tracking.errors import TrackingError
from scored.tracking.serving import pipeline_model, save_model

pipeline = Pipeline([node(shouted, "rows", "out", name="shout")])
packing = pipeline_model(pipeline, "shouting", input="rows", output="model")
table = polars.DataFrame({"word": ["a", None], "x": [1.5, 2.5]})
save_model(packing.func(table), "model", pip_requirements=[])
served = mlflow.pyfunc.load_model("model")
answer = served.predict(pandas.DataFrame({"word": ["b", None], "x": [3.5, 4.5]}))
assert type(answer) is pandas.DataFrame, type(answer)
assert answer["word"].tolist()[0] == "B", answer
assert answer["word"].isna().tolist() == [False, True]
try:
    packing.func(table.lazy())
except TrackingError as error:
    assert "EagerPolarsDataset" in str(error)
else:
    raise AssertionError
"""
SPARK = """
import sys
import mlflow, pandas
from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", False)
spark = spark.getOrCreate()
types = "score double, count long, word string"
scored = mlflow.pyfunc.spark_udf(spark, sys.argv[1], types, env_manager="local")
rows = spark.createDataFrame(pandas.DataFrame({"x": [1.0, 2.0], "word": ["a", "b"]}))
answers = rows.select(scored("x", "word").alias("it")).select("it.*").collect()
found = [(round(row.score), row["count"], row.word) for row in answers]
assert found == [(1102, 2, "a"), (1204, 2, "b")], found
"""


def run(script: str, folder: Path, where: Path, env: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script, str(where)],
        cwd=folder, env=dict(env), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_polars_go_in_and_pandas_come_out(
    scored: Scored, tmp_path: Path, installed: Mapping[str, str]
) -> None:
    run(POLARS, tmp_path, scored.path / "src", installed)


def test_it_answers_as_a_function_of_spark(
    scored: Scored, tmp_path: Path, installed: Mapping[str, str]
) -> None:
    run(SPARK, tmp_path, scored.folder(scored.models()[-1]), installed)
