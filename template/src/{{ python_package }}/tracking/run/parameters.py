"""Convert Kedro's parameters to MLflow's: flatten, fix names, shorten long values."""

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from ..config.options import DictParamsOptions, ParamsOptions
from ..errors import TrackingError
from ..redaction import HIDDEN, hide, is_secret_name, without_secrets
from ..terminal.log_filters import without

_REFUSED = re.compile(r"[^\w\-. /]", re.ASCII)
_logger = logging.getLogger(__name__)


@dataclass
class Params:
    """The parameters of a run as text, ready for MLflow."""

    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    """Texts over the tag limit, by artifact path."""


def pipeline_params(
    pipeline: Pipeline, catalog: "CatalogProtocol[Any, Any]", options: ParamsOptions
) -> Params:
    """Return the parameters that the nodes of a pipeline use, each of them once.

    Args:
        pipeline: the pipeline that is about to run.
        catalog: its catalog, which holds the values.
        options: ``tracking.params`` of ``mlflow.yml``.

    Raises:
        TrackingError: two parameters would have one name, MLflow refuses a name, or a
            value is too long and ``long_params_strategy`` is ``fail``.
    """
    values: dict[str, Any] = {}
    for dataset in sorted(pipeline.inputs()):
        if dataset == "parameters" or dataset.startswith("params:"):
            name = dataset.removeprefix("params:")
            with without("kedro.io.data_catalog", "Loading data from"):
                values[name] = catalog.load(dataset)  # a node loads it once more
    return as_params(values, options)


def as_params(values: Mapping[str, Any], options: ParamsOptions) -> Params:
    """Return values as MLflow's parameters.

    Args:
        values: by name.
        options: ``tracking.params`` of ``mlflow.yml``.

    Raises:
        TrackingError: as in ``pipeline_params``.
    """
    named: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, each in values.items():
        value = hide(name, _plain(each), options.redact)
        for source, key, item in _flat(name, value, options.dict_params):
            _add(named, sources, key, item, source)
    hidden = [name for name in named if is_secret_name(name, options.redact)]
    return _fitted({**named, **dict.fromkeys(hidden, HIDDEN)}, options)


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
    """Yield (name for errors, name for MLflow, value), one for each parameter."""
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


def _fitted(named: dict[str, Any], options: ParamsOptions) -> Params:
    from mlflow.utils.validation import (
        MAX_PARAM_VAL_LENGTH,
        MAX_TAG_VAL_LENGTH,
    )

    result = Params()
    for name, value in named.items():
        _refuse_name(name)
        text = without_secrets(str(value))
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


def _refuse_name(name: str) -> None:
    """Refuse a name before the run starts: MLflow would refuse the whole batch."""
    from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH, path_not_unique

    if len(name) > MAX_ENTITY_KEY_LENGTH:
        raise TrackingError(
            f"The name of the parameter '{name[:60]}…' has {len(name)} characters and "
            f"MLflow takes {MAX_ENTITY_KEY_LENGTH}. Shorten it, or set "
            "tracking.params.dict_params.flatten or recursive in mlflow.yml to false."
        )
    if path_not_unique(name):
        raise TrackingError(
            f"MLflow refuses the name of the parameter '{name}', since it reads names as "
            "paths: one may not begin or end with '/', nor hold '//', './' or '../'. "
            "Rename the parameter."
        )
