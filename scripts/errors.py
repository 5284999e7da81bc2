"""Collect the error sentences of the code, and write docs/troubleshooting.md."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

_PAGE = """\
<!-- Written by 'make generated' from the code and scripts/errors.yml. -->

# Troubleshooting

Every error and warning of ours, in its own words. Search this page for a few words of what you
see; `…` stands for what differs, such as a name or an address. A sentence that is not here is
Kedro's, MLflow's or that of another library; [some of those](#no-module-named-duplicate-key-errors-of-others)
are at the end.

Indented below a sentence stand phrases that it may have in that place. A message usually says
which file and key to look at. `kedro mlflow check --all` finds most of
these before a run does.
"""
_NO_SENTENCE = ("AttributeError", "NotImplementedError", "KeyError", "SystemExit")
_WORD = re.compile(r"[A-Za-z][\w']+")
_FORMAT = re.compile(r"%[0-9.]*[sdrf]|(?<!\$)\{\w+\}")
_ABOUT_TEXT = ("compile", "removeprefix", "replace", "search", "startswith", "sub")
GAP = "…"


@dataclass
class Sentence:
    """What a user can read, with an ellipsis for what differs.

    Attributes:
        text: the sentence.
        file: the file of the code, from the root of the repository.
        line: where it is raised or logged.
        parts: phrases that may stand in place of an ellipsis.
    """

    text: str
    file: str
    line: int
    parts: list[str] = field(default_factory=list)


class _Module:
    """A module of the code, and what its names stand for."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path, self._root = path, root
        self.tree = ast.parse(path.read_text("utf-8"))

    @cached_property
    def constants(self) -> dict[str, ast.expr]:
        found: dict[str, ast.expr] = {}
        for each in self.tree.body:
            if isinstance(each, ast.Assign):
                found |= {_name(target): each.value for target in each.targets}
        return found

    @cached_property
    def functions(self) -> dict[str, ast.FunctionDef]:
        nodes = ast.walk(self.tree)
        return {n.name: n for n in nodes if isinstance(n, ast.FunctionDef)}

    @cached_property
    def imports(self) -> dict[str, tuple[Path, str]]:
        """Names from other modules of the same package: their file and name there."""
        found = {}
        for each in ast.walk(self.tree):
            if isinstance(each, ast.ImportFrom) and each.level:
                folder = self.path.parents[each.level - 1]
                file = folder.joinpath(*(each.module or "").split("."))
                for name in each.names:
                    found[name.asname or name.name] = (
                        file.with_suffix(".py"),
                        name.name,
                    )
        return found


class _Reader:
    """Reads the sentences of one module."""

    def __init__(self, path: Path, root: Path, modules: dict[Path, _Module]) -> None:
        self._root, self._modules = root, modules
        self._module = self._load(path)
        self._locals: dict[str, list[ast.expr]] = {}

    def sentences(self) -> Iterator[Sentence]:
        for scope in _scopes(self._module.tree):
            self._locals = _assignments(scope)
            for node in _own_nodes(scope):
                for message in _messages(node):
                    yield from self._sentence(message, node)

    def _sentence(self, message: ast.expr, node: ast.AST) -> Iterator[Sentence]:
        if isinstance(message, ast.Call):
            for module, function in self._targets(_name(message.func), self._module):
                returned = _returned(function)
                if len(returned) == 1 and isinstance(returned[0], ast.JoinedStr):
                    reader = _Reader(module.path, self._root, self._modules)
                    reader._locals = _assignments(function)
                    yield from reader._sentence(returned[0], returned[0])
                    return
        file = self._module.path.relative_to(self._root).as_posix()
        line = getattr(node, "lineno", 0)
        text, parts = self._text(message, self._module), self._parts(message)
        if _WORD.search(text):
            yield Sentence(text, file, line, [p for p in parts if p not in text])
        else:
            yield from (Sentence(part, file, line) for part in parts)

    def _text(self, node: ast.expr, module: _Module) -> str:
        match node:
            case ast.Constant(value=str(value)):
                return _FORMAT.sub(GAP, value)
            case ast.JoinedStr(values=values):
                return "".join(self._text(each, module) for each in values)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._text(left, module) + self._text(right, module)
            case ast.FormattedValue(value=ast.Name(id=name)) | ast.Name(id=name):
                return self._named(name, module, is_whole=isinstance(node, ast.Name))
        return GAP

    def _named(self, name: str, module: _Module, is_whole: bool) -> str:
        """Return the text that a name stands for, if there is only one."""
        if is_whole and len(found := self._locals.get(name, [])) == 1:
            return self._text(found[0], module)
        value = module.constants.get(name)
        return GAP if value is None else self._text(value, module)

    def _parts(self, message: ast.expr) -> list[str]:
        found: dict[str, None] = {}
        for node, module in self._reached(message, self._module, set()):
            text = " ".join(self._text(node, module).split())
            is_phrase = " " in text and len(_WORD.findall(text)) > 2
            if is_phrase and "did you mean '…'" not in text:
                found[text] = None
        return [p for p in found if not any(p in o and p != o for o in found)]

    def _reached(
        self, node: ast.AST, module: _Module, seen: set[int]
    ) -> Iterator[tuple[ast.expr, _Module]]:
        """Yield the texts below a node, also those of the names and calls in it."""
        if id(node) in seen or isinstance(node, ast.Raise | ast.Compare | ast.keyword):
            return
        seen.add(id(node))
        if isinstance(node, ast.Call) and _name(node.func) in _ABOUT_TEXT:
            return
        if isinstance(node, ast.JoinedStr | ast.Constant):
            yield node, module
        if isinstance(node, ast.Name | ast.Attribute):
            for where, target in self._targets(_name(node), module):
                yield from self._reached(target, where, seen)
        if isinstance(node, ast.FunctionDef):
            for each in _without_docstring(node):
                yield from self._reached(each, module, seen)
            return
        for child in ast.iter_child_nodes(node):
            if not (
                isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant)
            ):
                yield from self._reached(child, module, seen)

    def _targets(self, name: str, module: _Module) -> Iterator[tuple[_Module, ast.AST]]:
        if module is self._module:
            yield from ((module, each) for each in self._locals.get(name, []))
        if name in module.imports:
            file, name = module.imports[name]
            if not file.is_file() or file.stem == "redaction":
                return
            module = self._load(file)
        for table in (module.functions, module.constants):
            if name in table:
                yield module, table[name]

    def _load(self, path: Path) -> _Module:
        if path not in self._modules:
            self._modules[path] = _Module(path, self._root)
        return self._modules[path]


