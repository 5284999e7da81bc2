"""The website of the docs, built as ``make docs`` builds it."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
import tracking
from sphinx.search.en import SearchEnglish
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


@pytest.fixture(scope="module")
def search(site: Path) -> Callable[[str], list[str]]:
    """Find the pages that have all words of a query, the best first, as Sphinx does."""
    text = (site / "searchindex.js").read_text("utf-8")
    index = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))
    language = SearchEnglish({})

    def pages(word: str, terms: str) -> set[int]:
        found = index[terms].get(language.stem(word.lower()), [])
        return {found} if isinstance(found, int) else set(found)

    def search(query: str) -> list[str]:
        words = [w for w in language.split(query) if language.word_filter(w.lower())]
        titles = [pages(word, "titleterms") for word in words]
        texts = [pages(word, "terms") for word in words]
        both = set.intersection(*(a | b for a, b in zip(titles, texts, strict=True)))
        scores = {n: max(15 if n in t else 5 for t in titles) for n in both}
        return [index["docnames"][n] for n in sorted(both, key=lambda n: -scores[n])]

    return search


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("resume", "guides/resuming"),
        ("delete a run", "guides/old-runs"),
        ("why run fail", "guides/failed-run"),
        ("cron", "guides/failed-run"),
        ("traceback", "guides/failed-run"),
        ("update project", "guides/updating"),
        ("conflict", "guides/updating"),
        ("permission", "guides/shared-server"),
        ("user", "guides/shared-server"),
        ("proxy", "login"),
        ("optuna", "guides/many-runs"),
    ],
)
def test_search_finds_the_guide(
    search: Callable[[str], list[str]], query: str, page: str
) -> None:
    assert page in search(query)


@pytest.mark.parametrize("query", ["resume", "windows", "run", "outbox"])
def test_search_leaves_the_decisions_out(
    search: Callable[[str], list[str]], query: str
) -> None:
    found = search(query)
    assert found
    assert [page for page in found if page.startswith("decisions/")] == []
