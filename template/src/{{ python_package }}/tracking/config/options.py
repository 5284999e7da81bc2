"""What ``mlflow.yml`` may say: its keys, their defaults, errors and JSON schema."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from kedro.config import AbstractConfigLoader, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import TrackingError, did_you_mean
from ..server.uris import without_password
from .resolvers import RESOLVERS, mlflow_resolvers

PATTERNS = ["mlflow*", "mlflow*/**", "**/mlflow*"]

_PROBLEMS = {  # by the beginning of pydantic's name for an error
    "bool": "should be true or false",
    "dict": "should be a mapping",
    "int": "should be a whole number",
    "list": "should be a list",
    "model": "should be a mapping",
    "string": "should be text",
}


class _Section(BaseModel):
    model_config = ConfigDict(
        coerce_numbers_to_str=True,  # a run may be called 2024
        extra="forbid",
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        validate_assignment=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_means_default(cls, value: Any) -> Any:
        if value is None:
            return {}
        if isinstance(value, Mapping):
            given = value.items()
            return {
                k: v for k, v in given if v is not None or k not in cls.model_fields
            }
        return value

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, without_password(value) if isinstance(value, str) else value


class RequestHeaderProviderOptions(_Section):
    """A class that puts headers, such as a token, on each request to the server."""

    type: str | None = Field(
        default=None,
        examples=["penguin_classifier.tracking.OAuth2ClientCredentialsProvider"],
    )
    """Import path of a subclass of MLflow's RequestHeaderProvider.

    Null: no headers."""

    pass_context: bool = False
    """Whether the class also gets the Kedro context, as kedro_context."""

    init_kwargs: dict[str, Any] = Field(
        default={}, examples=[{"issuer": "https://login.example.com"}]
    )
    """Keyword arguments for the class."""

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            hidden = isinstance(value, dict)  # a keyword argument may be a secret
            yield name, dict.fromkeys(value, "***") if hidden else value


class ServerOptions(_Section):
    """The MLflow server, and how to reach it."""

    mlflow_tracking_uri: str | None = Field(
        default=None, examples=["https://mlflow.example.com", "sqlite:///runs.db"]
    )
    """Where runs go: a server's address, a database, or a folder of this project.
    Null: the variable MLFLOW_TRACKING_URI, or else the local store in mlruns/."""

    mlflow_registry_uri: str | None = Field(default=None, examples=["databricks-uc"])
    """Where registered models go. Null: to the tracking server."""

    credentials: str | None = Field(default=None, examples=["mlflow"])
    """An entry of credentials.yml whose keys become environment variables during a run.

    Null: the variables that are set already."""

    request_header_provider: RequestHeaderProviderOptions = (
        RequestHeaderProviderOptions()
    )
    """A class that puts headers, such as a token, on each request to the server."""


class DisableTrackingOptions(_Section):
    """Runs that leave no trace in MLflow."""

    pipelines: list[str] = Field(
        default=[], examples=[["data_preparation", "reporting"]]
    )
    """Pipelines whose runs are not tracked.

    A run of several pipelines is tracked unless all of them are listed."""

    disable_autologging: bool = True
    """Whether MLflow's autologging is kept off during a run.

    False: it stays as your code has set it."""


class CreateExperimentOptions(_Section):
    """What a new experiment gets; an experiment that exists is left as it is."""

    artifact_location: str | None = Field(
        default=None, examples=["s3://penguins/artifacts"]
    )
    """Folder or URI for its artifacts. Null: the server decides."""

    tags: dict[str, str] | None = Field(default=None, examples=[{"team": "antarctica"}])
    """Its tags."""


class ExperimentOptions(_Section):
    """The experiment that the runs belong to."""

    name: str | None = Field(default=None, examples=["penguins"])
    """Its name. Null: the name of the Python package."""

    create: bool = True
    """Whether it is created when it does not exist.

    False: that is an error."""

    create_experiment_kwargs: CreateExperimentOptions = CreateExperimentOptions()
    """What a new experiment gets; an experiment that exists is left as it is."""

    restore_if_deleted: bool = True
    """Whether it is restored when somebody has deleted it.

    False: that is an error."""


class RunOptions(_Section):
    """The run."""

    id: str | None = Field(default=None, examples=["${runtime_params:run_id, null}"])
    """The id of a run to continue. Null: every kedro run is a new one."""

    name: str | None = Field(default=None, examples=["${km.random_name:}"])
    """Its name. Null: the names of the pipelines. A run with an id keeps its own."""

    nested: bool = True
    """Whether nodes may open runs below it.

    False: that is an error."""


class DictParamsOptions(_Section):
    """Parameters that are mappings."""

    flatten: bool = False
    """Whether each key becomes a parameter of its own.

    With classifier: {C: 1.0, max_iter: 200} that is classifier.C and classifier.max_iter."""

    recursive: bool = True
    """Whether that goes on in the mappings below."""

    sep: str = Field(default=".", examples=["_"])
    """What joins the keys."""


class ParamsOptions(_Section):
    """How Kedro's parameters become MLflow's."""

    dict_params: DictParamsOptions = DictParamsOptions()
    """Parameters that are mappings."""

    long_params_strategy: Literal["fail", "truncate", "tag"] = Field(
        default="fail", examples=["tag"]
    )
    """What becomes of a value that is too long for MLflow: an error (fail),
    its beginning (truncate), or a tag of the run (tag)."""

    redact: list[str] = Field(
        default=["*password*", "*token*", "*secret*", "*api_key*"],
        examples=[["*password*", "*pin*"]],
    )
    """Names, with wildcards, whose values are never shown to MLflow.

    A list of yours takes the place of this one."""


class TrackingOptions(_Section):
    """What is tracked, and where."""

    disable_tracking: DisableTrackingOptions = DisableTrackingOptions()
    """Runs that leave no trace in MLflow."""

    experiment: ExperimentOptions = ExperimentOptions()
    """The experiment that the runs belong to."""

    run: RunOptions = RunOptions()
    """The run."""

    params: ParamsOptions = ParamsOptions()
    """How Kedro's parameters become MLflow's."""


class UiOptions(_Section):
    """Where 'kedro mlflow ui' listens."""

    port: int | None = Field(default=None, ge=1, le=65535, examples=[5001])
    """Its port. Null: the first free one from 5000 upwards."""

    host: str | None = Field(default=None, examples=["127.0.0.1"])
    """Its host. Null: localhost."""


class KedroMlflowConfig(_Section):
    """The whole of ``mlflow.yml``, each key with its default."""

    server: ServerOptions = ServerOptions()
    """The MLflow server, and how to reach it."""

    tracking: TrackingOptions = TrackingOptions()
    """What is tracked, and where."""

    ui: UiOptions = UiOptions()
    """Where 'kedro mlflow ui' listens."""

    def __repr__(self) -> str:
        """Show each key with its value, without secrets, as ``mlflow.yml`` would."""
        return yaml.safe_dump(_shown_section(self), sort_keys=False)

    __str__ = __repr__

    def __rich_console__(self, *_: Any) -> Iterator[str]:  # which Kedro's notebooks ask
        yield repr(self)


def _shown_section(section: _Section) -> dict[str | None, Any]:
    return {
        name: _shown_section(value) if isinstance(value, _Section) else value
        for name, value in section.__repr_args__()
    }


def load_config(config_loader: AbstractConfigLoader) -> KedroMlflowConfig:
    """Read ``mlflow.yml`` as the config loader merges it; no file means all defaults.

    Raises:
        TrackingError: one sentence for each key that is wrong, all of them at once.
    """
    if hasattr(config_loader, "config_patterns"):
        config_loader.config_patterns.setdefault("mlflow", PATTERNS)
    try:
        with mlflow_resolvers():
            content = config_loader["mlflow"]
    except MissingConfigException:
        content = {}
    except yaml.YAMLError:
        raise TrackingError(_unreadable(config_loader)) from None
    except OmegaConfBaseException as error:
        raise TrackingError(_unresolved(error, config_loader)) from None
    try:
        return KedroMlflowConfig.model_validate(content)
    except ValidationError as invalid:
        problems = [_sentence(e, config_loader) for e in invalid.errors()]
    raise TrackingError("\n".join(problems))


def environment(config_loader: AbstractConfigLoader) -> str:
    """Give the Kedro environment, which Kedro calls None for the default."""
    return config_loader.env or getattr(config_loader, "default_run_env", "") or "base"


def where(key: str, config_loader: AbstractConfigLoader) -> str:
    """Name the file that sets a key, and the key, as errors begin.

    The environment's file wins over base's, as in the merge; a key that no file sets
    is simply of ``mlflow.yml``.
    """
    for name, file in mlflow_files(config_loader):
        if _sets(yaml.safe_load(file.read_text("utf-8")), key.split(".")):
            return f"{name}: {key}"
    return f"mlflow.yml: {key}"


def mlflow_files(config_loader: AbstractConfigLoader) -> Iterator[tuple[str, Path]]:
    """Yield the files of ``mlflow.yml`` with their names for people, the winner first."""
    source = Path(str(config_loader.conf_source))
    for env in (environment(config_loader), getattr(config_loader, "base_env", "")):
        for file in sorted((source / env).glob("**/mlflow*.y*ml")) if env else ():
            yield f"{source.name}/{file.relative_to(source).as_posix()}", file


def _unreadable(config_loader: AbstractConfigLoader) -> str:
    for name, file in mlflow_files(config_loader):
        try:
            OmegaConf.load(file)
        except yaml.MarkedYAMLError as error:
            line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
            return f"{name}{line} is no valid YAML: {error.problem}."
    return "mlflow.yml is no valid YAML."


def _unresolved(error: Any, config_loader: AbstractConfigLoader) -> str:
    found_at = where(str(error.full_key), config_loader)
    problem = str(error).splitlines()[0].rstrip(".")
    if bare := re.search(r"Interpolation key '([\w.]+)' not found", problem):
        hint = f". A resolver ends in a colon: ${{{bare[1]}:}}"
    elif unknown := re.search(r"interpolation type ([\w.]+)", problem):
        hint = did_you_mean(unknown[1], RESOLVERS)
    else:
        hint = "."
    return f"{found_at} cannot be resolved: {problem}{hint}"


def _sets(content: Any, path: list[str]) -> bool:
    for part in path:
        if not isinstance(content, Mapping) or part not in content:
            return False
        content = content[part]
    return True


def _sentence(error: Any, config_loader: AbstractConfigLoader) -> str:
    path = [str(part) for part in error["loc"]]
    found_at = where(".".join(path), config_loader)
    if error["type"] == "extra_forbidden":
        keys = list(_fields_at(path[:-1]))
        hint = did_you_mean(path[-1], keys) or f"; use {', '.join(keys)}"
        return f"{found_at} is not a key of mlflow.yml{hint}."
    message = error["msg"].replace("Input should", "should")
    problem = _PROBLEMS.get(error["type"].partition("_")[0], message)
    return f"{found_at} {problem}, found {_shown(error['input'])}."


def _shown(value: Any) -> str:
    return "a mapping" if isinstance(value, Mapping) else repr(value)


def _fields_at(path: list[str]) -> Mapping[str, Any]:
    model: Any = KedroMlflowConfig
    for part in path:
        model = model.model_fields[part].annotation
    return model.model_fields


def json_schema() -> dict[str, Any]:
    """Give the JSON schema of ``mlflow.yml``, in which any value may be a ``${…}``."""
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
    """Give the ``mlflow.yml`` of an environment, which says only where its runs go.

    Without a tracking URI it says nothing: a null there would hide what base says.
    """
    head = (
        "# yaml-language-server: $schema=../mlflow.schema.json\n"
        f"# What differs from conf/base/mlflow.yml with: kedro run --env {env}\n\n"
    )
    if tracking_uri is None:
        return head + "# server:\n#   mlflow_tracking_uri: https://mlflow.example.com\n"
    return head + f"server:\n\n  mlflow_tracking_uri: {tracking_uri}\n"


def documented_yaml() -> str:
    """Give ``mlflow.yml`` with every key, its meaning in a comment and its default.

    Only the first paragraph of a description is its comment. The rest is for the schema
    and the reference: a comment that changes meets edits of its key in an update.
    """
    head = (
        "# yaml-language-server: $schema=../mlflow.schema.json\n"
        "# Every key of mlflow.yml with its default. An environment's own mlflow.yml\n"
        "# holds only what differs there.\n"
    )
    return head + "".join(_lines(KedroMlflowConfig, ""))


def _lines(model: type[BaseModel], indent: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield "\n"
        about = (field.description or "").partition("\n\n")[0]
        for line in about.splitlines():
            yield f"{indent}# {line.strip()}\n"
        default = field.default
        if isinstance(default, BaseModel):
            yield f"{indent}{name}:\n"
            yield from _lines(type(default), indent + "  ")
        else:
            text = yaml.safe_dump(default, default_flow_style=True).split("\n...")[0]
            yield f"{indent}{name}: {text.strip()}\n"
