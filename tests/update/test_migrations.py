"""A renamed key is moved in every project, also where it has been edited."""

from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from copier.errors import UnsafeTemplateError

from hooks.migrations import __doc__ as documentation
from hooks.migrations.rename_key import main, renamed
from tests.releases import Project, Template, git

BASE = "template/conf/base/mlflow.yml.jinja"
MLFLOW_YML = "conf/base/mlflow.yml"
TRACKING = "template/src/{{ python_package }}/tracking"
OLD, NEW = "tracking.params.long_params_strategy", "tracking.params.too_long"


@pytest.fixture
def releases(template: Template) -> Template:
    """v0.2.0 changes a comment, v0.3.0 renames a key, with the example that we document."""
    template.replace(BASE, "# Its name. Null: the name", "# The name. Null: the name")
    template.release("v0.2.0")
    example = documentation.split("::\n", 1)[1].split("\nIt runs")[0]
    migrations = yaml.safe_load(example)
    assert migrations["_migrations"][0]["version"] == "v0.3.0"
    assert migrations["_migrations"][0]["command"][-2:] == [OLD, NEW]
    template.write("copier.yml", template.read("copier.yml") + dedent(example))
    for name in (
        BASE,
        f"{TRACKING}/config/options.py",
        f"{TRACKING}/run/parameters.py",
    ):
        text = template.read(name)
        assert "long_params_strategy" in text
        template.write(name, text.replace("long_params_strategy", "too_long"))
    template.release("v0.3.0")
    return template


def start(releases: Template, folder: Path, version: str) -> Project:
    project = Project.copy(releases, folder / "project", version=version)
    project.replace(MLFLOW_YML, "strategy: fail", "strategy: tag  # as agreed")
    project.replace(MLFLOW_YML, "sep: .", "sep: /")
    project.write(
        "conf/prod/mlflow.yml",
        "# Ours.\ntracking:\n    params:\n        # cut\n"
        "        long_params_strategy: truncate\n",
    )
    project.write("conf/local/mlflow.yml", "tracking: {run: {nested: false}}\n")
    project.commit()
    return project


def test_an_update_that_does_not_cross_the_version_needs_no_trust(
    releases: Template, tmp_path: Path
) -> None:
    project = start(releases, tmp_path, "v0.1.0")
    project.update(vcs_ref="v0.2.0")
    assert "# The name. Null" in project.read(MLFLOW_YML)
    newer = Project.copy(releases, tmp_path / "newer", version="v0.3.0")
    releases.write("template/NEW.md", "new\n")
    releases.release("v0.4.0")
    newer.update()
    assert newer.read("NEW.md") == "new\n"


def test_an_update_across_the_version_is_refused_without_trust(
    releases: Template, tmp_path: Path
) -> None:
    project = start(releases, tmp_path, "v0.1.0")
    with pytest.raises(UnsafeTemplateError, match="migrations"):
        project.update()
    assert project.changed == set()


@pytest.mark.parametrize("version", ["v0.1.0", "v0.2.0"])
def test_an_update_across_the_version_moves_the_key(
    releases: Template, tmp_path: Path, version: str
) -> None:
    project = start(releases, tmp_path, version)
    project.update(unsafe=True)
    assert not project.unmerged
    params = project.load(MLFLOW_YML)["tracking"]["params"]
    assert params["too_long"] == "tag"
    assert params["dict_params"]["sep"] == "/"
    assert "long_params_strategy" not in params
    assert "    too_long: tag  # as agreed\n" in project.read(MLFLOW_YML)
    assert project.read("conf/prod/mlflow.yml") == (
        "# Ours.\ntracking:\n    params:\n        # cut\n        too_long: truncate\n"
    )
    assert project.read("conf/local/mlflow.yml") == (
        "tracking: {run: {nested: false}}\n"
    )


