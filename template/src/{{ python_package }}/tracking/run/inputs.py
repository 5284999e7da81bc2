"""The data that a pipeline loads from outside, as datasets of the run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..outbox.journal import Record

_TAG = 500  # MLflow's limit for a tag of an input


@dataclass(frozen=True)
class Input:
    """One dataset of the catalog that a run loads and does not make.

    Attributes:
        name: its name in the catalog.
        digest: tells its content from others; at most 36 characters.
        source_type: ``local``, ``s3``, ``http`` and the like, or the catalog's type.
        source: where it is, without a login.
        tags: its type, its version, what its digest is made of, what it is for.
    """

    name: str
    digest: str
    source_type: str
    source: Mapping[str, str]
    tags: Mapping[str, str] = field(default_factory=dict)


def inputs_record(
    run_id: str, inputs: Mapping[str, Input], shapes: Mapping[str, Mapping[str, Any]]
) -> Record:
    """Return the record of a run's inputs.

    Args:
        run_id: the run.
        inputs: by name.
        shapes: ``columns`` and ``rows`` of those that were loaded, as far as known.
    """
    datasets = []
    for name, each in inputs.items():
        shape = shapes.get(name, {})
        dataset = {
            "name": name,
            "digest": each.digest,
            "source_type": each.source_type,
            "source": json.dumps(dict(each.source)),
        }
        if columns := shape.get("columns"):
            dataset["schema"] = json.dumps({"mlflow_colspec": columns})
        if profile := shape.get("profile"):
            dataset["profile"] = json.dumps(profile)
        tags = [(key, value[:_TAG]) for key, value in each.tags.items() if value]
        datasets.append({"dataset": dataset, "tags": tags})
    data = {"datasets": datasets, "models": [], "is_optional": True}
    return Record(run_id, "inputs", data)


def shape_of(data: Any) -> dict[str, Any]:
    """Return the columns and the size of a loaded object, if it knows them already.

    Tables of pandas, polars and Spark have columns with types; arrays have a shape.
    Nothing is computed: a Spark table has no number of rows without an action.
    """
    found: dict[str, Any] = {}
    if columns := _columns(data):
        found["columns"] = [
            {"name": str(name), "type": str(kind), "required": True}
            for name, kind in columns
        ]
    shape = getattr(data, "shape", None)
    if isinstance(shape, tuple) and all(isinstance(n, int) for n in shape) and shape:
        profile = {"num_rows": shape[0]}
        if len(shape) > 1:
            profile["num_elements"] = shape[0] * shape[1]
        found["profile"] = profile
    return found


def _columns(data: Any) -> list[tuple[Any, Any]]:
    if type(data).__name__ == "LazyFrame":
        return []  # it would have to resolve its plan
    kinds, names = getattr(data, "dtypes", None), getattr(data, "columns", None)
    if kinds is None or names is None:
        return []
    if isinstance(kinds, list) and kinds and isinstance(kinds[0], tuple):
        return list(kinds)  # Spark
    return list(zip(names, kinds, strict=False))
