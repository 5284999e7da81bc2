"""A project's own module: it trains a line, and scores rows with it."""

from typing import Any

import pandas as pd
from kedro.framework.hooks import hook_impl
from kedro.pipeline import Node, Pipeline, node
from mlflow.pyfunc.utils import pyfunc
from pydantic import BaseModel
from sklearn.linear_model import LinearRegression

from .tracking.serving import pipeline_model


def fit(rows: pd.DataFrame) -> LinearRegression:
    known = rows.dropna()
    return LinearRegression().fit(known[["x"]], known["label"])


def words(rows: pd.DataFrame) -> dict[str, float]:
    return {"a": 100.0, "b": 200.0}


def parts(rows: pd.DataFrame) -> dict[str, Any]:
    return {"one": {"offset": 1000.0}}


def limit(rows: pd.DataFrame) -> dict[str, float]:
    return {"limit": 5000.0}


def clean(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.dropna(subset=["x"])


def spoil(rows: pd.DataFrame) -> int:
    """Change the rows in place, which no other node may notice."""
    rows["x"] = -1.0
    return len(rows)


def score(
    rows: pd.DataFrame,
    lines: list[Any],
    words: dict[str, float],
    parts: dict[str, Any],
    limit: dict[str, float],
    count: int,
    options: dict[str, float],
    *,
    factor: float,
) -> pd.DataFrame:
    """Answer x * factor + word + part: the line through the data is y = 2 x."""
    fitted = lines.predict(rows[["x"]])
    found = fitted * factor + rows["word"].map(words) + parts["one"]()["offset"]
    found = found.clip(upper=limit["limit"]) + options["plus"]
    return pd.DataFrame({"score": found, "count": count, "word": rows["word"]})


def fail(rows: pd.DataFrame) -> pd.DataFrame:
    raise ValueError(f"no good: {list(rows['word'])}")


def predicted(rows: pd.DataFrame, line: Any) -> list[float]:
    return list(line.predict(rows[["x"]].fillna(0.0)))


def values(rows: pd.DataFrame, words: dict[str, float]) -> list[float]:
    return list(rows["word"].map(words))


def same(rows: Any) -> Any:
    return rows


def double(numbers: list[float]) -> list[float]:
    return [2 * number for number in numbers]


def shouted(rows: Any) -> Any:
    """Take and give a table of polars."""
    return rows.with_columns(word=rows["word"].str.to_uppercase())


class Watch:
    """Hooks of Kedro: they add one to each number, and note what they see."""

    seen: list[str] = []

    @hook_impl
    def before_node_run(self, node: Node, inputs: dict[str, Any]) -> Any:
        self.seen.append(f"before {node.name}")
        if node.name == "double":
            return {"halves": [number + 1 for number in inputs["halves"]]}
        return None

    @hook_impl
    def after_node_run(self, node: Node, outputs: dict[str, Any]) -> None:
        self.seen.append(f"after {node.name}: {outputs}")

    @hook_impl
    def on_node_error(self, error: Exception, node: Node) -> None:
        self.seen.append(f"{type(error).__name__} of {node.name}")


def half(numbers: list[float]) -> list[float]:
    if 13.0 in numbers:
        raise ValueError("nobody halves 13.0")
    return [number / 2 for number in numbers]


class Word(BaseModel):
    text: str
    times: float | None = None


@pyfunc
def repeated(model_input: list[Word]) -> list[str]:
    return [word.text * int(word.times or 1) for word in model_input]


SCORE = {
    "rows": "clean_rows",
    "lines": "line",
    "words": "words",
    "parts": "parts",
    "limit": "limit",
    "count": "count",
    "options": "params:options",
    "factor": "params:factor",
}
INFERENCE = Pipeline(
    [
        node(clean, "rows", "clean_rows", name="clean"),
        node(spoil, "clean_rows", "count", name="spoil"),
        node(score, SCORE, "scores", name="score"),
    ]
)
TRAIN = Pipeline(
    [
        node(fit, "rows", "line", name="fit"),
        node(fit, "rows", "saved_line", name="save"),
        node(words, "rows", "words", name="words"),
        node(parts, "rows", "parts", name="parts"),
        node(limit, "rows", "limit", name="limit"),
    ]
)


def packed(pipeline: Pipeline, output: str = "scorer", input: str = "rows") -> Pipeline:
    return Pipeline([pipeline_model(pipeline, "scoring", input=input, output=output)])


def register_pipelines() -> dict[str, Pipeline]:
    failing = Pipeline([node(fail, "rows", "scores", name="fail")])
    lists = Pipeline([node(double, "numbers", "doubles", name="double")])
    fitted = Pipeline([node(predicted, ["rows", "line"], "scores", name="predicted")])
    small = Pipeline([node(values, ["rows", "words"], "scores", name="values")])
    lacking = Pipeline(
        [node(values, ["rows", "params:absent"], "scores", name="values")]
    )
    reads_memory = Pipeline([node(fit, "rows", "memory", name="fit_again")])
    uses = {**SCORE, "lines": "memory"}
    memory = Pipeline([*INFERENCE.nodes[:2], node(score, uses, "scores", name="score")])
    return {
        "__default__": TRAIN + packed(INFERENCE),
        "train": TRAIN,
        "scoring": packed(INFERENCE),
        "failing": packed(failing),
        "lacking": packed(lacking),
        "fitted": packed(fitted),
        "small": Pipeline([node(words, "rows", "words", name="words")]) + packed(small),
        "lists": packed(lists, input="numbers"),
        "memory": reads_memory + packed(memory),
        "nowhere": packed(INFERENCE, output="elsewhere"),
        "flavour": packed(INFERENCE, output="pyfunc"),
    }
