"""Only a tracked run pays for ``mlflow``."""

import subprocess
import sys

import pytest

from tests.tracking.conftest import Project

PROBE = """
import sys
from kedro.framework.cli.cli import main
sys.argv = ["kedro", *{command!r}]
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
heavy = {{"mlflow", "sklearn", "matplotlib", "sqlalchemy"}} & set(sys.modules)
print("heavy:", sorted(heavy))
"""


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["--version"],
        ["registry", "list"],
        ["mlflow", "--help"],
        ["mlflow", "init", "--env", "qa"],
        ["catalog", "describe-datasets"],
    ],
)
def test_command_does_not_import_mlflow(project: Project, command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(command=command)],
        cwd=project.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "heavy: []" in done.stdout, done.stdout + done.stderr


def test_disabled_run_does_not_import_mlflow(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = project.path / "src/tracked/pipeline_registry.py"
    registry.write_text(
        "from kedro.pipeline import Pipeline, node\n"
        "def register_pipelines():\n"
        "    return {'__default__': Pipeline([node(lambda: 1, None, 'x', name='one')])}\n"
    )
    monkeypatch.setenv("KEDRO_MLFLOW_DISABLED", "true")
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(command=["run"])],
        cwd=project.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "heavy: []" in done.stdout, done.stdout + done.stderr


def test_public_names_are_imported_on_first_use() -> None:
    probe = (
        "import sys, tracking; print('before', 'pydantic' in sys.modules);"
        "[getattr(tracking, name) for name in tracking.__all__ if name[0] != 'O'];"
        "print('after', 'mlflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("before False\n")
    assert done.stdout.endswith("after False\n")
