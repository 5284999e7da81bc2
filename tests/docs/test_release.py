"""A release has the notes of its version, and is refused without them."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from scripts.release import notes
from tests.conftest import TEMPLATE
from tests.releases import Template

CHANGELOG = """# Changelog

## 0.2.0, unreleased

- Not yet.

## 0.1.0, 2026-11-30

- First.
"""


def test_notes_are_those_of_the_version() -> None:
    assert notes(CHANGELOG, "0.1.0") == "- First.\n"


@pytest.mark.parametrize(
    ("version", "sentence"),
    [("0.2.0", "calls 0.2.0 unreleased"), ("0.3.0", "has no section '## 0.3.0")],
)
def test_release_without_notes_is_refused(version: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        notes(CHANGELOG, version)


def test_release_is_built_with_its_notes(tmp_path: Path) -> None:
    clone = Template(tmp_path / "clone")
    clone.write("CHANGELOG.md", CHANGELOG)
    words = [sys.executable, "-m", "scripts.release"]
    refused = subprocess.run(
        [*words, "0.2.0"], cwd=clone.path, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith("No release: CHANGELOG.md calls 0.2.0 unreleased")
    subprocess.run([*words, "0.1.0"], cwd=clone.path, check=True)
    assert clone.read("dist/notes.md") == "- First.\n"
    (wheel,) = (clone.path / "dist").glob("*-0.1.0-*.whl")
    assert "fleet/cli.py" in zipfile.ZipFile(wheel).namelist()


def test_actions_are_pinned_by_their_commits() -> None:
    """A tag can be moved to other code; a commit cannot."""
    files = [
        *TEMPLATE.glob(".github/workflows/*"),
        *TEMPLATE.glob("template/*/workflows/*"),
    ]
    lines = [line for file in files for line in file.read_text().splitlines()]
    used = [line.split("uses: ")[1] for line in lines if "uses: " in line]
    others = [action for action in used if not action.startswith("./")]
    assert len(others) > 8
    for action in others:
        commit = action.partition("@")[2].split("  # v")[0]
        assert len(commit) == 40, action


def test_ci_tries_every_python_that_a_project_may_have() -> None:
    jobs = yaml.safe_load((TEMPLATE / ".github/workflows/ci.yml").read_text())["jobs"]
    copier = yaml.safe_load((TEMPLATE / "copier.yml").read_text("utf-8"))
    pythons = copier["python_version"]["choices"]
    assert jobs["test"]["strategy"]["matrix"]["python"] == pythons
    others = jobs["other-systems"]["strategy"]["matrix"]
    assert others["os"] == ["macos-latest", "windows-latest"]
    assert others["python"] == [pythons[0], pythons[-1]], "the lowest and the newest"
    release = yaml.safe_load((TEMPLATE / ".github/workflows/release.yml").read_text())
    assert release["jobs"]["publish"]["needs"] == "test"
    assert release["jobs"]["test"]["uses"] == "./.github/workflows/ci.yml"


def test_workflows_are_yaml_and_may_write_only_where_they_must() -> None:
    for file in TEMPLATE.glob(".github/workflows/*.yml"):
        content = yaml.safe_load(file.read_text("utf-8"))
        assert content["permissions"]["contents"] == "read", file
