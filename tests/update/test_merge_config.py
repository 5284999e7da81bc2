"""One command resolves what an update leaves in mlflow.yml and pyproject.toml."""

import subprocess
import sys
from pathlib import Path

import pytest

from hooks.merge_config import main as merge_config
from tests.releases import Project, Template

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MLFLOW_YML = "conf/base/mlflow.yml"
PYPROJECT = "pyproject.toml"
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
        "# The template's files keep": "# Files of the template keep",
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
    assert "# Files of the template keep" in text
    assert "\n# New.\n[tool.mypy]\n" in text
