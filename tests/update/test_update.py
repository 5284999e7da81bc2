"""An update brings what is new, keeps every edit, and needs no trust."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from copier import run_copy
from packaging.version import Version
from pathspec import PathSpec
from tracking.template.drift import OBSOLETE

from tests.conftest import TEMPLATE
from tests.releases import Project, Template, git
from tests.render.test_ownership import CLASSES

BASE = "template/conf/base/mlflow.yml.jinja"
MLFLOW_YML = "conf/base/mlflow.yml"
SETTINGS = "template/src/{{ python_package }}/settings.py.jinja"
PACKAGE = "src/penguin_classifier"


@pytest.fixture
def project(template: Template, tmp_path: Path) -> Project:
    return Project.copy(template, tmp_path / "project")


def update_is_available(project: Project) -> bool:
    command = [sys.executable, "-m", "copier", "check-update", "--quiet"]
    ended = subprocess.run(command, cwd=project.path, check=False).returncode
    assert ended in (0, 2)  # copier's codes: up to date, or not
    return ended == 2


def test_copy_update_and_check_update_need_no_trust(
    template: Template, project: Project
) -> None:
    template.write("template/NEW.md", "new\n")
    template.release("v0.2.0")
    assert update_is_available(project)
    project.update()
    assert project.read("NEW.md") == "new\n"
    assert project.load(".copier-answers.yml")["_commit"] == "v0.2.0"
    assert not update_is_available(project)


def test_an_untouched_project_becomes_what_a_fresh_one_is(
    template: Template, project: Project, tmp_path: Path
) -> None:
    template.replace(BASE, "create: true", "create: false")
    template.replace(SETTINGS, "# Hooks of the project.", "# The hooks.")
    template.write("template/docs/guide.md", "new\n")
    template.remove("template/conf/README.md")
    template.release("v0.2.0")
    project.update()
    fresh = Project.copy(template, tmp_path / "fresh").files()
    mine = PathSpec.from_lines("gitignore", CLASSES["project_files"].patterns)
    assert not project.unmerged
    assert {k: v for k, v in project.files().items() if not mine.match_file(k)} == {
        k: v for k, v in fresh.items() if not mine.match_file(k)
    }


def test_what_the_project_has_deleted_or_renamed_stays_so(
    template: Template, project: Project
) -> None:
    project.remove("data/01_raw")
    project.remove("tests/pipelines")
    project.remove("conf/README.md")
    pipelines = project.path / PACKAGE / "pipelines"
    shutil.move(pipelines / "penguins", pipelines / "seals")
    parameters = project.path / "conf/base"
    shutil.move(
        parameters / "parameters_penguins.yml", parameters / "parameters_seals.yml"
    )
    project.commit()
    before = set(project.files())
    template.replace(
        "template/src/{{ python_package }}/pipelines/{% if sample_pipeline %}penguins"
        "{% endif %}/nodes.py",
        "import",
        "# A sample.\nimport",
    )
    template.release("v0.2.0")
    project.update()
    assert set(project.files()) == before
    version = f"{PACKAGE}/tracking/template/version.txt"
    assert project.changed == {
        ".copier-answers.yml",
        ".pre-commit-config.yaml",
        version,
    }


def test_secrets_and_other_ignored_files_stay_as_they_are(
    template: Template, project: Project
) -> None:
    secrets = {
        "conf/local/credentials.yml": "mlflow: {MLFLOW_TRACKING_TOKEN: abc}\n",
        "conf/local/mlflow.yml": "server: {mlflow_tracking_uri: mine}\n",
        "conf/base/credentials.yml": "x: 1\n",
        ".env": "TOKEN=abc\n",
    }
    for name, text in secrets.items():
        project.write(name, text)
    template.replace("template/conf/local/credentials.yml.jinja", "Secrets", "Logins")
    template.replace("template/.gitignore.jinja", "# Editors", "# Editors of code")
    template.release("v0.2.0")
    assert project.changed == set()
    project.update()
    assert {name: project.read(name) for name in secrets} == secrets


# A file, an edit of the project's, one of the template's that stands beside it.
NEIGHBOURS = [
    (MLFLOW_YML, ("create: true", "create: false"), ("name: null", "name: pets")),
    (MLFLOW_YML, ("port: null", "port: 5050"), ("host: null", "host: 0.0.0.0")),
    (MLFLOW_YML, ("sep: .", "sep: /"), ("recursive: true", "recursive: false")),
    (
        "pyproject.toml",
        ('    "mlflow>=3.10,<4",', '    "mlflow>=3.12,<4",\n\n    "polars",'),
        ('"kedro>=1.2,<2"', '"kedro>=1.4,<2"'),
    ),
    (
        "pyproject.toml",
        ('    "pandas>=2.2",', '    "pandas>=3",'),
        ('"scikit-learn>=1.5"', '"scikit-learn>=1.6"'),
    ),
    (
        "pyproject.toml",
        ('    "pytest-cov>=6",', '    "pytest-cov>=6",\n    "hypothesis",'),
        ('"ruff>=0.12"', '"ruff>=0.14"'),
    ),
    (
        "pyproject.toml",
        ("line-length = 88", "line-length = 100"),
        ('target-version = "py', 'required-version = ">=0.12"\ntarget-version = "py'),
    ),
    (
        "pyproject.toml",
        ('"PLR2004"]', '"PLR2004", "PLR0911"]'),
        ('select = ["F", "W",', 'select = ["B", "F", "W",'),
    ),
    (
        "pyproject.toml",
        ('testpaths = ["tests"]', 'testpaths = ["tests", "more"]'),
        ('addopts = "-ra"', 'addopts = "-ra --strict-markers"'),
    ),
    (
        f"{PACKAGE}/settings.py",
        ("HOOKS = (MlflowHook(),)", "HOOKS = (MlflowHook(), str())"),
        ("# The project tracks its", "# This project tracks its"),
    ),
    (
        f"{PACKAGE}/settings.py",
        ('"default_run_env": "local"', '"default_run_env": "dev"'),
        ('"base_env": "base",', '"base_env": "base",\n    "x": {},'),
    ),
    (
        f"{PACKAGE}/settings.py",
        (
            '"merge_strategy": {"mlflow": "soft"},',
            '"merge_strategy": {"mlflow": "soft", "parameters": "soft"},',
        ),
        ('"mlflow": ["mlflow*",', '"mlflow": ["mlflow.yml", "mlflow*",'),
    ),
    (
        ".github/workflows/ci.yml",
        ("      - run: pytest", "      - run: pytest --cov"),
        ("405  # v6.2.0", "406  # v6.3.0"),
    ),
    (
        ".github/workflows/ci.yml",
        ("on: [push, pull_request]", "on: [push]"),
        ('DO_NOT_TRACK: "1"', 'DO_NOT_TRACK: "1"\n  CI: "1"'),
    ),
    (
        ".github/workflows/ci.yml",
        ("ubuntu-latest", "self-hosted"),
        ("0e8  # v6.0.1", "0e9  # v6.1.0"),
    ),
    (
        ".gitlab-ci.yml",
        ("    - pytest", "    - pytest --cov"),
        ("ruff format --check .", "ruff format --check --diff ."),
    ),
    (
        ".gitlab-ci.yml",
        ("image: python:3.10", "image: registry.example.com/python:3.10"),
        ('DO_NOT_TRACK: "1"', 'DO_NOT_TRACK: "1"\n    CI: "1"'),
    ),
    (
        ".pre-commit-config.yaml",
        ('additional_dependencies: ["ruff==0.17.6"]', "stages: [pre-push]"),
        ("name: ruff format", "name: format with ruff"),
    ),
    (".gitignore", ("*.log", "*.log\n*.parquet"), ("# MLflow: the", "# MLflow: a")),
]


def _rounds() -> list[list[Any]]:
    """Put edits of different files together, since an update takes seconds."""
    rounds: list[list[Any]] = []
    for edit in NEIGHBOURS:
        taken = {edit[0], ".github/workflows/ci.yml", ".gitlab-ci.yml"}
        taken = taken if "ci.yml" in edit[0] else {edit[0]}
        free = [r for r in rounds if not taken & {other[0] for other in r}]
        (free[0] if free else rounds.append([]) or rounds[-1]).append(edit)
    return rounds


@pytest.mark.parametrize("edits", _rounds(), ids=lambda edits: f"{len(edits)} files")
def test_edits_of_neighbours_do_not_collide(
    tmp_path: Path, template: Template, edits: list[Any]
) -> None:
    ci = "gitlab" if any("gitlab" in file for file, *_ in edits) else "github"
    project = Project.copy(template, tmp_path / "project", ci=ci)
    for file, ours, theirs in edits:
        (source,) = _sources(template, file)
        template.replace(source, *theirs)
        project.replace(file, *ours)
    template.release("v0.2.0")
    project.commit()
    project.update()
    assert not project.unmerged, git(project.path, "diff")
    for file, ours, theirs in edits:
        assert ours[1] in project.read(file)
        assert theirs[1] in project.read(file)
        if file.endswith(".py"):
            compile(project.read(file), file, "exec")


def _sources(template: Template, file: str) -> list[str]:
    name = re.sub("penguin_classifier", "{{ python_package }}", file)
    return [
        path.relative_to(template.path).as_posix()
        for path in template.path.rglob("template/**/*")
        if path.is_file() and _plain(path, template).removesuffix(".jinja") == name
    ]


def _plain(path: Path, template: Template) -> str:
    name = path.relative_to(template.path / "template").as_posix()
    return re.sub(r"{%.*?%}", "", name)


def test_the_reference_to_the_hooks_moves_with_the_template(
    template: Template, project: Project
) -> None:
    def reference() -> tuple[str, str]:
        config = project.load(".pre-commit-config.yaml")
        (repo,) = [repo for repo in config["repos"] if repo["repo"] != "local"]
        return repo["repo"], repo["rev"]

    assert reference() == (str(template.path), "v0.1.0")
    template.release("v0.2.0")
    project.update()
    assert reference() == (str(template.path), "v0.2.0")


def test_a_template_outside_of_git_gives_no_reference(tmp_path: Path) -> None:
    template = Template(tmp_path / "template")
    shutil.rmtree(template.path / ".git")
    run_copy(str(template.path), tmp_path / "p", defaults=True, quiet=True)
    assert "repo: local" in (tmp_path / "p/.pre-commit-config.yaml").read_text()
    assert "template-owned" not in (tmp_path / "p/.pre-commit-config.yaml").read_text()


@pytest.fixture
def released(tmp_path: Path) -> Template:
    """Every version that has been, the first as v0.0.1, and the working tree on top."""
    template = Template(tmp_path / "template")
    first = git(TEMPLATE, "rev-list", "--max-parents=0", "HEAD").split()[-1]
    git(template.path, "fetch", "-q", "--tags", str(TEMPLATE), first)
    git(template.path, "update-ref", "refs/heads/main", first)
    git(template.path, "tag", "v0.0.1", first)
    template.release("v999.0.0")
    return template


def test_every_version_becomes_todays_without_trust(
    released: Template, tmp_path: Path
) -> None:
    fresh = Project.copy(released, tmp_path / "fresh").files()
    *old, todays = sorted(git(released.path, "tag").split(), key=Version)
    assert todays == "v999.0.0"
    for version in old:
        project = Project.copy(released, tmp_path / version, version=version)
        gone = [
            name
            for name in project.files()
            if name not in fresh
            and CLASSES["shared_files"].match_file(name)
            and not any(Path(name).match(pattern) for pattern in OBSOLETE)
        ]
        assert gone == [], "copier would drop the edits to them"
        project.update()
        assert not project.unmerged
        assert project.load(".copier-answers.yml")["_commit"] == "v999.0.0"


@pytest.mark.slow
def test_the_first_version_that_landed_becomes_todays_and_runs(
    released: Template, tmp_path: Path
) -> None:
    """A week's edits of a data scientist, then one command."""
    path = tmp_path / "project"
    project = Project.copy(released, path, version="v0.0.1")
    edits = {
        "conf/base/catalog.yml": (
            "accuracy:",
            "score:\n  type: MemoryDataset\n\naccuracy:",
        ),
        "conf/base/parameters_penguins.yml": ("0.", "0.0"),
        MLFLOW_YML: (
            "create: true",
            "create: true  # as agreed with the platform team",
        ),
        "pyproject.toml": (
            '    "scikit-learn>=1.5",',
            '    "scikit-learn>=1.5",\n    "polars",',
        ),
        ".gitignore": ("*.log", "*.log\n*.parquet"),
        f"{PACKAGE}/settings.py": (
            "HOOKS = (MlflowHook(),)",
            "# Ours come later.\nHOOKS = (MlflowHook(),)",
        ),
        "README.md": ("# Penguin Classifier", "# Which penguin is it?"),
    }
    for name, (old, new) in edits.items():
        project.replace(name, old, new)
    project.write("conf/local/credentials.yml", "mlflow: {MLFLOW_TRACKING_TOKEN: t}\n")
    project.remove("notebooks")
    project.commit()
    git(project.path, "rm", "-rq", "--cached", "--ignore-unmatch", "notebooks")

    project.update()

    assert not project.unmerged
    for name, (_, new) in edits.items():
        assert new in project.read(name), name
    assert "TOKEN: t" in project.read("conf/local/credentials.yml")
    assert not (path / "notebooks").exists()
    fresh = Project.copy(released, tmp_path / "fresh")
    tracking = f"{PACKAGE}/tracking/"
    assert {k: v for k, v in project.files().items() if k.startswith(tracking)} == {
        k: v for k, v in fresh.files().items() if k.startswith(tracking)
    }
    done = subprocess.run(
        [sys.executable, "-m", "kedro", "run"],
        cwd=path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_parameters_are_flattened_in_new_projects_only(
    template: Template, tmp_path: Path
) -> None:
    """A project keeps what it has begun with, over all updates."""
    questions = template.read("copier.yml")
    before, _, rest = questions.partition("flatten_params:")
    template.write("copier.yml", before + rest.partition("\n\n")[2])
    template.replace(BASE, "{{ flatten_params | lower }}", "false")
    template.release("v0.2.0")
    old = Project.copy(template, tmp_path / "old")
    template.write("copier.yml", questions)
    template.replace(BASE, "flatten: false", "flatten: {{ flatten_params | lower }}")
    template.release("v0.3.0")
    new = Project.copy(template, tmp_path / "new")
    for version in ("v0.3.0", "v0.4.0"):
        for project, is_flat in ((old, False), (new, True)):
            project.update()
            project.commit()
            params = project.load(MLFLOW_YML)["tracking"]["params"]
            assert params["dict_params"]["flatten"] is is_flat, version
            assert project.load(".copier-answers.yml")["flatten_params"] is is_flat
        template.write("template/NEW.md", version)
        template.release("v0.4.0" if version == "v0.3.0" else "v0.5.0")
