"""One command updates projects of several releases, and loses nothing."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fleet.laboratory import ENV, Laboratory
from tests.releases import Project, git

BASE = "template/conf/base/mlflow.yml.jinja"
MLFLOW_YML = "conf/base/mlflow.yml"
README = "conf/README.md"
BRANCH = "template/v0.3.0"


@pytest.fixture
def lab(tmp_path: Path) -> Laboratory:
    """Three releases; the last one has a news line and drops conf/README.md."""
    made = Laboratory(tmp_path)
    template = made.template
    template.release("v0.1.0")
    template.replace(BASE, "create: true", "create: false")
    template.release("v0.2.0")
    template.replace(BASE, "  host: null\n", "  host: null\n\n  # New.\n  path: null\n")
    template.replace("template/pyproject.toml.jinja", '"kedro>=1.2', '"kedro>=1.3')
    template.write("CHANGELOG.md", template.read("CHANGELOG.md") + "- A path.\n")
    template.remove(f"template/{README}")
    template.release("v0.3.0")
    return made


def typical(project: Project) -> None:
    project.replace(MLFLOW_YML, "  host: null\n", "  host: example.com  # ours\n")
    project.replace("pyproject.toml", '"pandas>=2.2",', '"pandas>=2.2",\n    "polars",')
    project.replace("README.md", "# Penguin", "# Our penguin")
    project.write("src/penguin_classifier/more.py", "x = 1\n")


def contested(project: Project) -> None:
    project.replace(MLFLOW_YML, "    create: true", "    create: ${oc.env:CREATE}")


def linked(project: Project) -> None:
    shutil.rmtree(project.path / "data")
    os.symlink("/", project.path / "data")


def renamed(project: Project) -> None:
    git(project.path, "mv", "src/penguin_classifier", "src/seals")


def test_every_project_is_current_a_draft_or_named(lab: Laboratory) -> None:
    elsewhere = ".copier-answers.yml"
    ring = [
        lab.add("current", "v0.3.0"),
        lab.add("untouched", "v0.1.0"),
        lab.add("typical", "v0.2.0", typical),
        lab.add("contested", "v0.1.0", contested),
        lab.add("noted", "v0.2.0", lambda p: p.write(README, "Ask Ann first [/b].\n")),
        lab.add("linked", "v0.2.0", linked),
        lab.add("renamed", "v0.1.0", renamed),
        lab.add(
            "other", "v0.1.0", lambda p: p.replace(elsewhere, "_path: /", "_path: //")
        ),
        str(lab.folder / "forge/missing.git"),
    ]
    lab.write(ring)

    done = lab.command("update", "0.3.0", "--ring", "1", "--jobs", "2")

    found = lab.outcomes("v0.3.0")
    results = {name: outcome["result"] for name, outcome in found.items()}
    assert results == {
        "current": "current",
        "untouched": "updated",
        "typical": "updated",
        "contested": "draft",
        "noted": "draft",
        "linked": "named",
        "renamed": "named",
        "other": "named",
        "missing": "named",
    }, done.stdout + done.stderr
    assert done.returncode == 1, "some were only named"
    assert "1 current, 2 updated, 2 draft, 4 named" in done.stdout
    assert {name: lab.lost(name, found[name]) for name in lab.before} == dict.fromkeys(
        lab.before, []
    )
    said = {name: "\n".join(outcome["reasons"]) for name, outcome in found.items()}
    key = "tracking.experiment.create is '${oc.env:CREATE}' in the project and is False"
    assert said["contested"].startswith(f"{MLFLOW_YML}: {key}")
    assert f"{README}: the update has taken a line" in said["noted"]
    assert "Ask Ann first [/b]." in said["noted"]
    assert (
        said["linked"].startswith("Data is a link")
        or "data is a link" in said["linked"]
    )
    assert said["renamed"].startswith("the package is src/seals")
    assert said["other"].startswith("It follows //")
    assert said["missing"].startswith("git ls-remote: ")

    bare = lab.folder / "forge/typical.git"
    text = git(bare, "show", f"{BRANCH}:{MLFLOW_YML}")
    assert "  host: example.com  # ours\n\n  # New.\n  path: null\n" in text
    message = git(bare, "log", "-1", "--format=%B", BRANCH)
    assert message.startswith("Update the template from v0.2.0 to v0.3.0\n")
    assert git(bare, "log", "-1", "--format=%s", "main") == "x\n", "not touched"
    draft = git(lab.folder / "forge/contested.git", "show", f"{BRANCH}:{MLFLOW_YML}")
    assert "<<<<<<< before updating" in draft

    again = lab.command("update", "v0.3.0", "--ring", "1", "--jobs", "2")
    assert "1 current, 2 updated, 2 draft, 4 named" in again.stdout
    branches = git(
        bare, "for-each-ref", "--format=%(objectname)", f"refs/heads/{BRANCH}"
    )
    shutil.rmtree(lab.folder / ".kedro-mlflow-fleet/v0.3.0")
    lab.write([*ring[:1], str(bare), ring[3]])
    other_machine = lab.command("update", "v0.3.0", "--ring", "1", "--jobs", "2")
    assert "1 current, 1 updated, 1 draft" in other_machine.stdout
    assert lab.outcomes("v0.3.0")["contested"] == found["contested"]
    assert branches == git(
        bare, "for-each-ref", "--format=%(objectname)", f"refs/heads/{BRANCH}"
    )


def test_several_projects_of_one_repository_and_their_checks(lab: Laboratory) -> None:
    root = lab.folder / "work" / "mono"
    for name, version in (("a", "v0.1.0"), ("b", "v0.2.0"), ("c", "v0.3.0")):
        project = lab.start(f"mono/projects/{name}", version)
        shutil.rmtree(project.path / ".git")
    git(root, "init", "-q", "-b", "main")
    hooks = f"""repos:
  - repo: https://example.com/hooks
    rev: v0.1.0
    hooks: []
  # The template's.
  - repo: "{lab.template.path}"
    rev: v0.2.0  # the newest of the projects'
    hooks: []
