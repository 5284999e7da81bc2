"""Credentials become environment variables, which are restored afterwards."""

from typing import Any

import pytest
from kedro.config import OmegaConfigLoader
from tracking.errors import TrackingError
from tracking.server.credentials import credential_variables

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
