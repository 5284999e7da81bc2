"""Which nodes of a run ran, and which models they have logged, as its store knows it."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..server.connection import Connection

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run, Span


@dataclass
class Ran:
    """The last time that a node ran.

    Attributes:
        is_done: whether it has finished.
        end: when it ended, in nanoseconds since 1970.
        models: that were logged or registered while it ran, at any time.
    """

    is_done: bool
    end: int
    models: list[str] = field(default_factory=list)


def nodes_of(run: "Run", connection: Connection) -> dict[str, Ran]:
    """Return the nodes of a run by name, from its timelines; empty if it has none."""
    from mlflow import MlflowClient

    client = MlflowClient(connection.uri)
    spans = sorted(_spans(client, run), key=lambda span: span.start_time_ns)
    found: dict[str, Ran] = {}
    for span in spans:
        is_done = span.status.status_code.value.endswith("OK")
        found[span.name] = Ran(is_done, span.end_time_ns or span.start_time_ns)
    for name, moment in _models(client, run):
        at = moment * 1_000_000
        begun = [span for span in spans if span.start_time_ns <= at]
        running = [span for span in begun if at <= (span.end_time_ns or at)]
        for span in running or begun[-1:]:  # between two nodes: of the one before
            if name not in found[span.name].models:
                found[span.name].models.append(name)
    return found


def _spans(client: "MlflowClient", run: "Run") -> "Iterator[Span]":
    token, place = None, [run.info.experiment_id]
    while True:
        page = client.search_traces(
            locations=place, run_id=run.info.run_id, page_token=token
        )
        for trace in page:
            yield from (span for span in trace.data.spans if span.span_type == "TASK")
        token = page.token
        if not token:
            return


def _models(client: "MlflowClient", run: "Run") -> Iterator[tuple[str, int]]:
    """Yield the models of a run and when they were made, in milliseconds since 1970."""
    from mlflow.exceptions import MlflowException

    run_id = run.info.run_id
    with suppress(MlflowException):  # a server of MLflow 2 has none
        place, mine = [run.info.experiment_id], f"source_run_id = '{run_id}'"
        for model in client.search_logged_models(place, mine):
            yield model.name, model.creation_timestamp
    with suppress(MlflowException):  # nobody may look at the registry
        for version in client.search_model_versions(f"run_id = '{run_id}'"):
            yield (
                f"{version.name}, version {version.version}",
                version.creation_timestamp,
            )
