"""Imports run one way, and no private name that is used has gone."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.conftest import TEMPLATE

SOURCE = TEMPLATE / "template" / "src" / "{{ python_package }}"
RECORD = next((TEMPLATE / "docs" / "decisions").glob("0004-*.md"))
OTHERS = ("kedro", "mlflow")


def test_imports_run_one_way() -> None:
    """The contract is in pyproject.toml."""
    lint = Path(sys.executable).with_name("lint-imports")
    words = [lint, "--config", TEMPLATE / "pyproject.toml", "--no-cache"]
    done = subprocess.run(
        words, cwd=SOURCE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def private_names() -> dict[str, set[str]]:
    """Where the module uses a private name of Kedro's or MLflow's, by the name."""
    found: dict[str, set[str]] = {}
    for file in sorted((SOURCE / "tracking").rglob("*.py")):
        where = file.relative_to(SOURCE / "tracking").as_posix()
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                if node.module.partition(".")[0] in OTHERS:
                    names = [a.name for a in node.names if a.name.startswith("_")]
            elif isinstance(node, ast.Attribute) and node.attr.startswith("_"):
                owner = node.value.id if isinstance(node.value, ast.Name) else ""
                dunder = node.attr.startswith("__")
                if not dunder and owner not in ("self", "cls"):
                    names = [node.attr]
            for name in names:
                found.setdefault(name, set()).add(where)
    return found


OWN = {"_handle"}
"""Private attributes that objects of this module have for each other."""


def table() -> dict[str, str]:
    """The private names that the decision record lists, and the file of each."""
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)`", RECORD.read_text("utf-8"), re.M)
    return {name.rpartition(".")[2]: file for name, file in rows}


def test_private_names_are_used_in_the_one_place_that_the_record_lists() -> None:
    used = {name: files for name, files in private_names().items() if name not in OWN}
    listed = {name: {file} for name, file in table().items() if name.startswith("_")}
    assert used == listed


@pytest.mark.parametrize(
    "name",
    [
        row
        for row in re.findall(
            r"^\| `((?:kedro|mlflow)[^`]+)` \|", RECORD.read_text("utf-8"), re.M
        )
    ],
)
def test_name_that_is_no_public_api_is_still_there(name: str) -> None:
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            thing = import_module(".".join(parts[:count]))
        except ImportError:
            continue
        for part in parts[count:]:
            annotations = getattr(thing, "__annotations__", {})
            thing = getattr(thing, part, annotations.get(part, None))
            assert thing is not None, f"{name}: {part} is gone"
        return
    raise AssertionError(f"{name} cannot be imported")
