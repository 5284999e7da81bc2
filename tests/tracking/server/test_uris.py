"""Where a URI of ``mlflow.yml`` leads."""

from pathlib import Path

import pytest
from tracking.errors import TrackingError
from tracking.server.uris import anchor, artifact_root, tracking_uri

ROOT = Path("/work/project")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)


@pytest.mark.parametrize(
    ("configured", "expected"),
    [
        (None, "sqlite:////work/project/mlruns/mlflow.db"),
        ("mlruns", "sqlite:////work/project/mlruns/mlflow.db"),
        ("./a/../store", "sqlite:////work/project/store/mlflow.db"),
        ("/data/mlruns", "sqlite:////data/mlruns/mlflow.db"),
        ("file:///data/ml%20runs", "sqlite:////data/ml runs/mlflow.db"),
        ("sqlite:///x.db", "sqlite:////work/project/x.db"),
        ("sqlite:///x.db?timeout=5", "sqlite:////work/project/x.db?timeout=5"),
        ("sqlite:////data/x.db", "sqlite:////data/x.db"),
        ("https://mlflow.example.com/a", "https://mlflow.example.com/a"),
        ("postgresql://host/db", "postgresql://host/db"),
        ("mysql+pymysql://host/db", "mysql+pymysql://host/db"),
        ("databricks", "databricks"),
        ("databricks://profile", "databricks://profile"),
        ("databricks-uc", "databricks-uc"),
    ],
)
def test_tracking_uri(configured: str | None, expected: str) -> None:
    assert tracking_uri(configured, ROOT) == expected


def test_variable_counts_when_nothing_is_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking_uri(None, ROOT) == "http://127.0.0.1:5000"
    assert tracking_uri("mlruns", ROOT).startswith("sqlite:")


def test_old_file_store_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "mlruns/0").mkdir(parents=True)
    (tmp_path / "mlruns/0/meta.yaml").touch()
    with pytest.raises(
        TrackingError, match="mlflow migrate-filestore --source .*mlruns"
    ):
        tracking_uri(None, tmp_path)


def test_old_file_store_is_used_where_it_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlruns/0").mkdir(parents=True)
    (tmp_path / "mlruns/0/meta.yaml").touch()
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    assert tracking_uri(None, tmp_path) == (tmp_path / "mlruns").as_uri()


@pytest.mark.parametrize(
    ("uri", "folder"),
    [
        ("sqlite:////work/project/mlruns/mlflow.db", ROOT / "mlruns"),
        ("sqlite:////work/project/mlflow.db", ROOT / "mlruns"),
        ("sqlite:////elsewhere/runs.db", ROOT / "mlruns"),
        ("https://mlflow.example.com", None),
    ],
)
def test_artifacts_of_a_sqlite_store(uri: str, folder: Path | None) -> None:
    assert artifact_root(uri, ROOT) == folder


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("artifacts", "file:///work/project/artifacts"),
        ("s3://bucket/a", "s3://bucket/a"),
    ],
)
def test_artifact_location_is_anchored(location: str, expected: str) -> None:
    assert anchor(location, ROOT) == expected
