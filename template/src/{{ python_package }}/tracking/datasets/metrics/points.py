"""Convert a metric's history from what a node returns to MLflow's, and back."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from ...outbox.records import batch_records

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    from ...run.handle import RunHandle


_BATCH = 999  # with the form's tag, MLflow's limit for a request
T = TypeVar("T")


class Again(Generic[T]):
    """Makes its items anew each time it is read: a long history takes no memory.

    Args:
        make: returns the items.
    """

    def __init__(self, make: Callable[[], Iterator[T]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[T]:
        return self._make()


class Point(NamedTuple):
    """One point: its step, its value, its time in milliseconds since 1970."""

    step: int
    value: float
    timestamp: int | None = None


def number(value: Any) -> float:
    """Return a metric's value as a float.

    Raises:
        TypeError: it is not a number.
    """
    try:
        if not isinstance(value, (str, bytes)):
            return float(value)
    except (TypeError, ValueError):
        pass
    raise TypeError(f"A metric is a number; found {type(value).__name__}.")


_INT64 = 2**63


def point(data: Mapping[str, Any], step: int) -> Point:
    """Return the point of a mapping with ``value``, ``step`` and ``timestamp``.

    Args:
        data: the mapping, of which only ``value`` is required.
        step: the step if the mapping has none.

    Raises:
        TypeError: it has no value, or other keys.
    """
    if "value" not in data or not set(data) <= {"step", "value", "timestamp"}:
        raise TypeError(
            "A point of a metric is a mapping with 'value', 'step' and 'timestamp'; "
            f"found the keys {list(data)}."
        )
    value, timestamp = number(data["value"]), data.get("timestamp")
    when = None if timestamp is None else int(timestamp)
    return Point(int(data.get("step", step)), value, when)


def metrics(
    key: str, points: Iterable[Point], subject: Mapping[str, str]
) -> "Iterator[Metric]":
    """Yield the MLflow metrics of a history, which are about some model and data.

    Points without a time get the current time. If the step does not increase, a point
    gets a millisecond more than the one before: MLflow sorts a history by time and
    step.

    Raises:
        ValueError: MLflow refuses the key, a step or a time.
    """
    from mlflow.entities import Metric

    _check_key(key)
    now, last = int(time.time() * 1000), None
    for step, value, timestamp in points:
        if last is not None and step <= last:
            now += 1
        last = step
        when = now if timestamp is None else timestamp
        if not (-_INT64 <= step < _INT64 and 0 <= when < _INT64):
            raise ValueError(
                f"A step has 64 bits, and a time is milliseconds since 1970; found step "
                f"{step} and timestamp {when}."
            )
        yield Metric(key, value, when, step, **subject)


def _check_key(key: str) -> None:
    """Refuse a name now, while its dataset is known, and not later with a batch."""
    from mlflow.utils.validation import (
        MAX_ENTITY_KEY_LENGTH,
        bad_character_message,
        bad_path_message,
        path_not_unique,
        validate_param_and_metric_name,
    )

    if not validate_param_and_metric_name(key):
        problem = bad_character_message()
    elif path_not_unique(key):
        problem = bad_path_message(key)
    elif len(key) > MAX_ENTITY_KEY_LENGTH:
        problem = (
            f"It has {len(key)} characters, and MLflow takes {MAX_ENTITY_KEY_LENGTH}."
        )
    else:
        return
    raise ValueError(f"MLflow refuses the name '{key}' of a metric. {problem}")


def log(
    client: "MlflowClient",
    run_id: str,
    handle: "RunHandle | None",
    metrics: "Iterable[Metric]",
    tag: str,
    form: str | None,
    source: str | None,
) -> None:
    """Log metrics, and the form in which they were saved.

    They are read twice, so that a bad one is found before any is logged.

    Args:
        client: of the run's server.
        run_id: the run.
        handle: the open run; what is logged to it is sent in the background.
        metrics: the points, in order.
        tag: the dataset's key or prefix.
        form: the form; None if it follows from the points.
        source: the dataset's name in the catalog, for errors.
    """
    from mlflow.entities import RunTag

    for _ in metrics:
        pass
    tags = [RunTag(_tag(tag), form)] if form else []
    batches = _batches(metrics)
    for batch in chain([next(batches, [])], batches):
        if handle and handle.run.info.run_id == run_id:
            records = batch_records(run_id, batch, tags=tags, source=source or "")
            handle.outbox.write(records)
        else:
            client.log_batch(run_id, batch, tags=tags)
        tags = []


def _batches(metrics: "Iterable[Metric]") -> "Iterator[list[Metric]]":
    left = iter(metrics)
    while batch := list(islice(left, _BATCH)):
        yield batch


def history(client: "MlflowClient", run_id: str, key: str) -> list[Point]:
    """Return a metric's points, in the order in which they were saved."""
    found = client.get_metric_history(run_id, key)
    points = [Point(metric.step, metric.value, metric.timestamp) for metric in found]
    return sorted(points, key=lambda point: (point.timestamp, point.step))


def missing(client: "MlflowClient", run_id: str) -> LookupError:
    """Return the error for a metric that does not exist.

    Raises:
        MlflowException: the run does not exist; a request for the history hides that.
    """
    client.get_run(run_id)
    return LookupError("there is no such metric")


def form_of(tags: Mapping[str, str], tag: str) -> str | None:
    """Return the form in which a dataset of a run was saved; None if it is unknown."""
    return tags.get(_tag(tag))


def _tag(name: str) -> str:
    return f"kedro.metric_form.{name}"[:250]  # MLflow's limit, for a key of that length
