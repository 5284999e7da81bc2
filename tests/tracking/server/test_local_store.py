"""The local store: unusable places, foreign or old databases, and its creation."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from click import ClickException
from kedro.pipeline import Pipeline, node
from tracking.server.local_store import create_local_store

from tests.tracking import nodes
from tests.tracking.conftest import Project, kedro_here

ONE = Pipeline([node(nodes.one, "params:a", "done", name="one")])
MLFLOW_3_9 = "d3e4f5a6b7c8"  # the revision of its tables


@pytest.fixture(autouse=True)
def parameters(project: Project) -> None:
    project.write("conf/base/parameters.yml", {"a": 1})


@pytest.fixture
def database(project: Project) -> Path:
    return project.path / "mlruns/mlflow.db"


def refusals(project: Project) -> list[str]:
    """Return the messages of a run and of ``check``, which must not take long."""
    started = time.monotonic()
    with pytest.raises(ClickException) as error:
        project.run(ONE)
    done = kedro_here(project, "check")
    assert done.returncode == 1
    assert time.monotonic() - started < 30
    return [error.value.message, " ".join(done.stdout.split())]


def test_database_that_is_a_folder_is_a_sentence(
    project: Project, database: Path
) -> None:
    database.unlink()
    (database / "x").mkdir(parents=True)
    for refusal in refusals(project):
        assert "mlruns/mlflow.db is a folder, and should be the database" in refusal


def test_folder_of_the_store_that_is_a_file_is_a_sentence(
    project: Project, database: Path
) -> None:
    shutil.rmtree(database.parent)
    database.parent.touch()
    for refusal in refusals(project):
        assert (
            "mlruns is a file, and should be the folder of the local store" in refusal
        )


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder as odd")
def test_folder_that_refuses_a_file_is_a_sentence_at_once(project: Project) -> None:
    project.mlflow_yml("server: {mlflow_tracking_uri: /proc/self/fdinfo}")
    with pytest.raises(ClickException, match="fdinfo/mlflow.db cannot be created or"):
        project.run(ONE)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A read-only folder; for root, only a mount is read-only."""
    folder = tmp_path / "read_only"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):
        mount = ["mount", "-t", "tmpfs", "-o", "ro", "none", folder]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("this user may write everywhere, and mount nothing")
        yield folder
        subprocess.run(["umount", folder], check=True)
    else:
        yield folder


def test_read_only_folder_is_a_sentence_at_once(
    project: Project, read_only: Path
) -> None:
    project.mlflow_yml(f"server: {{mlflow_tracking_uri: '{read_only}'}}")
    for refusal in refusals(project):
        assert "read_only is read-only, so no run can be recorded" in refusal


