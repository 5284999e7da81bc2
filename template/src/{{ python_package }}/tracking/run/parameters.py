"""From Kedro's parameters to MLflow's: flatten, sanitise, over-long values."""

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from fnmatch import fnmatch
from typing import Any

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from ..config.options import DictParamsOptions, ParamsOptions
from ..errors import TrackingError
from ..terminal.log_filters import without

REDACTED = "[redacted]"

_REFUSED = re.compile(r"[^\w\-. /]", re.ASCII)
_logger = logging.getLogger(__name__)


@dataclass
class Params:
    """What a run logs of its parameters: all of it text, ready for MLflow."""

    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    """Texts over the tag limit, by artifact path."""


def pipeline_params(
    pipeline: Pipeline, catalog: CatalogProtocol, options: ParamsOptions
) -> Params:
    """Give the parameters that the nodes of a pipeline use, each of them once.

    Args:
        pipeline: the pipeline that is about to run.
        catalog: its catalog, which holds the values.
        options: ``tracking.params`` of ``mlflow.yml``.

    Raises:
        TrackingError: two parameters get one name, or a value is too long and
            ``long_params_strategy`` is ``fail``.
    """
    named: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for dataset in sorted(pipeline.inputs()):
        if dataset == "parameters" or dataset.startswith("params:"):
            name = dataset.removeprefix("params:")
            with without("kedro.io.data_catalog", "Loading data from"):
                value = _plain(catalog.load(dataset))  # a node loads it once more
            for source, key, item in _flat(name, value, options.dict_params):
                _add(named, sources, key, item, source)
    return _fitted({k: _text(k, v, options.redact) for k, v in named.items()}, options)


def redacted(name: str, patterns: Iterable[str]) -> bool:
    """Whether a parameter's name looks like a secret's, in any case and at any depth."""
    return any(fnmatch(name.lower(), pattern.lower()) for pattern in patterns)


def _plain(value: Any) -> Any:
    """Turn typed parameters (pydantic models, dataclasses) into mappings."""
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value


def _flat(
    name: str, value: Any, options: DictParamsOptions, depth: int = 0
) -> Iterable[tuple[str, str, Any]]:
    """Yield (where it stands, name for MLflow, value), one for each parameter."""
    deeper = options.flatten and (depth == 0 or options.recursive)
    if isinstance(value, Mapping) and value and deeper:
        for key, item in value.items():
            for source, flat_name, leaf in _flat(str(key), item, options, depth + 1):
                yield f"{name} > {source}", f"{name}{options.sep}{flat_name}", leaf
    else:
        yield name, name, value


def _add(
    named: dict[str, Any], sources: dict[str, str], key: str, item: Any, source: str
) -> None:
    name = _REFUSED.sub("_", key)
    if name != key:
        _logger.warning("MLflow refuses the name '%s'; it gets '%s'.", key, name)
    if name in named and named[name] != item:
        raise TrackingError(
            f"The parameters '{sources[name]}' and '{source}' would both be logged as "
            f"'{name}'. Rename one, or set tracking.params.dict_params.sep in mlflow.yml."
        )
    named[name], sources[name] = item, source


def _text(name: str, value: Any, patterns: list[str]) -> str:
    return (
        REDACTED if redacted(name, patterns) else str(_without_secrets(value, patterns))
    )


def _without_secrets(value: Any, patterns: list[str]) -> Any:
    if isinstance(value, Mapping):
        return {
            k: REDACTED if redacted(str(k), patterns) else _without_secrets(v, patterns)
            for k, v in value.items()
        }
    if isinstance(value, list | tuple):
        return [_without_secrets(item, patterns) for item in value]
    return value


def _fitted(texts: dict[str, str], options: ParamsOptions) -> Params:
    from mlflow.utils.validation import (
        MAX_PARAM_VAL_LENGTH,
        MAX_TAG_VAL_LENGTH,
    )

    result = Params()
    for name, text in texts.items():
        if len(text) <= MAX_PARAM_VAL_LENGTH:
            result.params[name] = text
        elif options.long_params_strategy == "truncate":
            _logger.warning(
                "The parameter '%s' has %d characters; MLflow gets the first %d.",
                name, len(text), MAX_PARAM_VAL_LENGTH,
            )  # fmt: skip
            result.params[name] = text[:MAX_PARAM_VAL_LENGTH]
        elif options.long_params_strategy == "tag":
            result.tags[name] = text[:MAX_TAG_VAL_LENGTH]
            if len(text) > MAX_TAG_VAL_LENGTH:
                result.files[f"params/{name}.txt"] = text
        else:
            raise TrackingError(
                f"The parameter '{name}' has {len(text)} characters and MLflow takes "
                f"{MAX_PARAM_VAL_LENGTH}. Set tracking.params.long_params_strategy in "
                "mlflow.yml to 'truncate' or 'tag', or flatten it with dict_params."
            )
    return result