"""
    (root / ".pre-commit-config.yaml").write_text(hooks, "utf-8")
    address = lab.publish("mono", Project(root))
    file = "conf/logging.yml"
    formats = f"grep -q new {file} || {{ echo '# new' >> {file}; exit 1; }}"
    checks = ["test -d conf", formats, "ls a-plan; exit 3"]
    folders = ["projects/a", "projects/b", "projects/c"]
    lab.write([{"repository": address, "folders": folders}], checks=checks)

    dry = lab.command("update", "v0.3.0", "--ring", "1", "--dry-run")
    assert "+++ b/projects/a/.copier-answers.yml" in dry.stdout
    assert git(Path(address), "branch").split() == ["*", "main"]
    assert dry.stdout.startswith("=== forge/mono: draft\ndiff --git ")

    done = lab.command("update", "v0.3.0", "--ring", "1")
    assert done.stderr == f"1 of 1: forge/mono: draft, {BRANCH}\n"
    found = lab.outcomes("v0.3.0")["mono"]
    assert found["result"] == "draft"
    first, second = found["reasons"]
    assert first.startswith(
        "projects/a: 'ls a-plan; exit 3' has failed with exit code 3"
    )
    assert "No such file" in first
    assert second.startswith("projects/b: 'ls a-plan; exit 3'")
    log = Path(found["log"])
    assert log.parent == lab.folder / ".kedro-mlflow-fleet/v0.3.0"
    assert log.read_text("utf-8").count("No such file") == 2
    assert f"log: {log.relative_to(lab.folder)}" in " ".join(done.stdout.split())
    moved = git(Path(address), "show", f"{BRANCH}:.pre-commit-config.yaml")
    assert moved == hooks.replace("rev: v0.2.0", "rev: v0.3.0")
    logging = git(Path(address), "show", f"{BRANCH}:projects/a/conf/logging.yml")
    assert logging.endswith("# new\n")
    subjects = git(Path(address), "log", "--format=%s", BRANCH).splitlines()
    assert subjects == [
        "projects/b: Update the template from v0.2.0 to v0.3.0",
        "projects/a: Update the template from v0.1.0 to v0.3.0",
        "x",
    ]


def test_after_ctrl_c_the_same_command_goes_on(lab: Laboratory) -> None:
    ring = [
        lab.add(name, "v0.2.0", lambda p, name=name: p.write("name", name))
        for name in ("a", "b")
    ]
    flag = lab.folder / "wait"
    flag.touch()
    check = (
        f"name=$(cat name) && cd {lab.folder} && touch at-$name && "
        "while test -e wait && test $name != a; do sleep 0.1; done"
    )
    lab.write(ring, checks=[check])
    words = ["update", "v0.3.0", "--ring", "1", "--jobs", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "fleet.cli", *words],
        cwd=lab.folder,
        env=ENV,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (lab.folder / "at-b").exists() and time.monotonic() < deadline:
        time.sleep(0.1)  # so a is done, and b is under way
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert "Interrupted after 1 of 2. The same command goes on with the rest." in said
    assert set(lab.outcomes("v0.3.0")) == {"a"}
    assert git(Path(ring[1]), "branch").split() == ["*", "main"]
    flag.unlink()
    done = lab.command(*words)
    assert "2 updated" in done.stdout, done.stdout + done.stderr


def test_a_file_that_goes_is_deleted_unless_somebody_has_edited_it(
    tmp_path: Path,
) -> None:
    lab = Laboratory(tmp_path)
    template = lab.template
    template.release("v0.1.0")
    template.remove(f"template/{README}")
    end = "    {% endif %}\n"
    template.replace("copier.yml", end, f"    {README}\n{end}")
    template.replace(
        "template/src/{{ python_package }}/tracking/template/drift.py",
        "OBSOLETE: Mapping[str, str] = {}",
        f'OBSOLETE: Mapping[str, str] = {{"{README}": "the README says it"}}',
    )
    template.release("v0.2.0")
    ring = [
        lab.add("plain", "v0.1.0"),
        lab.add("edited", "v0.1.0", lambda p: p.write(README, "Ours.\n")),
    ]
    lab.write(ring)
    lab.command("update", "v0.2.0", "--ring", "1")
    found = lab.outcomes("v0.2.0")
    assert (found["plain"]["result"], found["plain"]["reasons"]) == ("updated", [])
    kept = "git ls-tree --name-only template/v0.2.0 conf/".split()[1:]
    assert README not in git(Path(ring[0]), *kept)
    assert README in git(Path(ring[1]), *kept)
    assert found["edited"]["reasons"] == [
        f"{README}: edited, and the template no longer has it; the README says it."
    ]


def test_a_branch_of_somebody_is_left_alone(lab: Laboratory) -> None:
    project = lab.start("a", "v0.2.0")
    git(project.path, "branch", BRANCH)
    lab.write([lab.publish("a", project)])
    lab.command("update", "v0.3.0", "--ring", "1")
    (reason,) = lab.outcomes("v0.3.0")["a"]["reasons"]
    assert reason == f"Its branch {BRANCH} is somebody's own: merge or delete it first."


def test_a_version_that_is_not_there_is_a_sentence(lab: Laboratory) -> None:
    lab.write([])
    done = lab.command("update", "v9.9.9", "--ring", "1")
    assert done.returncode == 1
    assert f"{lab.template.path} has no v9.9.9; the newest is v0.3.0." in done.stderr
    assert (
        "rings 1 to 1, and no 4"
        in lab.command("update", "v0.3.0", "--ring", "4").stderr
    )


def test_a_check_that_hangs_is_stopped_with_all_that_it_has_started(
    lab: Laboratory,
) -> None:
    flag = lab.folder / "ended"
    hangs = f"echo Waiting; (sleep 3; touch {flag}) & sleep 4"
    ring = [lab.add("a", "v0.2.0")]
    lab.write(ring, checks=[hangs, "true"], timeout_minutes=0.02)
    lab.command("update", "v0.3.0", "--ring", "1")
    found = lab.outcomes("v0.3.0")["a"]
    assert found["result"] == "draft"
    assert found["reasons"] == [
        f"'{hangs}' was stopped after 0.02 minutes (timeout_minutes):\n    Waiting"
    ]
    time.sleep(3)
    assert not flag.exists()
