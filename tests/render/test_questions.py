"""Every question refuses a bad answer with a sentence."""

import keyword
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from copier import run_copy
from copier._main import Worker
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
        ({"project_name": "  "}, "a letter or digit"),
        ({"project_name": "two\nlines"}, "one line"),
        ({"project_slug": "Not A Slug"}, "and - in between"),
        ({"python_package": "1st"}, "Use a-z, then"),
        ({"python_package": "class"}, "Python's keyword"),
        ({"python_package": "json"}, "Python has it"),
        ({"python_package": "mlflow"}, "it is imported"),
        ({"python_package": "kedro"}, "it is imported"),
        ({"python_package": "aux"}, "Windows"),
        ({"description": "a\nb"}, "one line"),
        ({"environments": "https://mlflow.example.com"}, "Write staging, prod"),
        ({"environments": "{staging: null"}, "Write staging, prod"),
        ({"environments": "staging, local"}, "Leave out local"),
        ({"environments": "con"}, "Windows"),
        ({"environments": "Staging; prod"}, "Write a comma, not a semicolon"),
        ({"environments": "a: https://a; b: https://b"}, "not a semicolon"),
        ({"environments": "Prod"}, "Not 'P': use a-z, then"),
        ({"environments": "pröd"}, "Not 'ö': use a-z, then"),
        ({"environments": "1st"}, "Not '1': use a-z, then"),
        ({"environments": {"a b": None}}, "Not ' ': use a-z, then"),
        ({"environments": {"prod": 5}}, "Write an address"),
        ({"environments": "prod: 5"}, "Write an address"),
        ({"environments": "prod: https://me:pw@host"}, "credentials.yml"),
        ({"environments": {"prod": "https://host/a b"}}, "No space"),
        *(
            ({"environments": f"prod: {uri}"}, f"Put {says.split()[3].split('/')[0]}//")
            for uri, says in WRONG
        ),
        *(
            ({"environments": {"prod": uri}}, "Write https://host, sqlite:///file")
            for uri, _ in WRONG_SCHEMES
        ),
        ({"code_owners": "platform"}, "Write @org/team"),
        ({"backstage_owner": "group:a b"}, "Write group:default/team"),
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
        assert str(error.value).startswith(shown)
        assert len(str(error.value)) <= 80, "a terminal would cut it off"


@pytest.mark.parametrize(
    ("answer", "addresses"),
    [
        ("", {}),
        (None, {}),
        ("staging prod", {"staging": None, "prod": None}),
        ("staging, prod", {"staging": None, "prod": None}),
        (["staging", "prod"], {"staging": None, "prod": None}),
        ("staging, prod: https://b", {"staging": None, "prod": "https://b"}),
        ("staging: http://a:1, prod: C:/b", {"staging": "http://a:1", "prod": "C:/b"}),
        ("a:https://[::1]:5000 b: uc", {"a": "https://[::1]:5000", "b": "uc"}),
        ('{a: null, "b": "https://b,c"}', {"a": None, "b": "https://b,c"}),
        ({"a": None, "b": "https://b"}, {"a": None, "b": "https://b"}),
    ],
)
def test_environments_are_named_as_people_write_them(
    tmp_path: Path, answer: Any, addresses: dict[str, str | None]
) -> None:
    answers = answers_of(tmp_path, environments=answer)
    assert answers["environment_addresses"] == addresses


def test_typed_environments_get_their_folders(render: Render) -> None:
    typed = "staging: https://a.example.com, prod: https://b.example.com, qa"
    project = render(environments=typed)
    server = {
        name: (yaml.safe_load((project / f"conf/{name}/mlflow.yml").read_text()) or {})
        for name in ("staging", "prod", "qa")
    }
    uris = {
        n: s.get("server", {}).get("mlflow_tracking_uri") for n, s in server.items()
    }
    assert uris == {
        "staging": "https://a.example.com",
        "prod": "https://b.example.com",
        "qa": None,
    }
    answers = yaml.safe_load((project / ".copier-answers.yml").read_text())
    # A fork may answer it for everybody.
    assert answers.get("environments") == (
        typed if "environments" in QUESTIONS else None
    )
    assert "environment_addresses" not in answers


@pytest.mark.parametrize(
    ("folder", "name", "package"),
    [
        ("my-project", "My Project", "my_project"),
        ("My_Project.x", "My Project x", "my_project_x"),
        ("json", "Json", "my_json"),
        ("2024-sales", "2024 Sales", "project_2024_sales"),
        ("2024", "Penguin Classifier", "penguin_classifier"),
        ("tmp.Xy12", "Penguin Classifier", "penguin_classifier"),
        ("tmpab12cd3_", "Penguin Classifier", "penguin_classifier"),
    ],
)
def test_project_is_named_after_its_folder(
    tmp_path: Path, folder: str, name: str, package: str
) -> None:
    answers = answers_of(tmp_path / folder)
    assert (answers["project_name"], answers["python_package"]) == (name, package)


def test_folder_does_not_name_a_project_that_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopts = tmp_path / "checkout" / "src" / "seals"
    adopts.mkdir(parents=True)
    (adopts / "settings.py").touch()
    assert answers_of(tmp_path / "checkout")["project_name"] == "Seals"
    monkeypatch.chdir(tmp_path)
    assert answers_of(Path("."))["project_name"] == "Penguin Classifier"


def test_answers_that_a_project_has_stay_as_they_are(tmp_path: Path) -> None:
    for environments in ({"prod": "https://b", "qa": None}, "qa, prod: https://b"):
        given = {"project_name": "Seals", "environments": environments}
        file = tmp_path / "my-project" / ".copier-answers.yml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump(given))
        answers = answers_of(file.parent)
        kept = {name: given[name] for name in given if name in QUESTIONS}
        assert {name: answers[name] for name in kept} == kept
        addresses = {"qa": None, "prod": "https://b"}
        if "environments" not in QUESTIONS:  # a fork has answered it for everybody
            addresses = answers_of(tmp_path / "new")["environment_addresses"]
        assert answers["environment_addresses"] == addresses


def test_environments_of_an_organisations_settings_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TEMPLATE / "docs/organisation/settings.yml"
    monkeypatch.setenv("COPIER_SETTINGS_PATH", str(settings))
    proposed = yaml.safe_load(settings.read_text())["defaults"]["environments"]
    assert answers_of(tmp_path / "x")["environment_addresses"] == proposed


def answers_of(project: Path, **given: Any) -> dict[str, Any]:
    """Return the answers of a project, for which every other default is taken."""
    with Worker(
        str(TEMPLATE), project, data=given, defaults=True, vcs_ref="HEAD"
    ) as worker:
        worker._ask()
        return dict(worker.answers.combined)


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
        "code_owners",
        "audit",
        "orchestrator",
        "python_version",
        "telemetry",
        "renovate",
        "backstage_owner",
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
