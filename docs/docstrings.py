"""A Sphinx extension: how the docstrings of the tracking package are shown.

Arguments of a class become a table, and the package gets the name that it has in a
project.
"""

import inspect
import re
from collections.abc import Iterable, Iterator

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging

_logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, bool]:
    """Listen, before napoleon does."""
    app.connect("autodoc-process-docstring", _process, priority=400)
    app.connect("doctree-read", _name_package)
    return {"parallel_read_safe": True}


def _process(
    _app: Sphinx, what: str, name: str, obj: type, _: object, lines: list[str]
) -> None:
    for index, line in enumerate(lines):
        if line == "Example in the catalog::":
            lines[index : index + 1] = [line[:-1], "", ".. code-block:: yaml"]
    if what == "class" and "Args:" in lines:
        start = lines.index("Args:")
        end = start + 1
        while end < len(lines) and not lines[end][:1].strip():
            end += 1
        lines[start:end] = [*_table(name, obj, lines[start + 1 : end]), ""]


def _table(name: str, kind: type, lines: list[str]) -> Iterator[str]:
    meanings = _meanings(lines)
    arguments = inspect.signature(kind).parameters
    if set(meanings) != set(arguments):
        _logger.warning("%s: docstring and signature differ in arguments", name)
    yield from (".. list-table::", "   :header-rows: 1", "")
    yield from _row(("argument", "type", "default", "meaning"))
    for argument in arguments.values():
        default = argument.default
        yield from _row(
            (
                f"``{argument.name}``",
                f"``{_type(argument.annotation)}``",
                "" if default is argument.empty else f"``{default!r}``",
                meanings.get(argument.name, ""),
            )
        )


def _type(annotation: object) -> str:
    """Return a type without the modules that its parts are from."""
    return re.sub(r"(?:\w+\.)+(?=\w)", "", inspect.formatannotation(annotation))


def _row(cells: Iterable[str]) -> Iterator[str]:
    for index, cell in enumerate(cells):
        yield f"   {' ' if index else '*'} - {cell}"


def _meanings(lines: list[str]) -> dict[str, str]:
    meanings: dict[str, str] = {}
    for line in lines:
        if start := re.fullmatch(r"    (\w+): (.*)", line):
            name = start[1]
            meanings[name] = start[2]
        elif line.strip():
            meanings[name] += f" {line.strip()}"
    return meanings


def _name_package(_: Sphinx, document: nodes.document) -> None:
    for prefix in document.findall(addnodes.desc_addname):
        if prefix.astext() in ("tracking.", "request_headers."):
            prefix[:] = [nodes.Text(f"<package>.{prefix.astext()}")]
