"""An outbox that cannot be written to, and one that outlives its process."""

import errno
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Pipeline, node
from tracking.outbox.folder import Lock, delete_remains
from tracking.outbox.journal import Journal, Record, ends, journals, read
from tracking.outbox.spool import keep

from tests.tracking import nodes
from tests.tracking.conftest import Project
from tests.tracking.outbox.conftest import Switch, outboxes, runs

TWO = Pipeline(
    [
        node(nodes.same, "params:a", "m_one", name="one"),
        node(nodes.same, "m_one", "file_two", name="two"),
    ]
)


def test_outbox_that_cannot_be_made_is_a_warning(
    project: Project, server: str, switch: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    (project.path / "mlruns/outbox").write_text("no folder")
    project.run(TWO)
    (run,) = runs(project, server)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"m_one": 1.0})
    assert caplog.text.count("cannot be written to") == 1


def test_full_disk_is_a_warning_and_loses_nothing(
    project: Project,
    server: str,
    switch: Switch,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bootstrap_project(project.path)
    journal = importlib.import_module("tracked.tracking.outbox.journal")
    real, is_full = os.write, []

    def write(file: int, data: Any) -> int:
        if is_full:
            real(file, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data)

    def fill(value: float) -> float:
        is_full.append(True)
        return value

    monkeypatch.setattr(journal.os, "write", write)
    project.run(
        Pipeline([node(fill, "params:a", "full", name="fill")])
        + Pipeline([node(nodes.same, "full", "m_one", name="one")])
        + Pipeline([node(nodes.same, "m_one", "file_two", name="two")])
    )
    (run,) = runs(project, server)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"m_one": 1.0})
    assert run.data.params == {"a": "1.0"}
    assert caplog.text.count("No space left on device") == 1
    assert not outboxes(project)


def test_outbox_that_stays_is_on_the_disk_when_its_run_has_ended(
    project: Project, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced, real = set[int](), os.fsync

    def force(file: int) -> None:
        real(file)
        forced.add(os.fstat(file).st_ino)

    monkeypatch.setattr(os, "fsync", force)
    switch.is_away = True
    project.run(Pipeline([node(nodes.same, "params:a", "file_one", name="one")]))
    (folder,) = outboxes(project)
    files = {file.stat().st_ino for file in folder.rglob("*") if file.is_file()}
    assert len(files) > 2
    assert files <= forced


def test_half_a_line_of_a_killed_process_is_not_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write(
        [Record("r", "metric", {"key": "m"}), Record("r", "tag", {"key": "t"})]
    )
    (file,) = journals(tmp_path)
    whole = file.stat().st_size
    with file.open("a") as half:
        half.write('{"run_id": "r", "ki')
    assert [record.data["key"] for record, _ in read(file, 0)] == ["m", "t"]
    assert ends(tmp_path) == {file.name: whole}


def test_journal_of_a_fork_is_a_file_of_its_own(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write([Record("r", "metric", {"key": "parent"})])
    if (child := os.fork()) == 0:
        journal.write([Record("r", "metric", {"key": "child"})])
        os._exit(0)
    os.waitpid(child, 0)
    found = [
        [json.loads(line)["data"] for line in f.open()] for f in journals(tmp_path)
    ]
    assert found == [[{"key": "parent"}], [{"key": "child"}]]


def test_lock_is_not_inherited_and_is_free_when_its_process_ends(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "outbox"
    if (child := os.fork()) == 0:
        os._exit(0 if Lock(folder).acquire() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    lock = Lock(folder)
    assert lock.acquire()
    assert not Lock(folder).acquire()
    lock.release()
    assert Lock(folder).acquire()


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_copy_is_not_changed_with_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    """Other systems have no clones; Windows has no ``fcntl``."""
    monkeypatch.setattr(sys, "platform", platform)
    if platform == "win32":
        monkeypatch.setitem(sys.modules, "fcntl", None)
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_text("saved")
    keep(source, copy)
    with source.open("r+") as file:
        file.write("other")
    assert copy.read_text() == "saved"


def test_remains_of_a_process_that_has_ended_are_deleted(tmp_path: Path) -> None:
    for name in (".ended", ".goes-on"):
        (tmp_path / name / "files").mkdir(parents=True)
    lock = Lock(tmp_path / "goes-on")
    lock.acquire()
    delete_remains(tmp_path)
    assert [found.name for found in tmp_path.glob(".*")] == [".goes-on"]
    lock.release()


def test_copy_stays_until_its_upload_is_remembered(
    project: Project, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a process that is killed between would look for it in vain."""
    lane = importlib.import_module("tracked.tracking.outbox.lane")
    real, copies = lane.write_json, []

    def look(file: Path, content: object) -> None:
        if file.name == "sent-files.json":
            copies.append(len(list(file.parent.glob("files/*/*"))))
        real(file, content)

    monkeypatch.setattr(lane, "write_json", look)
    project.run(TWO)
    assert 1 in copies
    assert not outboxes(project)
