"""Only so many bytes of files wait on this machine."""

from pathlib import Path

import mlflow
import pytest
from kedro.pipeline import Pipeline, node

from tests.tracking.conftest import Project
from tests.tracking.outbox.conftest import Switch, outboxes, runs, sync

FILES = [f"file_{n}.bin" for n in range(6)]


def log_files(value: float) -> float:
    """Log six files of 30 kB."""
    for name in FILES:
        Path(name).write_bytes(b"x" * 30_000)
        mlflow.log_artifact(name)
        Path(name).unlink()
    return value


def logging(switch: Switch, is_away: bool) -> Pipeline:
    return Pipeline(
        [
            node(switch.turn(is_away), "params:a", "x", name="switch"),
            node(log_files, "x", "m_last", name="log"),
        ]
    )


@pytest.fixture(autouse=True)
def limited(
    project: Project, switch: Switch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let 100 kB wait."""
    monkeypatch.chdir(tmp_path)
    text = (project.path / "conf/local/mlflow.yml").read_text()
    project.mlflow_yml(text.replace("server: {", "server: {outbox_limit: 0.0001, "))


def arrived(project: Project, server: str) -> list[str]:
    (run,) = runs(project, server)
    assert run.data.metrics == {"m_last": 1.0}
    found = mlflow.MlflowClient(server).list_artifacts(run.info.run_id)
    return [file.path for file in found]


def test_files_over_the_limit_are_named_at_the_end_if_the_server_is_away(
    project: Project, server: str, switch: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Exception, match="There is no room for 'file_3.bin'") as found:
        project.run(logging(switch, is_away=True))
    assert "server.outbox_limit" in str(found.value)
    assert "mlruns/outbox may hold 100.0 kB" in str(found.value)
    assert caplog.text.count("the limit is 100.0 kB") == 1
    switch.is_away = False
    sync(project)
    assert arrived(project, server) == FILES[:3]


def test_nodes_wait_at_the_limit_while_the_server_answers(
    project: Project, server: str, switch: Switch
) -> None:
    project.run(logging(switch, is_away=False))
    assert arrived(project, server) == FILES
    assert not outboxes(project)
