"""Every question refuses a bad answer with a sentence."""

import keyword
import sys
from typing import Any

import pytest
import yaml
from jinja2 import Environment, FileSystemLoader

from tests.conftest import TEMPLATE, Render

QUESTIONS = {
    name: question
    for name, question in yaml.safe_load((TEMPLATE / "copier.yml").read_text()).items()
    if not name.startswith("_") and question.get("when") is not False
}


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ({"project_name": "  "}, "at least one letter"),
        ({"project_name": "two\nlines"}, "one line"),
        ({"project_slug": "Not A Slug"}, "lower-case letters, digits and dashes"),
        ({"python_package": "1st"}, "starts with a lower-case letter"),
        ({"python_package": "class"}, "keyword of Python"),
        ({"python_package": "json"}, "Python's standard library"),
        ({"python_package": "mlflow"}, "the project itself imports"),
        ({"python_package": "kedro"}, "the project itself imports"),
        ({"description": "a\nb"}, "one line"),
        ({"environments": ["staging"]}, "mapping of name to address"),
        ({"environments": {"local": None}}, "in every project"),
        ({"environments": {"a b": None}}, "no environment name"),
        ({"environments": {"prod": 5}}, "neither text nor null"),
        ({"environments": {"prod": "https://me:pw@host"}}, "user name or password"),
        ({"environments": {"prod": "https://host/a b"}}, "percent-encoded"),
        ({"tracking_login": "magic"}, "Invalid choice"),
    ],
)
def test_bad_answer_is_refused(
    render: Render, answers: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        render(**answers)


def test_names_of_keywords_and_standard_modules_are_all_refused() -> None:
    environment = Environment(loader=FileSystemLoader(TEMPLATE))  # noqa: S701
    reserved = environment.get_template("includes/reserved_names.jinja").module
    keywords = {k for k in (*keyword.kwlist, *keyword.softkwlist) if k.islower()}
    modules = {m for m in sys.stdlib_module_names if m.islower() and m[0] != "_"}
    assert not keywords - set(reserved.keywords)
    assert not modules - set(reserved.standard_library)


def test_order_of_the_questions() -> None:
    assert list(QUESTIONS) == [
        "project_name",
        "project_slug",
        "python_package",
        "description",
        "environments",
        "tracking_login",
        "sample_pipeline",
        "mlflow_install",
        "ci",
        "python_version",
        "telemetry",
        "renovate",
    ]


@pytest.mark.parametrize("name", QUESTIONS)
def test_question_has_help_and_default_and_is_no_secret(name: str) -> None:
    question = QUESTIONS[name]
    assert question["help"]
    assert "default" in question
    assert "secret" not in question
    assert question["type"] == "bool" or {"choices", "validator"} & set(question)
