"""Check every ``conf/*/mlflow.yml`` against the project's own schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator, TypeChecker, ValidationError
from jsonschema.validators import extend
from tracking.redaction import without_login
from tracking.template.addresses import address_problem
from tracking.template.secret_scan import committed_secrets

from . import say
from .document import UnreadableError
from .projects import projects
from .read_yaml import load_yaml

_SCHEMA = Path("conf/mlflow.schema.json")

_TYPES = {
    "array": "a list",
    "boolean": "true, false",
    "integer": "a whole number",
    "null": "null",
    "object": "a mapping",
    "string": "text",
}
"""Types of JSON schema, in words."""


def main() -> int:
    """Report for each file which key is wrong, and which value looks like a secret."""
    sentences = [
        f"{file.as_posix()}: {sentence}"
        for root in projects()
        for file, sentence in _of_project(root)
    ]
    for sentence in sentences:
        say(sentence)
    return 1 if sentences else 0


def _of_project(root: Path) -> Iterator[tuple[Path, str]]:
    schema = root / _SCHEMA
    try:
        content = json.loads(schema.read_bytes())
    except (OSError, ValueError):
        state = "is no JSON" if schema.is_file() else "is missing"
        yield (
            schema,
            (
                f"{state}. 'git restore {schema.as_posix()}' brings back what is committed; "
                "else copy it from a fresh project of the same version."
            ),
        )
        return
    kinds = {"pattern": _pattern, "minimum": _minimum, "maximum": _maximum}
    checked = extend(Draft7Validator, kinds, type_checker=_lenient())(content)
    for pattern in ("*/**/mlflow*.yml", "*/**/mlflow*.yaml"):
        for file in sorted((root / "conf").glob(pattern)):
            for sentence in _sentences(file, checked, root):
                yield file, sentence


def _sentences(file: Path, validator: Any, root: Path) -> Iterator[str]:
    try:
        content = load_yaml(file.read_bytes().decode("utf-8", "surrogateescape"))
    except UnreadableError as error:
        yield f"cannot be read: {error}."
        return
    if content is None:
        return
    for violation in sorted(validator.iter_errors(content), key=str):
        yield from map(_sentence, _causes(violation))
    yield from _wrong_addresses(content, root)
    yield from committed_secrets(file, content)


def _wrong_addresses(content: Any, root: Path) -> Iterator[str]:
    server = content.get("server") if isinstance(content, Mapping) else None
    for key in ("mlflow_tracking_uri", "mlflow_registry_uri"):
        address = server.get(key) if isinstance(server, Mapping) else None
        if not isinstance(address, str) or "${" in address:
            continue
        if problem := address_problem(address, root):
            yield f"server.{key} is '{without_login(address)}', which {problem}"


def _causes(error: ValidationError) -> Iterator[ValidationError]:
    """Go down to the keys that are wrong, from a section that may also be null."""
    depth = len(error.absolute_path)
    below = [
        cause
        for cause in error.context or ()
        if len(cause.absolute_path) > depth or cause.validator == "additionalProperties"
    ]
    for cause in below:
        yield from _causes(cause)
    if not below:
        yield error


def _sentence(error: ValidationError) -> str:
    key = ".".join(map(str, error.absolute_path))
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        unknown = ", ".join(
            sorted(str(key) for key in error.instance if key not in known)
        )
        return f"{key or 'the file'} has no key {unknown}; use {', '.join(known)}."
    kinds = error.schema.get("anyOf") or [error.schema]
    return f"{key or 'the file'} should be {', '.join(map(_in_words, kinds))}."


def _in_words(kind: Mapping[str, Any]) -> str:
    if "pattern" in kind:
        return "or a ${...} resolver"
    if "enum" in kind:
        return ", ".join(map(str, kind["enum"]))
    words = _TYPES[kind.get("type", "object")]
    if {"minimum", "maximum"} <= set(kind):
        words += f" from {kind['minimum']} to {kind['maximum']}"
    return words


def _pattern(
    _: Any, pattern: str, value: object, __: Mapping[str, Any]
) -> Iterator[ValidationError]:
    """Match texts only: a number, which counts as a text, is no resolver."""
    if not (isinstance(value, str) and re.search(pattern, value)):
        yield ValidationError(f"{value!r} does not match {pattern}")


def _minimum(
    _: Any, least: float, value: object, __: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if (number := _number(value)) is not None and number < least:
        yield ValidationError(f"{value!r} is less than {least}")


def _maximum(
    _: Any, most: float, value: object, __: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if (number := _number(value)) is not None and number > most:
        yield ValidationError(f"{value!r} is more than {most}")


def _number(value: object) -> float | None:
    """Accept a text of digits as a number, as a run does."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, str):
        return int(value) if value.isdecimal() else None
    return value


def _lenient() -> TypeChecker:
    """Accept a number as a text, and a text of digits as a number, as a run does."""

    def text(_: TypeChecker, value: object) -> bool:
        return isinstance(value, str | int | float) and not isinstance(value, bool)

    def whole(checker: TypeChecker, value: object) -> bool:
        digits = isinstance(value, str) and value.isdecimal()
        return digits or Draft7Validator.TYPE_CHECKER.is_type(value, "integer")

    return Draft7Validator.TYPE_CHECKER.redefine_many(
        {"string": text, "integer": whole}
    )
