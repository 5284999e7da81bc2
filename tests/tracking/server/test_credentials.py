"""Credentials become environment variables, and are taken back."""

import os
from typing import Any

import pytest
from kedro.config import OmegaConfigLoader
from tracking.errors import TrackingError
from tracking.server.credentials import credential_variables
from tracking.server.process_environment import EnvironmentOverride

LOADER = OmegaConfigLoader("conf")


def test_text_numbers_and_booleans_become_text() -> None:
    entry = {"A": "x", "B": 8080, "C": True, "D": 1.5}
    expected = {"A": "x", "B": "8080", "C": "true", "D": "1.5"}
    assert credential_variables("mine", {"mine": entry}, LOADER) == expected


def test_no_key_means_no_variables() -> None:
    assert credential_variables(None, {"mine": {"A": "x"}}, LOADER) == {}


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("hunter2", "'mine' must be a mapping"),
        ({"A": None}, "mine.A must be text, a number or a boolean; it is empty"),
        ({"A": ["hunter2"]}, "it is a list"),
        ({"A": {"B": "hunter2"}}, "it is a mapping"),
        ({"A-B": "hunter2"}, "mine.A-B is no name for an environment variable"),
        ({1: "hunter2"}, "mine.1 is no name"),
    ],
)
def test_bad_entry_is_named_without_its_value(entry: Any, sentence: str) -> None:
    with pytest.raises(TrackingError, match=sentence) as error:
        credential_variables("mine", {"mine": entry}, LOADER)
    assert "hunter2" not in str(error.value)


def test_missing_entry_names_those_that_there_are() -> None:
    with pytest.raises(TrackingError, match="server.credentials is 'mlfow'.*mlflow"):
        credential_variables("mlfow", {"mlflow": {}}, LOADER)


def test_missing_entry_belongs_into_the_folder_of_the_environment() -> None:
    with pytest.raises(TrackingError, match="add 'mine:' to conf/prod/credentials.yml"):
        credential_variables("mine", {}, OmegaConfigLoader("conf", env="prod"))


def test_environment_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THERE", "before")
    monkeypatch.delenv("NOT_THERE", raising=False)
    loan = EnvironmentOverride({"THERE": "x", "NOT_THERE": "y"})
    assert (os.environ["THERE"], os.environ["NOT_THERE"]) == ("x", "y")
    loan.close()
    loan.close()
    assert os.environ["THERE"] == "before"
    assert "NOT_THERE" not in os.environ


def test_overlapping_runs_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHARED", raising=False)
    first, second = (
        EnvironmentOverride({"SHARED": "1"}),
        EnvironmentOverride({"SHARED": "2"}),
    )
    first.close()
    assert os.environ["SHARED"] == "2"
    second.close()
    assert "SHARED" not in os.environ


def test_runs_at_once_that_would_mix_are_told_apart() -> None:
    first = EnvironmentOverride({"SHARED": "hunter2"}, exclusive=True)
    same = EnvironmentOverride({"SHARED": "hunter2"}, exclusive=True)
    with pytest.raises(TrackingError, match="Another run .* value of SHARED") as error:
        EnvironmentOverride({"SHARED": "hunter3"}, exclusive=True)
    assert "hunter" not in str(error.value)
    first.close()
    assert EnvironmentOverride.is_claimed("SHARED")
    same.close()
    EnvironmentOverride({"SHARED": "hunter3"}, exclusive=True).close()
    assert not EnvironmentOverride.is_claimed("SHARED")
    assert "SHARED" not in os.environ
