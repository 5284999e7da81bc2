"""What the documents name is there."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from omegaconf import OmegaConf
from tracking.config.options import KedroMlflowConfig
from tracking.config.resolvers import mlflow_resolvers

from tests.conftest import TEMPLATE

TESTS = "\n".join(p.read_text("utf-8") for p in TEMPLATE.glob("tests/**/test_*.py"))
DOCS = [TEMPLATE / "README.md", *TEMPLATE.glob("docs/**/*.md")]


def test_every_test_that_a_document_names_exists() -> None:
    text = (TEMPLATE / "docs/tested.md").read_text("utf-8")
    names = re.findall(r"\btest_\w+(?!\.py)\b", re.sub(r"test_\w+\.py(::)?", "", text))
    assert len(names) > 30
    assert [n for n in names if f"def {n}(" not in TESTS] == []


def test_every_example_of_mlflow_yml_is_valid(default_project: Path) -> None:
    schema = json.loads(
        (default_project / "conf/mlflow.schema.json").read_text("utf-8")
    )
    examples = [e for page in DOCS for e in examples_of_mlflow_yml(page)]
    assert len(examples) > 30
    for example in examples:
        jsonschema.validate(example, schema)
        config = OmegaConf.create(example)
        with mlflow_resolvers():
            OmegaConf.register_new_resolver(
                "runtime_params", lambda _, default: default, replace=True
            )
            KedroMlflowConfig.model_validate(
                OmegaConf.to_container(config, resolve=True)
            )


def examples_of_mlflow_yml(page: Path) -> Iterator[dict[str, Any]]:
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text("utf-8"), re.S):
        for content in yaml.safe_load_all(block):
            if set(content) <= {"server", "tracking", "ui"}:
                yield content


@pytest.mark.parametrize("document", DOCS, ids=lambda p: str(p.relative_to(TEMPLATE)))
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(((?!http)[^)#]+)", document.read_text("utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_make_target_of_the_readme_exists() -> None:
    targets = re.findall(
        r"(?:^|`)make ([a-z-]+)", (TEMPLATE / "README.md").read_text("utf-8"), re.M
    )
    makefile = (TEMPLATE / "Makefile").read_text("utf-8")
    assert targets
    assert [t for t in targets if f"\n{t}:" not in makefile] == []
