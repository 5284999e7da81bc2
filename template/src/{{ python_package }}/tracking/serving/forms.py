"""What MLflow carries as a table, in the form that the first nodes take."""

from collections.abc import Callable
from importlib import import_module
from math import isnan
from typing import Any


def _json(value: Any) -> Any:
    """Return a value as JSON has it.

    A table has NaN where that has null, or nothing, and strings of NumPy with pandas 2.
    """
    if isinstance(value, str):
        return str(value)
    return None if isinstance(value, float) and isnan(value) else value


def _records(table: Any) -> list[dict[Any, Any]]:
    rows = table.to_dict("records")
    return [{name: _json(value) for name, value in row.items()} for row in rows]


_FROM_TABLE: dict[str, Callable[[Any], Any]] = {
    "list": lambda table: (
        [_json(value) for value in table[0].tolist()]
        if list(table.columns) == [0]
        else _records(table)
    ),
    "dict": lambda table: _records(table)[0],
    "ndarray": lambda table: table.to_numpy(),
    "str": lambda table: _json(table.iloc[0, 0]),
    "polars": lambda table: import_module("polars").from_pandas(table),
}


def form_of(data: Any) -> str:
    """Return the form of a pipeline's input, by the name of its type or library."""
    library = type(data).__module__.partition(".")[0]
    return "polars" if library == "polars" else type(data).__name__


def as_form(form: str, data: Any) -> Any:
    """Return the data of a request in the form that the pipeline was trained with.

    MLflow makes a table of lists, arrays and flat mappings when it compares them with the
    signature.
    """
    is_other = type(data).__name__ == "DataFrame" and form_of(data) != form
    return _FROM_TABLE[form](data) if is_other and form in _FROM_TABLE else data


def for_mlflow(data: Any) -> Any:
    """Return data in a form that MLflow carries."""
    return data.to_pandas() if form_of(data) == "polars" else data