def test_read_only_database_is_a_sentence(
    project: Project, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write anything, so ``os.access`` answers as for another user."""
    allowed = os.access
    monkeypatch.setattr(
        os, "access", lambda p, mode: Path(p) != database and allowed(p, mode)
    )
    with pytest.raises(
        ClickException, match="mlflow.db is read-only, so no run can be"
    ):
        project.run(ONE)


@pytest.mark.parametrize("damage", ["text", "cut"])
def test_damaged_database_is_a_sentence(
    project: Project, database: Path, damage: str
) -> None:
    size = database.stat().st_size // 2
    database.write_bytes(
        b"hello" * 1000 if damage == "text" else database.read_bytes()[:size]
    )
    for refusal in refusals(project):
        assert "mlruns/mlflow.db is damaged, or no SQLite database" in refusal
        assert "rename it, and the next run creates a new one" in refusal


def test_database_of_a_newer_mlflow_is_a_sentence_with_both_versions(
    project: Project, database: Path
) -> None:
    with closing(sqlite3.connect(database)) as opened:
        opened.execute("UPDATE alembic_version SET version_num = 'fedcba987654'")
        opened.commit()
    for refusal in refusals(project):
        assert "has the tables of a newer MLflow" in refusal
        assert f"{mlflow.__version__}, does not know their revision" in refusal
        assert "'fedcba987654'" in refusal
    done = kedro_here(project, "runs")
    assert "has the tables of a newer MLflow" in " ".join(done.stderr.split())


@pytest.fixture
def older(project: Project, database: Path) -> Path:
    """A store as MLflow 3.9 has created it, with a run of its time."""
    import sqlalchemy
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base

    database.unlink()
    engine = sqlalchemy.create_engine(f"sqlite:///{database}")
    Base.metadata.create_all(engine)
    config = _get_alembic_config(f"sqlite:///{database}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, MLFLOW_3_9)
    engine.dispose()
    root = database.parent.as_uri()
    with closing(sqlite3.connect(database)) as opened:
        opened.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location,"
            f" lifecycle_stage) VALUES (0, 'Default', '{root}/0', 'active')"
        )
        opened.execute(
            "INSERT INTO runs (run_uuid, name, user_id, experiment_id, start_time,"
            " lifecycle_stage, status, artifact_uri) VALUES"
            f" ('{'a' * 32}', 'old', 'me', 0, 1, 'active', 'FINISHED',"
            f" '{root}/0/{'a' * 32}/artifacts')"
        )
        opened.commit()
    return database


def test_database_of_an_older_mlflow_is_migrated_with_a_copy(
    project: Project, older: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = older.read_bytes()
    done = kedro_here(project, "check")
    assert "the store is an older MLflow's; the first run migrates it" in done.stdout
    assert older.read_bytes() == before
    project.run(ONE)
    old, _ = project.runs()
    assert old.info.run_name == "old"
    assert caplog.text.count("Migrated ") == 1
    copy = older.with_name(f"mlflow.db.before-mlflow-{mlflow.__version__}")
    with closing(sqlite3.connect(copy)) as opened:
        assert opened.execute("SELECT * FROM alembic_version").fetchall() == [
            (MLFLOW_3_9,)
        ]
    files = {file.name for file in older.parent.iterdir() if file.is_file()}
    assert files == {older.name, copy.name, ".mlflow.db.lock"}


def test_list_of_runs_reads_an_older_store(project: Project, older: Path) -> None:
    project.mlflow_yml("tracking: {experiment: {name: Default}}")
    done = kedro_here(project, "runs")
    assert done.returncode == 0, done.stderr
    assert "old" in done.stdout


FIRST_RUN = """
import os, sys
from pathlib import Path
def refuse(*_, **__): raise OSError("no hard links here")
os.link = refuse
from tracking.server.local_store import create_local_store
import mlflow
uri, root = sys.argv[1:]
create_local_store(uri, Path(root))
mlflow.set_tracking_uri(uri)
with mlflow.start_run():
    mlflow.log_param("a", 1)
"""


@pytest.mark.parametrize(
    "store", ["missing", pytest.param("older", marks=pytest.mark.slow)]
)
def test_two_first_runs_at_once_both_succeed_without_hard_links(
    tmp_path: Path, older: Path, store: str
) -> None:
    folder = tmp_path / "store"
    uri = f"sqlite:///{folder.as_posix()}/mlflow.db"
    if store == "older":
        folder.mkdir()
        shutil.copy(older, folder)
    both = [
        subprocess.Popen(
            [sys.executable, "-c", FIRST_RUN, uri, str(folder)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in both:
        _, error = process.communicate()
        assert process.returncode == 0, error
    assert len(mlflow.MlflowClient(uri).search_runs(["0"])) == (
        3 if store == "older" else 2
    )
    hidden = [file.name for file in folder.iterdir() if file.name.startswith(".")]
    assert hidden == [".mlflow.db.lock"]


def test_interrupted_creation_leaves_no_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.store.tracking import sqlalchemy_store

    class Interrupted:
        def __init__(self, *_: object) -> None:
            raise KeyboardInterrupt

    uri = f"sqlite:///{tmp_path.as_posix()}/mlflow.db"
    with monkeypatch.context() as patched:
        patched.setattr(sqlalchemy_store, "SqlAlchemyStore", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            create_local_store(uri, tmp_path)
    assert not (tmp_path / "mlflow.db").exists()
    create_local_store(uri, tmp_path)
    assert (tmp_path / "mlflow.db").exists()


def test_empty_file_is_no_database_yet(project: Project, database: Path) -> None:
    database.write_bytes(b"")
    project.run(ONE)
    assert project.only_run().info.artifact_uri.startswith(database.parent.as_uri())
