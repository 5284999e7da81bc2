"""The examples in the docstrings run."""

import inspect
import textwrap

import mlflow
import pytest
import tracking
import yaml
from kedro.pipeline import Pipeline, node
from sklearn.linear_model import LinearRegression

from tests.tracking.conftest import Project
from tests.tracking.datasets.conftest import SAVED

TYPES = [name for name in tracking.__all__ if name.endswith("Dataset")]


def example(name: str, where: str) -> str:
    documentation = inspect.getdoc(getattr(tracking, name)) or ""
    _, _, text = documentation.partition(f"Example in {where}::\n")
    text, _, _ = text.partition("\n\nExample")
    return textwrap.dedent(text).replace("<package>", "tracked")


def test_all_types_have_examples() -> None:
    assert len(TYPES) == 8
    for name in TYPES:
        assert f".{name}\n" in example(name, "the catalog") + "\n"
        assert f" {name}(" in example(name, "Python")


@pytest.mark.parametrize("name", TYPES)
def test_python_example_runs(project: Project, store: str, name: str) -> None:
    project.session({})  # makes the project's package importable
    exec(compile(example(name, "Python"), name, "exec"), {})  # noqa: S102
    assert mlflow.active_run() is None


def test_catalog_examples_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("MLFLOW_TRACKING_URI", project.store)
        elsewhere.chdir(project.path / "mlruns")
        with mlflow.start_run():
            mlflow.sklearn.log_model(
                LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]),
                name="champion",
                registered_model_name="penguins",
                pip_requirements=["scikit-learn"],
            )
        mlflow.MlflowClient().set_registered_model_alias("penguins", "champion", "1")
    catalog = yaml.safe_load("\n".join(example(name, "the catalog") for name in TYPES))
    assert len(catalog) == len(TYPES)
    project.write("conf/base/catalog.yml", catalog)
    project.write("conf/base/parameters.yml", {"a": 1})
    saved = [name for name in SAVED if name in catalog]
    result = project.run(
        Pipeline(
            [node(SAVED[name], "params:a", name, name=name) for name in saved]
            + [node(lambda *data: len(data), sorted(catalog), "loaded", name="load")]
        )
    )
    assert result["loaded"].load() == len(saved) + 1 == len(TYPES)
