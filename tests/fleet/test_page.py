"""docs/organisation.md is followed word by word."""

import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from fleet.config import CHECKS, load
from hooks.migrations import __doc__ as documentation
from tests.conftest import TEMPLATE
from tests.fleet.laboratory import ENV, Laboratory
from tests.releases import Project, Template, git

DOCS = TEMPLATE / "docs" / "organisation"
PAGE = (TEMPLATE / "docs" / "organisation.md").read_text("utf-8")
TRACKING = "template/src/{{ python_package }}/tracking"
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


OLD, NEW = "tracking.params.long_params_strategy", "tracking.params.too_long"
PROD = "conf/prod/mlflow.yml"
FLOW = "tracking: {params: {long_params_strategy: tag}}\n"


def add_and_rename(template: Template) -> None:
    """Add a file, and rename one that nobody edits."""
    template.write("template/NEW.md", "new\n")
    template.write("template/conf/editors.ini", template.read("template/.editorconfig"))
    template.remove("template/.editorconfig")


def remove_a_file(template: Template) -> None:
    """Follow 'A file goes'."""
    (entry,) = re.findall(r"`(\{\"conf/README.md\": .*?\})`", " ".join(PAGE.split()))
    template.remove("template/conf/README.md")
    end = "    {% endif %}\n"
    template.replace("copier.yml", end, f"    conf/README.md\n{end}")
    empty = "OBSOLETE: Mapping[str, str] = {}"
    drift = f"{TRACKING}/template/drift.py"
    template.replace(drift, empty, empty.replace("{}", entry))
    template.generate()


def rename_a_key(template: Template) -> None:
    """Follow 'A key of mlflow.yml is renamed', for a release candidate."""
    lines = dedent(documentation.split("::\n", 1)[1].split("\nIt runs")[0])
    assert (OLD in lines, NEW in lines) == (True, True)
    lines = lines.replace("v0.3.0", "v0.3.0rc1")
    template.write("copier.yml", template.read("copier.yml") + lines)
    for name in (
        f"{TRACKING}/config/options.py",
        f"{TRACKING}/run/parameters.py",
        "scripts/errors.yml",
    ):
        text = template.read(name)
        template.write(name, text.replace("long_params_strategy", "too_long"))
    template.generate()


def in_flow_style(project: Project) -> None:
    project.write(PROD, FLOW)


@pytest.mark.slow
@pytest.mark.parametrize("migrates", [False, True])
def test_every_command_of_the_page_does_what_it_says(
    tmp_path: Path, migrates: bool
) -> None:
    """On releases that add, rename and remove, and on one that needs a migration."""
    lab = Laboratory(tmp_path)
    template = lab.template
    template.release("v0.2.0")
    add_and_rename(template)
    remove_a_file(template)
    if migrates:
        rename_a_key(template)
    template.release("v0.3.0rc1")
    template.release("v0.3.0")
    checks = [f"{sys.executable} -m kedro mlflow check --template"]
    rings = (
        [lab.add("penguins", "v0.2.0")],
        [lab.add("seals", "v0.2.0", in_flow_style)],
    )
    if migrates:
        lab.write(*rings, checks=checks)
        refused = lab.command("update", "v0.3.0rc1", "--ring", "1")
        assert "1 named" in refused.stdout
        assert "Write 'trust: true' into fleet.yml" in refused.stdout
    lab.write(*rings, minimum="v0.2.0", checks=checks, trust=migrates)
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
    seals = lab.bare("seals")
    moved = FLOW.replace("long_params_strategy", "too_long") if migrates else FLOW
    assert git(seals, "show", f"main:{PROD}") == moved
    kept = set(git(seals, "ls-tree", "-r", "--name-only", "main").splitlines())
    assert {"conf/README.md", ".editorconfig"} & kept == set()
    assert {"NEW.md", "conf/editors.ini"} <= kept
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
