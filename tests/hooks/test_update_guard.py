"""Every line that a project had added is in an update's result, or is named."""

import shutil
from pathlib import Path

import pytest

from hooks.lost_lines import lost_lines
from hooks.merge_config import main as merge_config
from hooks.update_guard import main as guard
from tests.hooks.conftest import PreCommit
from tests.releases import Project, Template, git

README = "conf/README.md"
MLFLOW_YML = "conf/base/mlflow.yml"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """v0.2.0 has no conf/README.md and other values; it does not name what is obsolete."""
    made = Template(tmp_path_factory.mktemp("guard") / "template")
    made.release("v0.1.0")
    made.remove(f"template/{README}")
    base = "template/conf/base/mlflow.yml.jinja"
    made.replace(base, "create: true", "create: false")
    made.replace("template/pyproject.toml.jinja", '"kedro>=1.2', '"kedro>=1.3')
    made.release("v0.2.0")
    return made


@pytest.fixture(scope="module")
def made(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Project:
    path = tmp_path_factory.mktemp("made") / "project"
    return Project.copy(template, path, version="v0.1.0")


@pytest.fixture
def project(made: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = Project(tmp_path / "project")
    shutil.copytree(made.path, project.path)
    monkeypatch.chdir(project.path)
    return project


def lose_a_line(project: Project) -> None:
    project.write(README, project.read(README) + "Ask Ann before you edit prod.\n")
    project.commit()
    project.update()
    assert not (project.path / README).exists()


def test_an_update_that_takes_nothing_passes(project: Project) -> None:
    project.replace(MLFLOW_YML, "  host: null", "  host: example.com  # ours")
    project.replace("pyproject.toml", '"kedro>=1.2,<2",', '"kedro>=1.2,<2",  # ours')
    project.replace(MLFLOW_YML, "create: true", "create: true  # as agreed")
    project.commit()
    assert guard([]) == 0, "a project that was never updated"
    project.update()
    assert MLFLOW_YML in project.unmerged
    assert guard([]) == 0, "between markers"
    assert merge_config([]) == 0
    assert "create: false  # as agreed" in project.read(MLFLOW_YML)
    assert guard(["--pending"]) == 0, "merged by key"
    project.commit()
    assert guard([]) == 0
    assert project.changed == set()


def test_a_lost_line_stops_the_commit_and_is_named(
    project: Project, pre_commit: PreCommit
) -> None:
    """From a linked worktree, where git tells its hooks another folder of its own."""
    worktree = Project(project.path.parent / "worktree")
    git(project.path, "worktree", "add", "-q", str(worktree.path))
    pre_commit(worktree, "install")
    lose_a_line(worktree)
    done = pre_commit.shell(worktree, "git add --all && git commit -am x")
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert (
        f"{README}: the update has taken a line of the project's:\n"
        "    Ask Ann before you edit prod.\n"
    ) in said
    assert "SKIP=update-guard git commit" in said
    ours = "git -c user.name=A -c user.email=a@b commit -am x"
    skipped = pre_commit.shell(worktree, f"SKIP=update-guard,obsolete-files {ours}")
    assert skipped.returncode == 0, skipped.stdout + skipped.stderr


SETTINGS = "src/penguin_classifier/settings.py"
ADDED = """

def ours(first: str) -> str:
    return first
    return first


ROOMS = dict(hall="a", kitchen='b', attic="c")
JOINED = (
    1
    + 2
)
PORT = 5000
"""
FORMATTED = """

def ours(first: str) -> str:
    return first
    return first


ROOMS = dict(
    hall="a",
    kitchen="b",
    attic="c",
)
JOINED = 1 + 2
PORT = 5000
"""


@pytest.mark.parametrize(
    ("line", "instead", "named"),
    [
        ("", "", []),
        ("PORT = 5000\n", "PORT = 5000.5\n", ["PORT = 5000"]),
        ("    return first\n    return", "    return", ["return first"]),
        (
            '    kitchen="b",\n',
            "",
            ['ROOMS = dict(hall="a", kitchen=\'b\', attic="c")'],
        ),
        ("JOINED = 1 + 2", "JOINED = 1 + 3", ["JOINED = (", "1", "+ 2"]),
    ],
)
def test_a_line_that_only_a_formatter_has_rewritten_is_not_lost(
    project: Project, line: str, instead: str, named: list[str]
) -> None:
    text = project.read(SETTINGS)
    project.write(SETTINGS, text + ADDED)
    project.commit()
    assert line in FORMATTED
    project.write(SETTINGS, text + FORMATTED.replace(line, instead, 1))
    old = project.path.parent / "old"
    (old / SETTINGS).parent.mkdir(parents=True)
    (old / SETTINGS).write_text(text, "utf-8")
    found = lost_lines(project.path, old, "HEAD")
    assert found.get(SETTINGS, []) == named


def test_the_last_updates_commit_is_guarded_until_the_line_is_back(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    lose_a_line(project)
    git(project.path, "switch", "-qc", "update")
    project.commit()
    project.write("more.txt", "later\n")
    project.commit()
    assert guard(["--pending"]) == 0, "nothing waits for its commit"
    assert guard([]) == 1
    assert "Ask Ann before you edit prod." in capsys.readouterr().err
    assert guard(["--before", "main"]) == 1, "as a CI asks for a branch"
    assert guard(["--before", "update"]) == 0, "no update lies between"
    project.write(README, "Ask Ann before you edit prod.\n")
    assert guard([]) == 0


def test_a_history_that_is_cut_off_is_no_success(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_a_line(project)
    project.commit()
    address = f"file://{project.path}"
    git(tmp_path, "clone", "-q", "--depth", "1", address, "shallow")
    monkeypatch.chdir(tmp_path / "shallow")
    assert guard([]) == 1
    assert guard(["--pending"]) == 0


def test_a_template_that_is_gone_is_a_sentence(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lose_a_line(project)
    project.commit()
    answers = ".copier-answers.yml"
    text = git(project.path, "show", f"HEAD^:{answers}")
    git(project.path, "reset", "-q", "--hard", "HEAD^")
    project.write(answers, text.replace("_src_path: /", "_src_path: /nowhere/"))
    project.commit()
    project.write(answers, text.replace("_commit: v0.1.0", "_commit: v0.2.0"))
    assert guard([]) == 1
    said = capsys.readouterr().err
    assert f"{answers}: nothing is guarded, since copier cannot render v0.1.0" in said


def test_several_projects_and_secrets(
    template: Template,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = Project.copy(template, tmp_path / "mono/a", version="v0.1.0")
    shutil.rmtree(project.path / ".git")
    shutil.copytree(project.path, tmp_path / "mono/b")
    git(tmp_path / "mono", "init", "-q")
    secret = "postgresql://me:hunter2@db/mlflow"
    project.write(README, project.read(README) + f"The store: {secret}\n")
    project.commit()
    project.update()
    monkeypatch.chdir(tmp_path / "mono")
    assert guard([]) == 1
    said = capsys.readouterr().err
    assert f"a/{README}: the update has taken a line" in said
    assert "b/" not in said.replace("db/", "")
    assert "hunter2" not in said
