"""``fleet.yml``: which projects there are, and how they are updated."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import yaml
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic import field_validator as check
from pydantic import model_validator as check_all

from .errors import FleetError

CHECKS = [
    "uvx pre-commit run --all-files",
    "uv run kedro mlflow check --template",
    "uv run pytest",
]
"""What runs in a project after its update, unless ``checks`` states something else."""


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Member(_Options):
    """One entry of a ring: a repository, or all repositories of a group.

    Attributes:
        repository: its address, as git takes it.
        group: a group or an organisation of the forge.
        folders: where the projects are in the repository; by default its root.
    """

    repository: str | None = None
    group: str | None = None
    folders: list[str] = Field(default=["."], min_length=1)

    @check_all(mode="before")
    @classmethod
    def _from_address(cls, value: Any) -> Any:
        return {"repository": value} if isinstance(value, str) else value

    @check_all(mode="after")
    def _one_of_both(self) -> Member:
        if (self.repository is None) == (self.group is None):
            raise ValueError("write one of 'repository' and 'group'")
        return self


class Forge(_Options):
    """Where requests are opened.

    Attributes:
        kind: whose programming interface it has. The token is read from the variable
            ``GITHUB_TOKEN`` or ``GITLAB_TOKEN``.
        url: its address; by default that of the public one.
    """

    kind: Literal["github", "gitlab"]
    url: str | None = None


class Fleet(_Options):
    """All of ``fleet.yml``.

    Attributes:
        template: the trusted address: a project of another one is named, not updated.
        trust: whether the template's migrations may run.
        minimum: the lowest version that ``enforce`` lets pass.
        rings: the projects, in the order in which they get a version.
        forge: where requests are opened; without it, branches are pushed.
        checks: commands that run in a project's folder after its update.
        timeout_minutes: how long one of them may take.
        tracking_uri: the tracking server that ``status`` asks for the last runs.
    """

    template: str
    trust: bool = False
    minimum: str | None = None
    rings: list[list[Member]] = Field(min_length=1)
    forge: Forge | None = None
    checks: list[str] = CHECKS
    timeout_minutes: float = Field(default=30, gt=0)
    tracking_uri: str | None = None

    @check("rings")
    @classmethod
    def _name_each_once(cls, rings: list[list[Member]]) -> list[list[Member]]:
        named = [m.repository or m.group for ring in rings for m in ring]
        if twice := sorted({str(name) for name in named if named.count(name) > 1}):
            raise ValueError(
                f"write each repository once, with all of its folders: {', '.join(twice)}"
            )
        return rings

    @check("minimum")
    @classmethod
    def _is_version(cls, value: str | None) -> str | None:
        try:
            return value and str(Version(value)) and value
        except InvalidVersion:
            raise ValueError("write a version, for example v0.3.0") from None


def load(file: Path) -> Fleet:
    """Read ``fleet.yml``.

    Raises:
        FleetError: the file is missing or wrong; the message names each key, what was
            found and what would be right.
    """
    try:
        content = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        raise FleetError(f"{file} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FleetError(f"{file} is no YAML: {error}") from error
    try:
        return Fleet.model_validate(content if content is not None else {})
    except ValidationError as error:
        found = (_sentence(file, detail) for detail in error.errors())
        raise FleetError("\n".join(found)) from error


def _sentence(file: Path, detail: Any) -> str:
    key = ".".join(map(str, detail["loc"])) or "the file"
    if detail["type"] == "extra_forbidden":
        names = {
            name for model in (Fleet, Member, Forge) for name in model.model_fields
        }
        near = get_close_matches(str(detail["loc"][-1]), names, n=1)
        hint = f": did you mean '{near[0]}'?" if near else "."
        return f"{file}: {key} is no key of fleet.yml{hint}"
    if detail["type"] == "missing":
        return f"{file}: {key} is missing."
    said = str(detail["msg"]).removeprefix("Value error, ")
    found = detail["input"]
    shown = "" if isinstance(found, list | dict) and found else f" is {found!r}"
    return f"{file}: {key}{shown}: {said[0].lower()}{said[1:]}."
