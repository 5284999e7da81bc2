"""A pipeline is packed while the server is away, and served once it is sent."""

import mlflow
import pytest

from tests.tracking.serving.conftest import ROWS, Scored


def test_model_of_a_run_without_a_server_is_sent_and_answers(
    scored: Scored, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (scored.path / "conf/away").mkdir()
    (scored.path / "conf/away/mlflow.yml").write_text(
        f"server: {{mlflow_tracking_uri: '{server}', offline: always}}\n"
        "tracking: {experiment: {name: scored away}}\n"
    )
    scored.run("train", "scoring", env="away")
    client = mlflow.MlflowClient(server)
    assert client.get_experiment_by_name("scored away") is None
    done = scored.kedro("sync")
    assert done.exit_code == 0, done.stdout + done.stderr
    (version,) = client.search_model_versions("name = 'scorer'")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    served = mlflow.pyfunc.load_model(f"models:/scorer/{version.version}")
    assert served.predict(ROWS[["x", "word"]])["score"][0] == pytest.approx(1102.0)
    model = client.get_logged_model(version.source.removeprefix("models:/"))
    assert model.source_run_id == version.run_id
    assert model.tags["kedro.pipeline"] == "scoring"
