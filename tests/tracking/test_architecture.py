"""Imports run one way, and the private names that are used exist."""

import ast
import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TEMPLATE

SOURCE = TEMPLATE / "template" / "src" / "{{ python_package }}"
RECORD = next((TEMPLATE / "docs" / "decisions").glob("0004-*.md"))
TEXT = RECORD.read_text("utf-8")
OTHERS = ("kedro", "mlflow")


def test_imports_run_one_way() -> None:
    """The contract is in pyproject.toml."""
    lint = Path(sys.executable).with_name("lint-imports")
    words = [lint, "--config", TEMPLATE / "pyproject.toml", "--no-cache"]
    done = subprocess.run(
        words, cwd=SOURCE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def trees() -> dict[str, ast.Module]:
    folder = SOURCE / "tracking"
    return {
        file.relative_to(folder).as_posix(): ast.parse(file.read_text("utf-8"))
        for file in sorted(folder.rglob("*.py"))
    }


def own_names() -> set[str]:
    """The names that the module itself defines, and those of any named tuple."""
    found = {"_asdict", "_replace"}
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                found.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
    return found


def private_names() -> dict[str, set[str]]:
    """The private names of Kedro and MLflow that are used, and the files that do."""
    found: dict[str, set[str]] = {}
    for file, tree in trees().items():
        for node in ast.walk(tree):
            names: list[str] = []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                if node.module.partition(".")[0] in OTHERS:
                    names = [alias.name for alias in node.names]
                    names += node.module.split(".")
            elif isinstance(node, ast.Attribute):
                owner = node.value.id if isinstance(node.value, ast.Name) else ""
                names = [] if owner in ("self", "cls", "os") else [node.attr]
            for name in names:
                if name.startswith("_") and not name.startswith("__"):
                    found.setdefault(name, set()).add(file)
    return found


def listed_names() -> dict[str, set[str]]:
    """The private parts of the names in the decision record, and their files."""
    found: dict[str, set[str]] = {}
    for name, file in re.findall(r"^\| `([^`]+)` \| `([^`]+)`", TEXT, re.M):
        for part in name.split("."):
            if part.startswith("_"):
                found.setdefault(part, set()).add(file)
    return found


def test_private_names_are_used_where_the_record_says_and_nowhere_else() -> None:
    listed, own = listed_names(), own_names()
    used = private_names()
    unlisted = {name: used[name] for name in used.keys() - listed.keys() - own}
    assert not unlisted, f"{RECORD.name} does not list them"
    for name, files in listed.items():
        assert name in own or used.get(name) == files, name


@pytest.mark.parametrize(
    "name", re.findall(r"^\| `((?:kedro|mlflow)\.[^`]+)` \|", TEXT, re.M)
)
def test_name_that_is_no_public_api_is_still_there(name: str) -> None:
    parts = name.split(".")
    count = next(n for n in range(len(parts) - 1, 0, -1) if is_module(parts[:n]))
    thing: Any = import_module(".".join(parts[:count]))
    for part in parts[count:]:
        if isinstance(thing, type) and not hasattr(thing, part):
            assigned = rf"self\.{part}(: .+)? = "
            assert re.search(assigned, inspect.getsource(thing)) or (
                part in thing.__annotations__
            ), f"{thing.__name__} has no {part}"
        else:
            thing = getattr(thing, part)


def is_module(parts: list[str]) -> bool:
    try:
        return import_module(".".join(parts)) is not None
    except ImportError:
        return False
