"""Let copier ask once what it asks again for each file: an update takes half the time."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from copier._main import Worker
from jinja2 import Environment

_compile: Any = Environment.compile
_compiled: dict[tuple[Any, ...], Any] = {}
_sync: Any = getattr(Worker, "_sync_git_index_executable_bit", None)


def install() -> None:
    """Change Jinja and copier in this process, which renders one template."""
    Environment.compile = _compile_once  # type: ignore[assignment,method-assign]
    if _sync:  # copier 9.19
        Worker._sync_git_index_executable_bit = _sync_where_needed  # type: ignore[assignment,method-assign]


def _compile_once(env: Environment, source: Any, *words: Any, **options: Any) -> Any:
    """Compile a template, unless that is done: an update renders each three times."""
    if not isinstance(source, str) or "yield" in source:
        return _compile(env, source, *words, **options)
    env.preprocess(source)  # copier forgets here what an earlier template has yielded
    syntax = env.variable_start_string, env.keep_trailing_newline, *env.extensions
    key = source, words, *options.items(), *syntax
    if key not in _compiled:
        _compiled[key] = _compile(env, source, *words, **options)
    return _compiled[key]


def _sync_where_needed(worker: Worker, path: Path, mode: int) -> None:
    """Let copier start a git for a file only where git does not look at modes."""
    if _ignores_modes(worker.subproject.local_abspath):
        _sync(worker, path, mode)


@cache
def _ignores_modes(folder: Path) -> bool:
    words = [
        "git",
        "-C",
        str(folder),
        "config",
        "--type=bool",
        "--get",
        "core.fileMode",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() == "false"
