"""Copier compiles the name of each file again for each project; tests do so once."""

from typing import Any

from jinja2 import Environment

_compile: Any = Environment.compile
_compiled: dict[tuple[Any, ...], Any] = {}


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


def install() -> None:
    """Let Jinja use it in this process."""
    Environment.compile = compile_once  # type: ignore[assignment,method-assign]
