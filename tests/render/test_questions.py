"""Every question refuses a bad answer with a sentence."""

import keyword
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from copier import run_copy
from jinja2 import Environment, FileSystemLoader

from tests.addresses import RIGHT, WRONG, WRONG_SCHEMES
from tests.conftest import TEMPLATE, Render

QUESTIONS = {
    name: question
    for name, question in yaml.safe_load((TEMPLATE / "copier.yml").read_text()).items()
    if not name.startswith("_")
    and question.get("when") is not False
    and question.get("ask") is not False
}


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ({"project_name": "  "}, "at least one letter"),
        ({"project_name": "two\nlines"}, "One line"),
        ({"project_slug": "Not A Slug"}, "Use a to z, digits and dashes"),
        ({"python_package": "1st"}, "with a letter first"),
        ({"python_package": "class"}, "keyword of Python"),
        ({"python_package": "json"}, "Python's standard library"),
        ({"python_package": "mlflow"}, "the project itself imports"),
        ({"python_package": "kedro"}, "the project itself imports"),
        ({"description": "a\nb"}, "One line"),
        ({"environments": ["staging"]}, "Write {name: address}"),
        ({"environments": {"local": None}}, "in every project"),
        ({"environments": {"a b": None}}, "is no name"),
        ({"environments": {"prod": 5}}, "needs an address"),
        ({"environments": {"prod": "https://me:pw@host"}}, "conf/prod/credentials.yml"),
        ({"environments": {"prod": "https://host/a b"}}, "percent-encoded"),
        *(({"environments": {"prod": uri}}, re.escape(says)) for uri, says in WRONG),
        *(
            ({"environments": {"prod": uri}}, "write the address of 'prod' like")
            for uri, _ in WRONG_SCHEMES
        ),
        ({"tracking_login": "magic"}, "Invalid choice"),
    ],
)
def test_bad_answer_is_refused(
    render: Render, answers: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence) as error:
        render(**answers)
    (name,) = answers
    shown = f"Validation error for question '{name}': "
    if "Invalid choice" not in sentence:  # copier's own
        clause = re.split(r"[,;:.]", str(error.value).removeprefix(shown))[0]
        assert len(shown + clause) <= 80, "a terminal would cut it off"


def test_right_addresses_are_taken(render: Render) -> None:
    environments = {f"env{number}": uri for number, uri in enumerate(RIGHT)}
    conf = render(environments=environments) / "conf"
    for name, uri in environments.items():
        content = yaml.safe_load((conf / name / "mlflow.yml").read_text("utf-8"))
        assert content["server"]["mlflow_tracking_uri"] == uri


@pytest.mark.parametrize("name", QUESTIONS)
def test_help_fits_a_terminal(name: str) -> None:
    """copier breaks no line, and puts three columns before the first."""
    for line in QUESTIONS[name]["help"].splitlines():
        assert len(line) <= 80 - 3, line


def test_names_of_keywords_and_standard_modules_are_all_refused() -> None:
    environment = Environment(loader=FileSystemLoader(TEMPLATE))  # noqa: S701
    reserved = environment.get_template("includes/reserved_names.jinja").module
    keywords = {k for k in (*keyword.kwlist, *keyword.softkwlist) if k.islower()}
    modules = {m for m in sys.stdlib_module_names if m.islower() and m[0] != "_"}
    assert not keywords - set(reserved.keywords)
    assert not modules - set(reserved.standard_library)


def test_order_of_the_questions() -> None:
    order = [
        "project_name",
        "project_slug",
        "python_package",
        "description",
        "environments",
        "tracking_login",
        "sample_pipeline",
        "mlflow_install",
        "ci",
        "orchestrator",
        "python_version",
        "telemetry",
        "renovate",
    ]
    assert set(QUESTIONS) <= set(order), "a new question has its place"
    # A fork may answer some of them itself.
    assert list(QUESTIONS) == [name for name in order if name in QUESTIONS]


@pytest.mark.parametrize("name", QUESTIONS)
def test_question_has_help_and_default_and_is_no_secret(name: str) -> None:
    question = QUESTIONS[name]
    assert question["help"]
    assert "default" in question
    assert "secret" not in question
    assert question["type"] == "bool" or {"choices", "validator"} & set(question)


def test_messages_fit_a_terminal_and_their_commands_can_be_pasted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = {"sample_pipeline": False, "tracking_login": "basic"}
    project = tmp_path / "new project"
    run_copy(str(TEMPLATE), project, data=answers, defaults=True, vcs_ref="HEAD")
    said = capsys.readouterr().err
    assert "Press Enter to accept a default" in said
    assert f"cd '{project}'" in said
    after = said.partition(f"cd '{project}'\n")[2]
    assert max(map(len, after.splitlines())) <= 80
    assert "reads conf/<environment>/credentials.yml instead" in after
    assert "git and 'kedro package' leave both out" in after
    update = yaml.safe_load((TEMPLATE / "copier.yml").read_text())
    for name in ("_message_before_update", "_message_after_update"):
        assert max(map(len, update[name].splitlines())) <= 80
