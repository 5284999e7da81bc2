"""How a URI of ``mlflow.yml`` is resolved."""

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
from tracking.errors import TrackingError
from tracking.server.uris import (
    anchor,
    artifact_root,
    registry_uri,
    tracking_uri,
)

from tests.addresses import RIGHT, WRONG, WRONG_SCHEMES

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
        ("sqlite:///ml%20runs/x.db", "sqlite:////work/project/ml runs/x.db"),
        ("100%/#1", "sqlite:////work/project/100%/#1/mlflow.db"),
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


@pytest.mark.parametrize("folder", ["a%20b", "file:///a%2520b", "what?"])
def test_folder_that_no_sqlite_uri_can_name_is_a_sentence(folder: str) -> None:
    """SQLAlchemy 2.1 would write to the sibling ``a b``, and 2.0 would not."""
    with pytest.raises(TrackingError, match="in its path as something else. Rename"):
        tracking_uri(folder, ROOT)


def test_variable_counts_when_nothing_is_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking_uri(None, ROOT) == "http://127.0.0.1:5000"
    assert tracking_uri("mlruns", ROOT).startswith("sqlite:")


@pytest.mark.parametrize("address", RIGHT)
def test_right_address_is_taken(address: str) -> None:
    assert tracking_uri(address, ROOT)
    assert registry_uri(address, ROOT)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        *WRONG,
        *WRONG_SCHEMES,
        ("runs.db", "did you mean sqlite:///runs.db?"),
        (
            "s3://bucket/runs",
            "the scheme 's3', which MLflow does not know; it knows http",
        ),
        ("me:hunter2@db/x", "'***@db/x'"),
        ("postgres://me:hunter2@db/x", "did you mean postgresql://me:***@db/x?"),
    ],
)
def test_wrong_address_is_a_sentence_without_a_password(
    address: str, sentence: str
) -> None:
    for resolve in (tracking_uri, registry_uri):
        with pytest.raises(TrackingError) as error:
            resolve(address, ROOT)
        assert sentence in error.value.message
        assert "hunter2" not in error.value.message


def test_variable_with_a_wrong_address_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "localhost:5055")
    with pytest.raises(
        TrackingError, match="^The variable X is 'localhost:5055', which"
    ):
        tracking_uri(None, ROOT, "the variable X")


@pytest.mark.parametrize("folder", ["mlflow.example.com", "runs.db", "localhost"])
def test_folder_that_is_there_is_a_path_whatever_its_name(
    tmp_path: Path, folder: str
) -> None:
    (tmp_path / folder).mkdir()
    assert tracking_uri(folder, tmp_path).endswith(f"{folder}/mlflow.db")


def test_scheme_of_a_plugin_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = EntryPoint("warehouse", "warehouse:Store", "mlflow.tracking_store")
    monkeypatch.setattr(
        "tracking.server.uris.entry_points",
        lambda group: EntryPoints([plugin]).select(group=group),
    )
    assert tracking_uri("warehouse://x", ROOT) == "warehouse://x"
    with pytest.raises(TrackingError, match="which MLflow does not know"):
        registry_uri("warehouse://x", ROOT)


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
