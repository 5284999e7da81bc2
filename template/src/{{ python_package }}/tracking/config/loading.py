"""Read ``mlflow.yml``, and explain its errors."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from kedro.config import AbstractConfigLoader, MissingConfigException
from kedro.framework.context import KedroContext
from kedro.framework.project import pipelines
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException, UnsupportedInterpolationType
from pydantic import ValidationError

from ..errors import TrackingError, did_you_mean
from .options import KedroMlflowConfig
from .project import refuse_unknown_environment
from .resolvers import RESOLVERS, mlflow_resolvers

PATTERNS = ["mlflow*", "mlflow*/**", "**/mlflow*"]
RESUME = "KEDRO_MLFLOW_RESUME"
"""The variable with the run that 'kedro mlflow resume' continues."""

_FOR_MLFLOW = re.compile(
    r"mlflow_\w+|run_(id|name)|experiment(_id|_name)?|tracking_uri"
)
_IS_READ = (
    r"\$\{runtime_params:\s*%s\b|^['\"]?%s['\"]?\s*:"  # a resolver or a parameter
)

_PROBLEMS = {  # by the beginning of pydantic's name for an error
    "bool": "should be true or false",
    "dict": "should be a mapping",
    "int": "should be a whole number",
    "list": "should be a list",
    "model": "should be a mapping",
    "string": "should be text",
}


def load_config(config_loader: AbstractConfigLoader) -> KedroMlflowConfig:
    """Read ``mlflow.yml`` as the config loader merges it; no file means all defaults.

    Raises:
        TrackingError: the environment does not exist, the file cannot be parsed or
            resolved, or keys are wrong: one sentence for each, all at once.
    """
    if hasattr(config_loader, "config_patterns"):
        config_loader.config_patterns.setdefault("mlflow", PATTERNS)
    try:
        content = _read(config_loader)
    except MissingConfigException:
        conf_source = Path(str(config_loader.conf_source))
        refuse_unknown_environment(conf_source, environment(config_loader))
        content = {}
    except yaml.YAMLError:
        raise TrackingError(_unreadable(config_loader)) from None
    except OmegaConfBaseException as error:
        raise TrackingError(_unresolved(error, config_loader)) from None
    try:
        return _resumed(KedroMlflowConfig.model_validate(content))
    except ValidationError as invalid:
        problems = [_sentence(e, config_loader) for e in invalid.errors()]
    raise TrackingError("\n".join(problems))


def _resumed(config: KedroMlflowConfig) -> KedroMlflowConfig:
    """Return the configuration with the run that is resumed, if one is."""
    if not (run_id := os.environ.get(RESUME)):
        return config
    run = config.tracking.run.model_copy(update={"id": run_id, "key": None})
    tracking = config.tracking.model_copy(update={"run": run})
    return config.model_copy(update={"tracking": tracking})


def _read(config_loader: AbstractConfigLoader, tries: int = 20) -> Any:
    """Read the file; retry if another thread has unregistered a resolver meanwhile.

    Kedro unregisters it whenever a session in this process has read its credentials.
    """
    try:
        with mlflow_resolvers():
            return config_loader["mlflow"]
    except UnsupportedInterpolationType as error:
        if tries and "oc.env" in str(error):
            return _read(config_loader, tries - 1)
        raise


def mlflow_config(context: KedroContext) -> KedroMlflowConfig:
    """Return the configuration that the hook has put on the context."""
    config: KedroMlflowConfig = context.mlflow  # type: ignore[attr-defined]
    return config


def environment(config_loader: AbstractConfigLoader) -> str:
    """Return the Kedro environment; the default one is None in Kedro."""
    return config_loader.env or getattr(config_loader, "default_run_env", "") or "base"


def key_location(key: str, config_loader: AbstractConfigLoader) -> str:
    """Name the file that sets a key, and the key, for the beginning of an error.

    The environment's file has precedence over base's, as in the merge. For a key that
    no file sets, the file is just ``mlflow.yml``.
    """
    for name, file in mlflow_files(config_loader):
        if _sets(yaml.safe_load(file.read_text("utf-8")), key.split(".")):
            return f"{name}: {key}"
    return f"mlflow.yml: {key}"


def mlflow_files(config_loader: AbstractConfigLoader) -> Iterator[tuple[str, Path]]:
    """Yield the files of ``mlflow.yml`` and their names for messages, by precedence."""
    source = Path(str(config_loader.conf_source))
    for env in (environment(config_loader), getattr(config_loader, "base_env", "")):
        for file in sorted((source / env).glob("**/mlflow*.y*ml")) if env else ():
            yield f"{source.name}/{file.relative_to(source).as_posix()}", file


def unread_params(context: KedroContext) -> list[str]:
    """Return ``--params`` that are meant for MLflow, but that nothing reads.

    Only names that are usual for settings of MLflow count, such as ``run_id``. A
    parameter is read if a file of the configuration resolves
    ``${runtime_params:NAME}``, if ``parameters.yml`` has it, or if a node takes it or
    takes all parameters.
    """
    loader = context.config_loader
    conf_source = Path(str(loader.conf_source))
    wanted = [
        name for name in loader.runtime_params or () if _FOR_MLFLOW.fullmatch(name)
    ]
    if not wanted or not conf_source.is_dir():
        return []
    inputs = {name for pipeline in pipelines.values() for name in pipeline.inputs()}
    if "parameters" in inputs:
        return []
    texts = []
    for env in {environment(loader), getattr(loader, "base_env", "") or "base"}:
        for file in sorted((conf_source / env).glob("**/*")):
            if file.suffix in (".yml", ".yaml", ".json"):
                texts.append(file.read_text("utf-8"))
    return [
        name
        for name in wanted
        if f"params:{name}" not in inputs
        and not any(re.search(_IS_READ % (name, name), text, re.M) for text in texts)
    ]


def _unreadable(config_loader: AbstractConfigLoader) -> str:
    for name, file in mlflow_files(config_loader):
        try:
            OmegaConf.load(file)
        except yaml.MarkedYAMLError as error:
            line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
            return f"{name}{line} is no valid YAML: {error.problem}."
    return "mlflow.yml is no valid YAML."


def _unresolved(error: Any, config_loader: AbstractConfigLoader) -> str:
    found_at = key_location(str(error.full_key), config_loader)
    problem = str(error).splitlines()[0].rstrip(".")
    if bare := re.search(r"Interpolation key '([\w.]+)' not found", problem):
        hint = ". A resolver ends in a colon: ${" + bare[1] + ":}"
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
    found_at = key_location(".".join(path), config_loader)
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
    fields: Mapping[str, Any] = model.model_fields
    return fields
