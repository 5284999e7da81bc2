"""Commands that docs/organisation.md has people type in a project."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import TEMPLATE
from tests.fleet.laboratory import ENV
from tests.hooks.conftest import PreCommit
from tests.releases import Project, Template, git

PAGE = (TEMPLATE / "docs/organisation.md").read_text("utf-8")
MLFLOW_YML = "conf/base/mlflow.yml"
PERSON = {
    f"GIT_{who}_{what}": "a@example.com"
    for who in ("AUTHOR", "COMMITTER")
    for what in ("NAME", "EMAIL")
}


def commands(heading: str) -> list[str]:
    """Return what a section has people type, with the programs of this repository."""
    section = re.split(r"\n##+ ", re.split(rf"\n##+ {heading}\n", PAGE)[1])[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.S)
    lines = [line.partition("  #")[0] for b in blocks for line in b.splitlines()]
    from_git = r"uvx --from git\+<address of the template>@<version> (\S+)"

    def module(found: re.Match[str]) -> str:
        return f"{sys.executable} -m hooks.{found[1].replace('-', '_')}"

    return [re.sub(from_git, module, x).replace("uvx ", "") for x in lines if x.strip()]


def test_a_conflict_is_resolved_and_nothing_is_lost(
    project: Project, pre_commit: PreCommit
) -> None:
    merge, diff, add, commit, without_hooks = commands("A conflict")
    waiting, committed = commands("Nothing is lost")

    def types(line: str) -> subprocess.CompletedProcess[str]:
        editor = "sh -c 'echo Update > \"$1\"' --"
        env = {**PERSON, "PYTHONPATH": ENV["PYTHONPATH"], "GIT_EDITOR": editor}
        env["SKIP"] = "mlflow-config"  # v0.2.0 has a key that its schema does not know
        return pre_commit.shell(project, line, **env)

    pre_commit(project, "install")
    name = "    name: null\n\n    # Whether nodes"
    project.replace(MLFLOW_YML, name, name.replace("null", "ours"))
    project.replace(MLFLOW_YML, "  host: null\n", "  host: example.com\n")
    project.commit()
    project.update()
    assert types(without_hooks).returncode == 1
    done = types(merge)
    assert done.returncode == 1
    assert "tracking.run.name is 'ours' in the project and is 'pets'" in done.stdout
    assert "<<<<<<< " in types(diff).stdout
    markers = r"^<{7} .*\n((?s:.*?))^={7}\n(?s:.*?)^>{7} .*\n"
    mine = re.sub(markers, r"\1", project.read(MLFLOW_YML), flags=re.M)
    project.write(MLFLOW_YML, mine)
    for line in (add, waiting, commit, committed):
        done = types(line)
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    assert git(project.path, "log", "-1", "--format=%s") == "Update\n"
    ui = project.load(MLFLOW_YML)["ui"]
    assert ui == {"port": None, "host": "example.com", "path": None}


def test_a_draft_of_the_fleet_is_closed(
    project: Project, pre_commit: PreCommit, tmp_path: Path
) -> None:
    switch, find, install, check, commit, push = commands("A draft")
    branch = switch.split()[-1]
    name = "    name: null\n\n    # Whether nodes"
    project.replace(MLFLOW_YML, name, name.replace("null", "ours"))
    project.commit()
    git(project.path, "switch", "-q", "-c", branch)
    project.update()
    project.commit()  # as the fleet does, markers and all
    git(project.path, "switch", "-q", "main")
    git(tmp_path, "clone", "-q", "--bare", str(project.path), "forge.git")
    git(tmp_path, "clone", "-q", "forge.git", "clone")
    clone = Project(tmp_path / "clone")
    skip = {"SKIP": "mlflow-config"}  # v0.2.0 has a key that its schema does not know

    def types(line: str) -> subprocess.CompletedProcess[str]:
        return pre_commit.shell(clone, line, **PERSON, **skip)

    assert types(switch).returncode == 0
    assert types("git diff; git status --short").stdout == "", "as the page says"
    found = types(find).stdout
    assert re.findall(r"^(\S+):\d+:<<<<<<< ", found, re.M) == [MLFLOW_YML]
    assert types(install).returncode == 0
    assert types(check).returncode == 1
    markers = r"^<{7} .*\n((?s:.*?))^={7}\n(?s:.*?)^>{7} .*\n"
    mine = re.sub(markers, r"\1", clone.read(MLFLOW_YML), flags=re.M)
    clone.write(MLFLOW_YML, mine)
    for line in (check, commit, push):
        done = types(line)
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    assert "name: ours" in git(tmp_path / "forge.git", "show", f"{branch}:{MLFLOW_YML}")
    assert types(find).stdout == ""


def test_an_answer_changes_a_secret_is_accepted_and_an_address_moves(
    template: Template, project: Project, tmp_path: Path
) -> None:
    def types(line: str) -> None:
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=project.path,
            env={**ENV, "PATH": f"{Path(sys.executable).parent}:{ENV['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"

    (changes,) = re.findall(r"`(copier update --data [^`]+)`", PAGE)
    (stays,) = re.findall(r"with `(--vcs-ref \S+)` the project stays", PAGE)
    types(f"{changes} {stays} --defaults")
    assert project.load(".copier-answers.yml")["_commit"] == "v0.1.0"
    assert (project.path / "conf/qa/mlflow.yml").is_file()
    assert "conf/prod/mlflow.yml" in git(project.path, "status", "--short")
    types("git restore conf/prod/mlflow.yml")

    (accept,) = commands("Secrets")
    project.write("docs/login.md", 'password = "hunter2-is-long"\n')
    scan = accept.replace("--accept ", "")
    with pytest.raises(AssertionError, match="docs/login.md"):
        types(scan)
    types(accept)
    types(scan)

    new = f"git+file://{template.path}"
    project.replace(".copier-answers.yml", str(template.path), new)
    hooks = new.removeprefix("git+")
    project.replace(".pre-commit-config.yaml", str(template.path), hooks)
    project.commit()
    types("copier update --defaults")
    answers = project.load(".copier-answers.yml")
    assert (answers["_src_path"], answers["_commit"]) == (new, "v0.2.0")
    assert not project.unmerged
