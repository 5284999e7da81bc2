"""One command resolves what an update leaves in mlflow.yml and pyproject.toml."""

import subprocess
import sys
from pathlib import Path

import pytest

from hooks.merge_config import main as merge_config
from tests.releases import Project, Template, git

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MLFLOW_YML = "conf/base/mlflow.yml"
PYPROJECT = "pyproject.toml"
BASE = "template/conf/base/mlflow.yml.jinja"
TEMPLATE_PYPROJECT = "template/pyproject.toml.jinja"


@pytest.fixture
def project(template: Template, tmp_path: Path) -> Project:
    return Project.copy(template, tmp_path / "project")


def uv_add(project: Project, *words: str) -> None:
    command = [sys.executable, "-m", "uv", "add", "--quiet", "--frozen", *words]
    subprocess.run(command, cwd=project.path, check=True)


def test_pyproject_after_uv_add_is_merged_by_key(
    template: Template, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv_add(project, "polars>=1")
    uv_add(project, "--dev", "hypothesis>=6")
    project.replace(PYPROJECT, '"kedro>=1.2,<2",', '"kedro>=1.2,<2",  # ours')
    project.replace(PYPROJECT, "line-length = 88\n\n", "line-length = 100\n")
    project.replace(MLFLOW_YML, "  host: null\n", "  host: example.com\n")
    project.commit()
    assert '"kedro>=1.2,<2",  # ours\n    "mlflow' in project.read(PYPROJECT)
    for old, new in {
        '"kedro>=1.2,<2"': '"kedro>=1.3,<2"',
        '"pandas>=2.2",\n': '"pandas>=2.2",\n\n    # Faster tables.\n    "pyarrow>=15",\n',
        "# Files of the template keep": "# All files of the template keep",
        "docstring-code-format = true\n": (
            "docstring-code-format = true\n\n# New.\n[tool.mypy]\nstrict = true\n"
        ),
        'target-version = "py': 'preview = true\n\ntarget-version = "py',
    }.items():
        template.replace(TEMPLATE_PYPROJECT, old, new)
    template.replace(
        "template/conf/base/mlflow.yml.jinja",
        "  host: null\n",
        "  host: null\n\n  # New.\n  path: null\n",
    )
    template.release("v0.2.0")
    project.update()
    assert project.unmerged == {MLFLOW_YML, PYPROJECT}

    monkeypatch.chdir(project.path)
    assert merge_config([]) == 0

    assert not project.unmerged
    assert project.load(MLFLOW_YML)["ui"] == {
        "port": None,
        "host": "example.com",
        "path": None,
    }
    text = project.read(PYPROJECT)
    config = tomllib.loads(text)
    assert {"kedro>=1.3,<2", "pyarrow>=15", "polars>=1", "pandas>=2.2"} <= set(
        config["project"]["dependencies"]
    )
    assert set(config["dependency-groups"]["dev"]) == {
        "penguin-classifier[dev]",
        "hypothesis>=6",
    }
    assert config["tool"]["ruff"]["line-length"] == 100
    assert config["tool"]["ruff"]["preview"] is True
    assert config["tool"]["mypy"] == {"strict": True}
    assert '"kedro>=1.3,<2",  # ours\n' in text
    assert '\n    # Faster tables.\n    "pyarrow>=15",\n' in text
    assert "# All files of the template keep" in text
    assert "\n# New.\n[tool.mypy]\n" in text


@pytest.mark.parametrize(
    "style",
    ["zdiff3", *(pytest.param(s, marks=pytest.mark.slow) for s in ("merge", "diff3"))],
)
def test_every_conflict_style_of_git_is_known(
    template: Template,
    project: Project,
    style: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    git(project.path, "config", "merge.conflictStyle", style)
    project.replace(MLFLOW_YML, "  host: null\n", "  host: example.com\n")
    project.replace(MLFLOW_YML, "      sep: .", "      sep: /")
    project.commit()
    template.replace(BASE, "  host: null\n", "  host: null\n\n  # New.\n  path: null\n")
    template.replace(BASE, "      sep: .", "      sep: _")
    template.release("v0.2.0")
    project.update()
    assert project.unmerged == {MLFLOW_YML}
    assert ("|||||||" in project.read(MLFLOW_YML)) == (style != "merge")
    git(project.path, "config", "merge.conflictStyle", "merge")

    monkeypatch.chdir(project.path)
    assert merge_config([]) == 1

    said = capsys.readouterr().err
    assert "tracking.params.dict_params.sep is '/' in the project and is '_'" in said
    text = project.read(MLFLOW_YML)
    assert text.count("<<<<<<<") == 1
    assert "|||||||" not in text
    assert "  host: example.com\n\n  # New.\n  path: null\n" in text


def test_an_anchor_that_is_needed_stays(
    template: Template,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project.replace(MLFLOW_YML, "create: true", "create: &yes true")
    project.replace(MLFLOW_YML, "restore_if_deleted: true", "restore_if_deleted: *yes")
    project.commit()
    template.replace(BASE, "create: true", "create: false")
    template.release("v0.2.0")
    project.update()

    monkeypatch.chdir(project.path)
    assert merge_config([]) == 1

    assert (
        "tracking.experiment.create is True in the project" in capsys.readouterr().err
    )
    assert project.unmerged == {MLFLOW_YML}
    text = project.read(MLFLOW_YML)
    assert "    create: &yes true\n=======\n    create: false\n" in text


def test_the_projects_comment_on_a_key_that_goes_is_not_lost(
    template: Template,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project.replace(MLFLOW_YML, "  port: null\n", "  port: null  # ask Ann first\n")
    project.replace(MLFLOW_YML, "  host: null\n", "  host: example.com\n")
    project.commit()
    head, _, host = template.read(BASE).partition("  # Its port.")
    template.write(BASE, head + host[host.index("  # Its host.") :])
    template.release("v0.2.0")
    project.update()

    monkeypatch.chdir(project.path)
    assert merge_config([]) == 1

    said = capsys.readouterr().err
    assert "ui.port is null in the project and has been removed in the template" in said
    assert "port: null  # ask Ann first" in project.read(MLFLOW_YML)


@pytest.mark.parametrize(
    ("ours", "reason"),
    [
        (b"  host: null  # caf\xe9\n", "it is not in UTF-8"),
        (b"  host: null\n\n  x: &x\n    y: *x\n", "contains itself"),
    ],
)
def test_what_cannot_be_read_is_left_with_every_byte(
    template: Template,
    project: Project,
    ours: bytes,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = project.path / MLFLOW_YML
    file.write_bytes(file.read_bytes().replace(b"  host: null\n", ours))
    project.commit()
    template.replace(BASE, "  host: null\n", "  host: here\n")
    template.release("v0.2.0")
    project.update()
    before = file.read_bytes()
    assert ours in before

    monkeypatch.chdir(project.path)
    assert merge_config([]) == 1

    said = capsys.readouterr().err
    assert f"{MLFLOW_YML}: cannot be merged by key, since " in said
    assert reason in said
    assert file.read_bytes() == before
