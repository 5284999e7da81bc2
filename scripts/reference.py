"""Generate the pages of docs/reference/ on mlflow.yml and on the questions."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from jinja2 import Template
from pydantic import BaseModel

_MLFLOW_YML = """\
<!-- Written by 'make generated' from tracking/config/options.py of the template. -->

# Keys of mlflow.yml

Every key, under the section that it stands in. `conf/base/mlflow.yml` of a project has
them all; an environment's file has only what differs. A key that is missing or null has
its default, and any value may be a resolver, such as `${oc.env:TEAM_MLFLOW}`.
[Set up tracking](../mlflow-yml.md) shows them in use.
"""

_ANSWERS = """\
<!-- Written by 'make generated' from copier.yml. -->

# Answers to copier

`copier copy` asks these questions, in this order. `--defaults` takes every default, and
`--data <question>=<answer>` answers one beforehand. The answers are kept in
`.copier-answers.yml`, and `copier update --data <question>=<answer>` changes one. No
answer is a secret.
"""

_TYPES = {
    "array": "a list of texts",
    "boolean": "`true` or `false`",
    "integer": "a whole number",
    "null": "`null`",
    "number": "a number",
    "object": "a mapping",
    "string": "text",
    "bool": "yes or no",
    "str": "text",
}
"""Words for the types of JSON schema, then for those of copier."""


def mlflow_yml(config: type[BaseModel]) -> str:
    """Return the page on ``mlflow.yml``, from its models."""
    return "\n".join([_MLFLOW_YML, *_section(config, ())])


def answers(questions: Mapping[str, Any]) -> str:
    """Return the page on the questions, from ``copier.yml``."""
    asked = {
        name: question
        for name, question in questions.items()
        if not name.startswith("_")
        and question.get("when") is not False
        and question.get("ask") is not False
    }
    lines = [_ANSWERS]
    for name, question in asked.items():
        lines += [f"## `{name}`\n", f"{question['help'].strip()}\n"]
        # A type that depends on the answer: text, or a mapping of a file.
        lines += [
            f"- Type: {_TYPES.get(question['type'], 'text, a list or a mapping')}"
        ]
        lines += [f"- Default: {_default(question['default'], asked)}"]
        if choices := question.get("choices"):
            lines += ["- Choices:", *(f"  - {choice}" for choice in _choices(choices))]
        if example := question.get("placeholder"):
            lines += [f"- Example: `{example}`"]
        if refusals := _sentences(question.get("validator", "")):
            lines += ["- Refused, in these words:", *(f"  - {r}" for r in refusals)]
        lines += [""]
    return "\n".join(lines)


def _section(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[str]:
    schema = model.model_json_schema()["properties"]
    sections = []
    for name, field in model.model_fields.items():
        if isinstance(field.default, BaseModel):
            sections.append((name, field))
            continue
        yield f"### `{'.'.join((*path, name))}`\n"
        yield f"{_text(field.description)}\n"
        yield f"- Type: {_type(schema[name])}"
        yield f"- Default: `{_inline(field.default)}`\n"
        for example in field.examples or [not field.default]:
            yield f"```yaml\n{_nested((*path, name), example)}```\n"
    for name, field in sections:
        yield f"## `{'.'.join((*path, name))}`\n"
        yield f"{_text(field.description)}\n"
        yield from _section(type(field.default), (*path, name))


def _type(schema: Mapping[str, Any]) -> str:
    if kinds := schema.get("anyOf"):
        return " or ".join(_type(kind) for kind in kinds)
    if choices := schema.get("enum"):
        return " or ".join(f"`{choice}`" for choice in choices)
    if "minimum" in schema:
        limits = f"from {schema['minimum']} to {schema['maximum']}"
        return f"{_TYPES[schema['type']]} {limits}"
    return _TYPES[schema["type"]]


def _text(description: str | None) -> str:
    return (description or "").replace("*", r"\*")


def _nested(path: tuple[str, ...], value: Any) -> str:
    for name in reversed(path):
        value = {name: value}
    return yaml.safe_dump(value, sort_keys=False)


def _inline(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True).split("\n...")[0].strip()


def _default(default: Any, asked: Mapping[str, Any]) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    if "folder_name" in default:
        return (
            "made from the name of the folder; `Penguin Classifier` if it has no letter"
        )
    if "{{" in default:
        sources = [f"`{name}`" for name in asked if name in default]
        if sources:
            return f"made from {' and '.join(sources)}"
        new = Template(default).render(existing_package="")
        return f"{_default(yaml.safe_load(new), asked)} for a new project"
    return f"`{default}`"


def _choices(choices: Mapping[str, str] | list[str]) -> list[str]:
    if isinstance(choices, list):
        return [f"`{choice}`" for choice in choices]
    return [f"`{value}`: {label}" for label, value in choices.items()]


def _sentences(validator: str) -> list[str]:
    """Return the messages of a validator, with an ellipsis for the answer."""
    text = re.sub(r"{%.*?%}", "\n", validator, flags=re.S)
    lines = re.sub(r"{{.*?}}", "…", text).splitlines()
    return [line.strip() for line in lines if line.strip()]