@pytest.mark.parametrize(
    ("text", "old", "new", "result"),
    [
        ("a:\n  # x\n  b: 1\n  c: 2\n", "a.b", "a.z", "a:\n  # x\n  z: 1\n  c: 2\n"),
        (
            "a:\n  # x\n  b:\n    - 1\n  c: 2\nd:\n    e: 1\n",
            "a.b",
            "d.z",
            "a:\n  c: 2\nd:\n    e: 1\n    # x\n    z:\n      - 1\n",
        ),
        ("a:\n  b: 1\n", "a.c", "a.z", "a:\n  b: 1\n"),
        ("a:\n  b: 1\n  z: 2\n", "a.b", "a.z", "a:\n  z: 1\n"),
        ("a:\n  b: 1\n  c: 2\n", "a.b", "d.e", "a:\n  c: 2\nd:\n  e: 1\n"),
        ("'b': 1 # b\n", "b", "z", "'z': 1 # b\n"),
        ("# nothing\n", "a.b", "a.z", "# nothing\n"),
        ("a: {b: 1, c: 2}  # x\n", "a.b", "a.z", "a: {z: 1, c: 2}  # x\n"),
        ("a: {x: {'b': tag}}\n", "a.x.b", "a.x.z", "a: {x: {'z': tag}}\n"),
        ("{a: {b: 1}}\n", "a.b", "a.z", "{a: {z: 1}}\n"),
        (
            "a: {c: 2, b: [1, 2]}\nd:\n  # x\n  e: 1\n",
            "a.b",
            "d.z",
            "a: {c: 2}\nd:\n  # x\n  e: 1\n  z: [1, 2]\n",
        ),
        ("a: {b: 1}\n", "a.b", "d.z", "a: {}\nd:\n  z: 1\n"),
        (
            "a: {b: 1,\n    c: 2}\nd: {e: 1}\n",
            "a.b",
            "d.z",
            "a: {c: 2}\nd: {e: 1, z: 1}\n",
        ),
        ("a:\n  b: 1  # x\n  c: 2\nd: {}\n", "a.b", "d.z", "a:\n  c: 2\nd: {z: 1}\n"),
        ("a: {b: 1, z: 2}\n", "a.b", "a.z", "a: {z: 1}\n"),
        ("a: {b: 1}\n", "a.b", "a.y.z", "a: {y: {z: 1}}\n"),
    ],
)
def test_renamed(text: str, old: str, new: str, result: str) -> None:
    assert renamed(text, old, new) == result


def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    git(tmp_path, "init", "-q")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "conf/base/mlflow.yml"
    file.parent.mkdir(parents=True)
    for text in (b"{a: [1}\n", b"a: {b: '\xe9'}\n", b"a: &a\n  b: *a\n"):
        file.write_bytes(text)
        assert main("a.b", "a.c") == 0
        assert "conf/base/mlflow.yml: a.b is called a.c now" in capsys.readouterr().err
        assert file.read_bytes() == text


def test_flow_style_is_understood_and_what_git_does_not_keep_has_a_copy(
    releases: Template, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    project = Project.copy(releases, tmp_path / "project", version="v0.2.0")
    flow = "# Ours.\r\ntracking: {params: {long_params_strategy: tag}}\r\n"
    moved = flow.replace("long_params_strategy", "too_long")
    project.write("conf/prod/mlflow.yml", flow)
    project.commit()
    project.write("conf/local/mlflow.yml", flow)
    project.write("conf/local/mlflow.yml.orig", "mine\n")
    assert project.changed == set(), "git ignores conf/local"
    project.update(unsafe=True)
    found = {name: text.decode() for name, text in project.files().items()}
    in_git = moved.replace("\r\n", "\n")  # by .gitattributes
    assert found["conf/prod/mlflow.yml"].replace("\r\n", "\n") == in_git
    assert found["conf/local/mlflow.yml"] == moved
    assert found["conf/local/mlflow.yml.orig"] == "mine\n"
    assert found["conf/local/mlflow.yml.orig1"] == flow
    assert not (project.path / "conf/prod/mlflow.yml.orig").exists()
    assert (
        "what it was before is in conf/local/mlflow.yml.orig1" in capfd.readouterr().err
    )
