"""The README's commands do what it says."""

import subprocess
from pathlib import Path

import pytest
import requests

from tests.conftest import TEMPLATE
from tests.e2e.newcomer import runs
from tests.e2e.reader import Reader

pytestmark = pytest.mark.slow  # run by 'make test-slow'


@pytest.mark.parametrize("installer", ["uv sync", "pip install -e"])
def test_project_is_started_run_and_shown(tmp_path: Path, installer: str) -> None:
    with Reader("README.md", tmp_path) as reader:
        assert len(list(reader.activate(installer))) == 1
        assert reader.project == tmp_path / "my-project"
        (run,) = runs(reader.project, "my_project")
        assert (run.info.status, len(run.data.metrics)) == ("FINISHED", 4)
        assert (
            b"<title>MLflow</title>" in requests.get(reader.address, timeout=30).content
        )


def test_demo_shows_the_run() -> None:
    first = (TEMPLATE / "README.md").read_text("utf-8").split("```")[1]
    commands = [line.split("#")[0].strip() for line in first.splitlines()[1:]]
    assert commands == ["make demo", "make test"]  # the second runs this test
    shown = subprocess.run(
        commands[0].split(), cwd=TEMPLATE, capture_output=True, text=True, check=True
    ).stdout
    assert "FINISHED" in shown
    assert "accuracy" in shown
    assert '"predictions": [{"species": "Adelie"' in shown
