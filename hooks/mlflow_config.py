"""Check every ``conf/*/mlflow.yml`` against the project's own schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator, TypeChecker, ValidationError
from jsonschema.validators import extend
from tracking.redaction import without_login
from tracking.template.addresses import address_problem
from tracking.template.secret_scan import committed_secrets

from . import say

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
    """Say for each file which key is wrong, and which value looks like a secret."""
    if not _SCHEMA.is_file():
        say(f"{_SCHEMA.as_posix()} is missing; 'copier recopy' brings it back.")
        return 1
    schema = json.loads(_SCHEMA.read_text("utf-8"))
    validator = extend(Draft7Validator, type_checker=_lenient())(schema)
    sentences = [
        f"{file.as_posix()}: {sentence}"
        for pattern in ("*/**/mlflow*.yml", "*/**/mlflow*.yaml")
        for file in sorted(Path("conf").glob(pattern))
        for sentence in _sentences(file, validator)
    ]
    for sentence in sentences:
        say(sentence)
    return 1 if sentences else 0


def _sentences(file: Path, validator: Any) -> Iterator[str]:
    try:
        content = yaml.safe_load(file.read_text("utf-8"))
    except yaml.YAMLError as error:
        yield f"is no YAML: {' '.join(str(error).split())}"
        return
    if content is None:
        return
    for violation in sorted(validator.iter_errors(content), key=str):
        yield from map(_sentence, _causes(violation))
    yield from _wrong_addresses(content)
    yield from committed_secrets(file, content)


def _wrong_addresses(content: Any) -> Iterator[str]:
    server = content.get("server") if isinstance(content, Mapping) else None
    for key in ("mlflow_tracking_uri", "mlflow_registry_uri"):
        address = server.get(key) if isinstance(server, Mapping) else None
        if not isinstance(address, str) or "${" in address:
            continue
        if problem := address_problem(address, Path()):
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
        unknown = ", ".join(sorted(set(error.instance) - set(known)))
        return f"{key or 'the file'} has no key {unknown}; use {', '.join(known)}."
    kinds = error.schema.get("anyOf") or [error.schema]
    return f"{key or 'the file'} should be {', '.join(map(_in_words, kinds))}."


def _in_words(kind: Mapping[str, Any]) -> str:
    if "pattern" in kind:
        return "or a ${...} resolver"
    if "enum" in kind:
        return ", ".join(kind["enum"])
    return _TYPES[kind.get("type", "object")]


def _lenient() -> TypeChecker:
    """Take a number for a text, and a text of digits for a number, as a run does."""

    def text(_: TypeChecker, value: object) -> bool:
        return isinstance(value, str | int | float) and not isinstance(value, bool)

    def whole(checker: TypeChecker, value: object) -> bool:
        digits = isinstance(value, str) and value.isdecimal()
        return digits or Draft7Validator.TYPE_CHECKER.is_type(value, "integer")

    return Draft7Validator.TYPE_CHECKER.redefine_many(
        {"string": text, "integer": whole}
    )
