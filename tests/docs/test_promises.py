"""Every promise names a test that is there."""

import re

import pytest

from tests.conftest import TEMPLATE

PAGE = (TEMPLATE / "docs" / "promises.md").read_text("utf-8")


@pytest.mark.parametrize("test", re.findall(r"`(tests/[^`]+)` \|$", PAGE, re.M))
def test_promise_names_a_test_that_is_there(test: str) -> None:
    file, name = test.split("::")
    assert f"def {name}(" in (TEMPLATE / file).read_text("utf-8")


def test_every_row_of_the_tables_is_a_promise() -> None:
    rows = [
        line
        for line in PAGE.splitlines()
        if line.startswith("| ") and not line.startswith(("| promise", "| ---"))
    ]
    assert len(rows) == len(re.findall(r"`(tests/[^`]+)` \|$", PAGE, re.M)) > 30
