"""docs/organisation.md is followed word by word."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

from fleet.config import CHECKS, load
from tests.conftest import TEMPLATE
from tests.fleet.laboratory import ENV, Laboratory
from tests.releases import Project, git

DOCS = TEMPLATE / "docs" / "organisation"
PAGE = (TEMPLATE / "docs" / "organisation.md").read_text("utf-8")
CANDIDATE, VERSION = "template/v0.3.0rc1", "template/v0.3.0"


def commands() -> list[str]:
    """Return what the page has people type, without its remarks."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.S)
    lines = [line.partition("  #")[0] for block in blocks for line in block.split("\n")]
    return [line for line in lines if line.startswith("kedro-mlflow-fleet ")]


def run(lab: Laboratory, line: str) -> str:
    program = f"{sys.executable} -m fleet.cli"
    done = subprocess.run(
        ["bash", "-c", line.replace("kedro-mlflow-fleet", program)],
        cwd=lab.folder,
        env=ENV,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    return done.stdout


def test_every_command_of_the_page_does_what_it_says(tmp_path: Path) -> None:
    """On releases that add, rename and remove."""
    lab = Laboratory(tmp_path)
    template = lab.template
    template.release("v0.2.0")
    template.write("template/NEW.md", "new\n")
    template.write("template/conf/editors.ini", template.read("template/.editorconfig"))
    template.remove("template/.editorconfig")
    template.release("v0.3.0rc1")
    template.release("v0.3.0")
    checks = [f"{sys.executable} -m kedro mlflow check --template"]
    rings = [lab.add("penguins", "v0.2.0")], [lab.add("seals", "v0.2.0")]
    lab.write(*rings, minimum="v0.2.0", checks=checks)
    status, page, dry, update, promote, enforce, of_one = commands()

    assert "0 of 2 projects are current" in run(lab, status)
    run(lab, page)
    assert "<title>0 of 2" in (lab.folder / "status.html").read_text("utf-8")
    assert "+new" in run(lab, dry)
    bare = lab.folder / "forge/penguins.git"
    assert git(bare, "branch").split() == ["*", "main"]
    assert "1 updated" in run(lab, update)
    lab.merge("penguins", CANDIDATE)
    opened = run(lab, promote)
    assert "Ring 1 is next." in opened
    assert "1 updated" in opened
    lab.merge("penguins", VERSION)
    assert "Ring 2 is next." in run(lab, promote)
    lab.merge("seals", VERSION)
    assert "Every project has v0.3.0." in run(lab, promote)
    assert "2 of 2 projects are current" in run(lab, status)
    run(lab, enforce)
    run(lab, of_one.replace(" . ", " work/seals "))

    clone = Project(lab.folder / "clone")
    git(lab.folder, "clone", "-q", str(bare), str(clone.path))
    guard = [sys.executable, "-m", "hooks.update_guard"]
    done = subprocess.run(guard, cwd=clone.path, env=ENV, check=False)
    assert done.returncode == 0


def test_the_examples_are_what_the_command_reads() -> None:
    fleet = load(DOCS / "fleet.yml")
    assert fleet.checks == CHECKS
    (example,) = re.findall(r"```yaml\n(template: .*?)```", PAGE, re.S)
    shown = yaml.safe_load(example)
    content = yaml.safe_load((DOCS / "fleet.yml").read_text("utf-8"))
    assert shown == {key: content[key] for key in shown}
    job = (DOCS / "fleet-job.yml").read_text("utf-8")
    typed = re.findall(r"kedro-mlflow-fleet (.+)", job)
    assert typed[0].split(" > ")[0] in PAGE
    assert typed[1] == 'promote "$VERSION"'
    for key in type(fleet).model_fields:
        assert f"| `{key}` |" in PAGE
