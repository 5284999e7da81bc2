"""What is generated from the models of ``mlflow.yml`` is up to date."""

import json
import re
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
import yaml
from tracking.config.rendering import documented_yaml, environment_yaml, json_schema

from scripts import generate as generated
from tests.conftest import Render


def test_schema_comes_from_the_models(default_project: Path) -> None:
    schema = (default_project / "conf/mlflow.schema.json").read_text("utf-8")
    assert json.loads(schema) == json_schema(), "regenerate it with 'make generated'"


def test_base_mlflow_yml_comes_from_the_models() -> None:
    text = generated.MLFLOW_YML.read_text("utf-8")
    assert text == generated.mlflow_yml(), "regenerate it with 'make generated'"


def test_base_mlflow_yml_documents_every_key(default_project: Path) -> None:
    rendered = (default_project / "conf/base/mlflow.yml").read_text("utf-8")
    assert rendered == documented_yaml({"tracking.params.dict_params.flatten": "true"})


def test_pages_of_the_reference_are_what_would_be_written() -> None:
    for page, text in generated.pages().items():
        assert page.read_text("utf-8") == text, "regenerate it with 'make generated'"


def test_every_key_has_an_example_that_is_not_its_default() -> None:
    page = (generated.PAGES / "mlflow-yml.md").read_text("utf-8")
    entry = r"### `(.*?)`\n.*?- Default: `(.*?)`\n\n```yaml\n(.*?)```"
    entries = re.findall(entry, page, re.S)
    assert len(entries) == page.count("\n### ") > 20
    for key, default, example in entries:
        value = reduce(getitem, key.split("."), yaml.safe_load(example))
        assert value != yaml.safe_load(default), key


@pytest.mark.parametrize("path", ["base", "staging", "prod"])
def test_first_line_points_editors_to_the_schema(
    default_project: Path, path: str
) -> None:
    file = default_project / "conf" / path / "mlflow.yml"
    first = file.read_text("utf-8").splitlines()[0]
    (reference,) = re.findall(r"^# yaml-language-server: \$schema=(.*)$", first)
    assert (file.parent / reference).resolve().is_file()


def test_environments_say_what_init_would_write(render: Render) -> None:
    conf = (
        render(environments={"prod": "https://mlflow.example.com", "qa": None}) / "conf"
    )
    for env, uri in {"prod": "https://mlflow.example.com", "qa": None}.items():
        assert (conf / env / "mlflow.yml").read_text("utf-8") == environment_yaml(
            env, uri
        )
