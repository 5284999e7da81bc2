"""What the documents name is there."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from omegaconf import OmegaConf
from tracking.config import KedroMlflowConfig
from tracking.resolvers import mlflow_resolvers

from tests.conftest import TEMPLATE

TESTS = "\n".join(p.read_text("utf-8") for p in TEMPLATE.glob("tests/**/test_*.py"))
DOCS = [TEMPLATE / "README.md", *TEMPLATE.glob("docs/*.md")]


@pytest.mark.parametrize(("page", "least"), [("mlflow-yml", 20), ("login", 10)])
def test_every_test_that_a_document_names_exists(page: str, least: int) -> None:
    text = (TEMPLATE / f"docs/{page}.md").read_text("utf-8")
    names = re.findall(r"\btest_\w+(?!\.py)\b", re.sub(r"test_\w+\.py(::)?", "", text))
    assert len(names) > least
    assert [n for n in names if f"def {n}(" not in TESTS] == []


def test_every_example_of_mlflow_yml_is_valid(
    default_project: Path,
) -> None:
    text = (TEMPLATE / "docs/mlflow-yml.md").read_text("utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", text, re.S)
    assert len(examples) == 5
    schema = json.loads(
        (default_project / "conf/mlflow.schema.json").read_text("utf-8")
    )
    for example in examples:
        content = yaml.safe_load(example)
        jsonschema.validate(content, schema)
        config = OmegaConf.create(content)
        with mlflow_resolvers():
            OmegaConf.register_new_resolver(
                "runtime_params", lambda _, default: default, replace=True
            )
            KedroMlflowConfig.model_validate(
                OmegaConf.to_container(config, resolve=True)
            )


@pytest.mark.parametrize("document", DOCS, ids=lambda path: path.name)
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
