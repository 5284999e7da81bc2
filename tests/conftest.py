"""Fixtures for all tests: no telemetry, and a rendered project that is made once."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from copier import run_copy

from tests import speed

TEMPLATE = Path(__file__).parents[1]
os.environ["DO_NOT_TRACK"] = "1"
for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "KEDRO_ENV"):
    os.environ.pop(name, None)

_MEMORY = Path("/dev/shm")  # noqa: S108
_folder = ""
if "TMPDIR" not in os.environ and _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK):
    if shutil.disk_usage(_MEMORY).free > 8e9:
        # git and SQLite wait for a disk after each of thousands of small files.
        _folder = tempfile.mkdtemp(prefix="copier-kedro-mlflow-", dir=_MEMORY)
        os.environ["TMPDIR"] = tempfile.tempdir = _folder

speed.install()

Render = Callable[..., Path]


def pytest_sessionfinish(exitstatus: int) -> None:
    """Leave the memory, unless there is something to look at."""
    if _folder and exitstatus != pytest.ExitCode.TESTS_FAILED:
        shutil.rmtree(_folder, ignore_errors=True)


@pytest.fixture(scope="session")
def render(tmp_path_factory: pytest.TempPathFactory) -> Render:
    """Return a function that renders the template with given answers, without trust."""

    def copy(**answers: Any) -> Path:
        project = tmp_path_factory.mktemp("render") / "penguin-classifier"
        run_copy(
            str(TEMPLATE),
            project,
            data=answers,
            defaults=True,
            quiet=True,
            unsafe=False,
            vcs_ref="HEAD",
        )
        return project

    return copy


@pytest.fixture(scope="session")
def default_project(render: Render) -> Path:
    """A project rendered with all defaults; do not change it."""
    return render()
