"""The environment variables of the process are shared, and restored."""

import os

import pytest
from tracking.errors import TrackingError
from tracking.server.process_environment import EnvironmentOverride


def test_environment_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THERE", "before")
    monkeypatch.delenv("NOT_THERE", raising=False)
    override = EnvironmentOverride({"THERE": "x", "NOT_THERE": "y"})
    assert "NOT_THERE" not in os.environ  # until it is entered
    override.__enter__()
    assert (os.environ["THERE"], os.environ["NOT_THERE"]) == ("x", "y")
    override.close()
    override.close()
    assert os.environ["THERE"] == "before"
    assert "NOT_THERE" not in os.environ


def test_overlapping_runs_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHARED", raising=False)
    first = EnvironmentOverride({"SHARED": "1"}).__enter__()
    second = EnvironmentOverride({"SHARED": "2"}).__enter__()
    first.close()
    assert os.environ["SHARED"] == "2"
    second.close()
    assert "SHARED" not in os.environ


def test_runs_at_once_that_would_mix_are_told_apart() -> None:
    first = EnvironmentOverride({"SHARED": "hunter2"}, claimed=True).__enter__()
    same = EnvironmentOverride({"SHARED": "hunter2"}, claimed=True).__enter__()
    with pytest.raises(TrackingError, match="Another run .* value of SHARED") as error:
        EnvironmentOverride({"SHARED": "hunter3"}, claimed=True).__enter__()
    assert "hunter" not in str(error.value)
    first.close()
    assert EnvironmentOverride.is_claimed("SHARED")
    same.close()
    EnvironmentOverride({"SHARED": "hunter3"}, claimed=True).__enter__().close()
    assert not EnvironmentOverride.is_claimed("SHARED")
    assert "SHARED" not in os.environ