def sentences(folders: Iterable[Path], root: Path) -> list[Sentence]:
    """Return the sentences of all errors and warnings below folders.

    Args:
        folders: packages.
        root: the repository.
    """
    modules: dict[Path, _Module] = {}
    files = [file for folder in folders for file in sorted(folder.rglob("*.py"))]
    found: dict[str, Sentence] = {}
    for file in files:
        for each in _Reader(file, root, modules).sentences():
            found.setdefault(each.text, each)
    return list(found.values())


def page(found: Iterable[Sentence], notes: Mapping[str, Any]) -> str:
    """Return the page of all sentences.

    Args:
        found: the sentences.
        notes: ``themes`` (title: beginnings of paths) and ``causes`` (a list of ``words``
            of a sentence with its ``cause`` and ``cure``), of scripts/errors.yml; and
            ``others``, a list of sentences that no code of ours has.

    Raises:
        ValueError: a file belongs to no theme, or a cause to no sentence.
    """
    themes: dict[str, list[Sentence]] = {title: [] for title in notes["themes"]}
    for each in found:
        themes[_theme(each, notes["themes"])].append(each)
    lines, used = [_PAGE], set()
    for title, listed in themes.items():
        lines += [f"## {title}\n"]
        for each in sorted(listed, key=lambda each: _words(each.text)):
            lines += [f"- {_code(each.text)}"]
            lines += [f"  - {_code(part)}" for part in each.parts]
            for number, known in enumerate(notes["causes"]):
                if known["words"] in " ".join([each.text, *each.parts]):
                    used.add(number)
                    lines += [f"\n  {known['cause']} {known['cure']}".rstrip() + "\n"]
        lines += [""]
    lines += ["## No module named, duplicate key: errors of others\n"]
    for each in notes["others"]:
        lines += [f"- {_code(each['words'])}\n\n  {each['cause']} {each['cure']}\n"]
    if unused := [c["words"] for n, c in enumerate(notes["causes"]) if n not in used]:
        raise ValueError(f"scripts/errors.yml explains what no code says: {unused}")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _theme(sentence: Sentence, themes: Mapping[str, list[str]]) -> str:
    fits = [
        (len(start), title)
        for title, starts in themes.items()
        for start in starts
        if start in sentence.file
    ]
    if not fits:
        raise ValueError(f"{sentence.file} has errors, and no theme in errors.yml")
    return max(fits)[1]


def _words(text: str) -> str:
    return re.sub(r"[^a-z ]", "", text.lower()).strip()


def _code(text: str) -> str:
    text = re.sub(rf"{GAP}(?:[ ]?{GAP})+", GAP, " ".join(text.split()))
    ticks = "``" if "`" in text else "`"
    return f"{ticks}{text}{ticks}"


def _messages(node: ast.AST) -> Iterator[ast.expr]:
    """Yield what a call says to the user, if it is an error, a warning or a hook's line."""
    match node:
        case ast.Call(func=func, args=args):
            name = _name(func.body if isinstance(func, ast.IfExp) else func)
            is_error = name.endswith("Error") and name not in _NO_SENTENCE
            if is_error or name in ("ServerAway", "Refused", "NotYet", "say"):
                yield from args
            elif name in ("warning", "error") and args:
                yield args[0]
            elif any(getattr(each, "attr", "") == "warning" for each in args):
                yield from args  # a thread that warns later
        case ast.Assign(targets=[ast.Attribute(attr="msg")], value=value):
            yield value


def _scopes(tree: ast.Module) -> Iterator[ast.AST]:
    yield tree
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield node


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a scope, without those of the functions in it."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, ast.FunctionDef):
            yield child
            yield from _own_nodes(child)


def _assignments(scope: ast.AST) -> dict[str, list[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}
    for node in _own_nodes(scope):
        match node:
            case ast.Assign(targets=targets, value=value):
                pairs = [(target, value) for target in targets]
            case (
                ast.AugAssign(target=target, value=value)
                | ast.NamedExpr(target=target, value=value)
            ):
                pairs = [(target, value)]
            case ast.For(target=target, iter=value):
                pairs = [(target, value)]
            case _:
                continue
        for target, value in pairs:
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            values = value.elts if isinstance(value, ast.Tuple) else [value]
            if len(names) != len(values):
                values = [value] * len(names)
            for name, each in zip(names, values, strict=True):
                if isinstance(name, ast.Name):
                    found.setdefault(name.id, []).append(each)
    return found


def _without_docstring(function: ast.FunctionDef) -> list[ast.stmt]:
    return function.body[1:] if ast.get_docstring(function) else function.body


def _returned(function: ast.AST) -> list[ast.expr]:
    nodes = ast.walk(function)
    return [n.value for n in nodes if isinstance(n, ast.Return) and n.value]


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
