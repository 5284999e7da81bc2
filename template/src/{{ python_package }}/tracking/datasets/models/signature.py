"""The signature and input example of a model, from what its training node took."""

import warnings
from collections.abc import Iterable
from typing import Any

from ...redaction import SECRET_NAMES, is_secret_name, without_secrets

_FLAVORS = ("mlflow.sklearn", "mlflow.xgboost", "mlflow.lightgbm", "mlflow.catboost")
"""Flavours whose ``predict`` on a few rows is quick and has no other effect."""

_ROWS = 5
_MOST = 100_000  # bytes of an example


def guessed(
    flavor: str, model: Any, taken: Iterable[Any], with_example: bool
) -> dict[str, Any]:
    """Return ``signature`` and ``input_example`` for ``log_model``, as far as they are clear.

    The model predicts from the first rows of what its node took. A wrong guess raises
    nothing: it is empty.

    Args:
        flavor: module of the flavour.
        model: the model.
        taken: what its node took, in order.
        with_example: whether rows may be stored with the model.
    """
    if flavor not in _FLAVORS or not hasattr(model, "predict"):
        return {}
    from mlflow.models import infer_signature

    for data in taken:
        try:
            rows = _rows(data, model)
            if rows is None:
                continue
            with warnings.catch_warnings():  # of whole numbers, which may be missing
                warnings.simplefilter("ignore")
                found = {"signature": infer_signature(rows, model.predict(rows))}
        except Exception:  # noqa: S112  # these data are not what it predicts from
            continue
        if with_example and _is_harmless(rows):
            found["input_example"] = rows
        return found
    return {}


def _rows(data: Any, model: Any) -> Any:
    """Return the first rows of a table that the model can take; None for others."""
    columns = getattr(data, "columns", None)
    shape: tuple[int, ...] = getattr(data, "shape", ())
    if len(shape) != 2:
        return None
    names = getattr(model, "feature_names_in_", None)
    if columns is None:
        is_other = getattr(model, "n_features_in_", shape[1]) != shape[1]
        return None if is_other or names is not None else data[:_ROWS]
    if names is None:
        return data.head(_ROWS)
    names = [str(name) for name in names]
    return data.head(_ROWS)[names] if set(names) <= {str(c) for c in columns} else None


def _is_harmless(rows: Any) -> bool:
    """Whether rows are small, and nothing in them looks like a secret."""
    columns = [str(column) for column in getattr(rows, "columns", ())]
    text = rows.to_csv() if hasattr(rows, "to_csv") else str(rows)
    return (
        len(text) <= _MOST
        and without_secrets(text) == text
        and not any(is_secret_name(column, SECRET_NAMES) for column in columns)
    )
