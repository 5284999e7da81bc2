"""What costs a little in one command, and much in a thousand tests, is left out.

Copier asks the same again for each file of each project. Dynaconf, which reads Kedro's
settings, looks for the module of each frame of the stack, which is deep in a test, among all
modules, which are many; it uses the file names alone.
"""

import sys
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

from copier._main import Worker
from dynaconf.loaders import py_loader
from dynaconf.utils import files
from jinja2 import Environment

_compile: Any = Environment.compile
_compiled: dict[tuple[Any, ...], Any] = {}
_sync: Any = Worker._sync_git_index_executable_bit


def compile_once(env: Environment, source: Any, *words: Any, **options: Any) -> Any:
    """Compile a template, as ``Environment.compile`` does, unless that is done already."""
    if not isinstance(source, str) or "yield" in source:
        return _compile(env, source, *words, **options)
    env.preprocess(source)  # copier forgets here what an earlier template has yielded
    syntax = env.variable_start_string, env.keep_trailing_newline, *env.extensions
    key = source, words, *options.items(), *syntax
    if key not in _compiled:
        _compiled[key] = _compile(env, source, *words, **options)
    return _compiled[key]


def sync_where_git_ignores_modes(worker: Worker, path: Path, mode: int) -> None:
    """Let copier start a git for a file only where ``core.fileMode`` may be false."""
    folder = worker.subproject.local_abspath
    found = (each / ".git" for each in (folder, *folder.parents))
    git = next((each for each in found if each.exists()), None)
    if git and (git.is_file() or "filemode = false" in (git / "config").read_text()):
        _sync(worker, path, mode)


def stack() -> list[SimpleNamespace]:
    """Return the callers' file names, as ``inspect.stack`` does."""
    found = []
    frame: FrameType | None = sys._getframe(1)
    while frame:
        found.append(SimpleNamespace(filename=frame.f_code.co_filename))
        frame = frame.f_back
    return found


def install() -> None:
    """Let Jinja, copier and dynaconf use it in this process."""
    Environment.compile = compile_once  # type: ignore[assignment,method-assign]
    Worker._sync_git_index_executable_bit = sync_where_git_ignores_modes  # type: ignore[assignment,method-assign]
    for module in (files, py_loader):
        module.inspect = SimpleNamespace(stack=stack)
