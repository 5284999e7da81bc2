"""Releases of the template to update from and to."""

from pathlib import Path

import pytest

from tests.releases import Template


@pytest.fixture
def template(tmp_path: Path) -> Template:
    """The template of the working tree, released as v0.1.0."""
    made = Template(tmp_path / "template")
    made.release("v0.1.0")
    return made
