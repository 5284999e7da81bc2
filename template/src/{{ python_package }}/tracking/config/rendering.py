"""Write ``mlflow.yml`` and its JSON schema, from the options."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import BaseModel

from .options import KedroMlflowConfig


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of ``mlflow.yml``, where any value may be a ``${…}``."""
    schema = KedroMlflowConfig.model_json_schema()
    for section in (schema, *schema["$defs"].values()):
        for key, field in section["properties"].items():
            section["properties"][key] = _or_resolver(field)
    return {"$schema": "http://json-schema.org/draft-07/schema#", **schema}


def _or_resolver(field: dict[str, Any]) -> dict[str, Any]:
    about = ("description", "default", "examples", "title")
    texts = {k: field[k] for k in about if k in field}
    kind = {k: v for k, v in field.items() if k not in about}
    kinds = kind.get("anyOf", [kind])
    null = [] if {"type": "null"} in kinds else [{"type": "null"}]
    resolver = {"type": "string", "pattern": r"^\$\{.*\}$"}
    return {**texts, "anyOf": [*kinds, *null, resolver]}


def environment_yaml(env: str, tracking_uri: str | None = None) -> str:
    """Return the ``mlflow.yml`` of an environment, which sets only where its runs go.

    Without a tracking URI it sets nothing: a null would override the value of base.
    """
    head = (
        "# yaml-language-server: $schema=../mlflow.schema.json\n"
        f"# What differs from conf/base/mlflow.yml with: kedro run --env {env}\n\n"
    )
    if tracking_uri is None:
        return head + "# server:\n#   mlflow_tracking_uri: https://mlflow.example.com\n"
    return head + f"server:\n\n  mlflow_tracking_uri: {tracking_uri}\n"


def documented_yaml(values: Mapping[str, str] | None = None) -> str:
    """Return ``mlflow.yml`` with every key, its meaning in a comment and its default.

    Only the first paragraph of a description becomes a comment. The rest is for the
    schema and the reference, since a changed comment can conflict with a user's edit of
    its key in an update.

    Args:
        values: texts that replace the default of a key, by its dotted name.
    """
    head = (
        "# yaml-language-server: $schema=../mlflow.schema.json\n"
        "# Every key of mlflow.yml with its default. An environment's own mlflow.yml\n"
        "# holds only what differs there.\n"
    )
    return head + "".join(_lines(KedroMlflowConfig, (), values or {}))


def _lines(
    model: type[BaseModel], path: tuple[str, ...], values: Mapping[str, str]
) -> Iterator[str]:
    indent = "  " * len(path)
    for name, field in model.model_fields.items():
        key = (*path, name)
        yield "\n"
        about = (field.description or "").partition("\n\n")[0]
        for line in about.splitlines():
            yield f"{indent}# {line.strip()}\n"
        default = field.default
        if isinstance(default, BaseModel):
            yield f"{indent}{name}:\n"
            yield from _lines(type(default), key, values)
        else:
            text = yaml.safe_dump(default, default_flow_style=True).split("\n...")[0]
            text = text.strip().replace("\n", f"\n{indent}")  # a long list
            yield f"{indent}{name}: {values.get('.'.join(key), text)}\n"
