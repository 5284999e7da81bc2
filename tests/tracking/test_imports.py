"""Only a tracked run imports ``mlflow``."""

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
    assert "heavy: []" in printed(project, PROBE.format(command=command))


@pytest.fixture
def runnable(project: Project) -> Project:
    """A project whose pipeline has a parameter and a metric."""
    project.write(
        "src/tracked/pipeline_registry.py",
        "from kedro.pipeline import Pipeline, node\n"
        "def register_pipelines():\n"
        "    one = node(float, 'params:a', 'score', name='one')\n"
        "    return {'__default__': Pipeline([one])}\n",
    )
    project.write("conf/base/parameters.yml", {"a": 1})
    metric = {"type": "tracked.tracking.MlflowMetricDataset"}
    project.write("conf/base/catalog.yml", {"score": metric})
    return project


def printed(project: Project, probe: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", probe],
        cwd=project.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_disabled_run_does_not_import_mlflow(
    runnable: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDRO_MLFLOW_DISABLED", "true")
    assert "heavy: []" in printed(runnable, PROBE.format(command=["run"]))


def test_tracked_run_imports_what_kedro_and_mlflow_need_and_no_more(
    runnable: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = "print('packages:', *{name.split('.')[0] for name in sys.modules})"
    run = PROBE.format(command=["run"]) + packages
    by_hand = (
        "import mlflow\n"
        "mlflow.set_tracking_uri('sqlite:///by_hand.db')\n"
        "with mlflow.start_run():\n"
        "    mlflow.log_metric('score', 1.0)\n"
    )

    def imported(probe: str) -> set[str]:
        return set(printed(runnable, probe).rpartition("packages:")[2].split())

    tracked = imported(run)
    assert runnable.only_run().data.metrics == {"score": 1.0}
    monkeypatch.setenv("KEDRO_MLFLOW_DISABLED", "true")
    assert tracked - imported(by_hand + run) <= set(sys.stdlib_module_names)


def said(probe: str) -> str:
    """Return the output of a Python process outside of any project."""
    return subprocess.run(
        [sys.executable, "-c", probe],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_importing_the_package_costs_its_standard_library_and_nothing_else() -> None:
    imported = said(
        "import sys; before = set(sys.modules); import tracking;"
        "print(*set(sys.modules) - before)"
    )
    packages = {name.split(".")[0] for name in imported.split()}
    assert packages - set(sys.stdlib_module_names) == {"tracking"}


def test_public_names_are_imported_on_first_use() -> None:
    shown = said(
        "import sys, tracking; print('before', 'pydantic' in sys.modules);"
        "[getattr(tracking, name) for name in tracking.__all__ if name[0] != 'O'];"
        "print('after', 'mlflow' in sys.modules)"
    )
    assert shown.startswith("before False\n")
    assert shown.endswith("after False\n")
