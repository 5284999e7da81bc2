"""Every path of a project is the template's, shared or the project's own."""

import itertools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pathspec import PathSpec
from tracking.template.drift import MANIFEST, OBSOLETE, VERSION

from scripts import generate as generated
from tests.conftest import TEMPLATE, Render

COPIER = yaml.safe_load((TEMPLATE / "copier.yml").read_text("utf-8"))
CLASSES = {
    name: PathSpec.from_lines("gitignore", COPIER[name]["default"])
    for name in ("template_files", "shared_files", "project_files")
}
# What a path may depend on; the first test proves that nothing else is asked there.
CHOICES: dict[str, list[Any]] = {
    "environment_addresses": [
        {},
        {"prod": None},
        {"data": None, "src": "https://mlflow.example.com", "tests": None},
    ],
    "ci": ["github", "gitlab", "none"],
    "renovate": [True, False],
    "sample_pipeline": [True, False],
    "python_package": ["tracked", "tracking", "pipelines"],
    "orchestrator": ["none", "airflow", "dask", "ray"],
    "code_owners": ["@org/platform", ""],
    "audit": [True, False, False],
    "backstage_owner": ["", "team"],
}
EXTRAS = {
    "renovate": True,
    "code_owners": "@a/b",
    "audit": True,
    "backstage_owner": "a",
}


def paths(project: Path) -> list[str]:
    files = (path for path in project.rglob("*") if path.is_file())
    return sorted(path.relative_to(project).as_posix() for path in files)


def owners(path: str) -> list[str]:
    return [name for name, spec in CLASSES.items() if spec.match_file(path)]


def test_paths_depend_on_these_answers_only() -> None:
    names = [
        p.relative_to(TEMPLATE).as_posix() for p in TEMPLATE.rglob("template/**/*")
    ]
    words = set(
        re.findall(
            r"\b[a-z_]+\b", " ".join(re.findall("{[{%].*?[}%]}", "".join(names)))
        )
    )
    questions = {name for name in COPIER if not name.startswith("_")}
    assert questions & words == set(CHOICES)


def every_pair(asked: list[str]) -> Iterator[dict[str, Any]]:
    """Yield answers such that any two of them are together at least once."""
    seen: set[tuple[object, ...]] = set()
    for values in itertools.product(*(CHOICES[name] for name in asked)):
        pairs = set(
            itertools.combinations(zip(asked, map(repr, values), strict=True), 2)
        )
        if not pairs <= seen:
            seen |= pairs
            yield dict(zip(asked, values, strict=True))


def test_every_path_has_one_owner(render: Render) -> None:
    in_turn = list(CHOICES)[4:]
    asked = [name for name in CHOICES if name not in in_turn]
    for number, answers in enumerate(every_pair(asked)):
        answers |= {n: CHOICES[n][number % len(CHOICES[n])] for n in in_turn}
        answers["environments"] = answers.pop("environment_addresses")
        for path in paths(render(**answers)):
            assert len(owners(path)) == 1, f"{path}: {owners(path)}"


def test_no_pattern_is_idle(render: Render) -> None:
    rendered = set()
    for ci, engine in (("github", "airflow"), ("gitlab", "dask")):
        answers = {"ci": ci, "orchestrator": engine, **EXTRAS}
        rendered |= set(paths(render(**answers)))
    for name in CLASSES:
        for pattern in set(COPIER[name]["default"]) - set(OBSOLETE):
            spec = PathSpec.from_lines("gitignore", [pattern])
            assert any(map(spec.match_file, rendered)), pattern


def test_an_update_leaves_the_projects_own_files_alone() -> None:
    (block,) = [entry for entry in COPIER["_exclude"] if "== 'update'" in entry]
    first, *patterns, last = block.splitlines()
    assert first == "{% if _copier_operation == 'update' %}"
    assert last == "{% endif %}"
    assert sorted(patterns) == sorted([*COPIER["_skip_if_exists"], *OBSOLETE])
    assert COPIER["project_files"]["default"] == COPIER["_skip_if_exists"]


def test_readme_shows_the_owners(default_project: Path) -> None:
    readme = (default_project / "README.md").read_text("utf-8")
    for name in CLASSES:
        for pattern in COPIER[name]["default"]:
            assert f"`{pattern}`" in readme, pattern


def test_checksums_are_up_to_date_and_cover_the_templates_files(
    default_project: Path,
) -> None:
    (tracking,) = default_project.glob("src/*/tracking")
    text = (tracking / MANIFEST).read_text("utf-8")
    assert text == generated.checksums(), "regenerate it with 'make generated'"
    listed = {
        (tracking / line.split("  ", 1)[1]).resolve().relative_to(default_project)
        for line in text.splitlines()
    }
    owned = {p for p in paths(default_project) if owners(p) == ["template_files"]}
    unlisted = {tracking / MANIFEST, tracking / VERSION}  # itself, and what varies
    listed |= {path.relative_to(default_project) for path in unlisted}
    assert {path.as_posix() for path in listed} == owned - {".copier-answers.yml"}


def test_sha256sum_reads_the_checksums(default_project: Path) -> None:
    (tracking,) = default_project.glob("src/*/tracking")
    done = subprocess.run(
        ["sha256sum", "--check", "--quiet", MANIFEST],
        cwd=tracking,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", ["conf/README.md", "src/x/y.py", "README.md"])
def test_owner_of_a_path_that_is_easily_mistaken(path: str) -> None:
    expected = {
        "conf/README.md": ["shared_files"],
        "src/x/y.py": [],
        "README.md": ["project_files"],
    }
    assert owners(path) == expected[path]
