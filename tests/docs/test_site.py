"""The website of the docs, built as ``make docs`` builds it."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
import tracking
from tracking.commands.cli import mlflow_commands

from tests.conftest import TEMPLATE


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages. A warning, such as a link that leads nowhere, is an error."""
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-d"]
    words += [f"{folder}/doctrees", str(TEMPLATE / "docs"), f"{folder}/html"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_first_page_leads_to_every_page_of_the_sidebar(site: Path) -> None:
    text = (site / "index.html").read_text("utf-8")
    sidebar, _, article = text.partition("<article")
    pages = set(re.findall(r'toctree-l1"><a [^>]*href="([^"#]+)"', sidebar))
    assert len(pages) > 10
    assert pages - set(re.findall(r'href="([^"#]+)"', article)) == set()


def test_reference_has_every_public_name_and_every_argument(site: Path) -> None:
    text = (site / "reference" / "api.html").read_text("utf-8")
    assert [n for n in tracking.__all__ if f'id="tracking.{n}"' not in text] == []
    assert "&lt;package&gt;.tracking." in text
    tables = re.findall(r"<table.*?</table>", text, re.S)
    datasets = [name for name in tracking.__all__ if name.endswith("Dataset")]
    assert len(tables) == len(datasets) + 2, "and one for each header provider"


def test_reference_has_every_command_and_option(site: Path) -> None:
    text = (site / "reference" / "cli.html").read_text("utf-8")
    assert "&lt;package&gt;" not in text
    for name, command in mlflow_commands.commands.items():
        assert f'id="kedro-mlflow-{name}"' in text
        for option in command.params:
            word = option.opts[-1].strip("-")
            if isinstance(option, click.Argument):
                word = "arg-" + option.human_readable_name.strip("[]")
            assert f'id="cmdoption-kedro-mlflow-{name}-{word}"' in text


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    loaded = r"""<(?:script|img|iframe)[^>]*src=["'](https?:[^"']+)|<link[^>]*href=["'](https?:[^"']+)|@import[^;]*http|url\(["']?http"""
    files = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert len(files) > 15
    assert [f.name for f in files if re.search(loaded, f.read_text("utf-8"))] == []


def test_recording_has_a_picture_that_does_not_move(site: Path) -> None:
    text = (site / "index.html").read_text("utf-8")
    shown = dict(re.findall(r'class="(moving|still)[^>]*src="([^"]+)"', text))
    assert {"moving", "still"} == set(shown)
    moving, still = ((site / shown[n]).read_text("utf-8") for n in ("moving", "still"))
    assert "keyframes" in moving
    assert "keyframes" not in still
    assert "The runs are at http://localhost:5000" in still
