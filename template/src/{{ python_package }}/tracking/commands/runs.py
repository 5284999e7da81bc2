"""The latest runs of a project's experiment, for ``kedro mlflow runs``."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.framework.context import KedroContext

from ..config.loading import environment, mlflow_config
from ..errors import TrackingError, did_you_mean
from ..outbox.folder import OUTBOXES, about, folders
from ..outbox.journal import ends
from ..outbox.left import ended_without_status
from ..outbox.replay import runs_in
from ..outbox.sender import has_sent
from ..run.story import ERROR
from ..server.connection import Connection
from ..server.local_store import is_missing, open_local_store
from .context import experiment_of, load_context
from .filters import Filters
from .which_run import run_id_of, short

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_NO_FILTERS = Filters()
_PAGE = 100  # runs in a request, if some of them may be dropped
_PIPELINES = re.compile(r"--pipelines?[ =]('[^']+'|\S+)")

SYSTEM = "system/"  # with which MLflow's names of system metrics begin


@dataclass(frozen=True)
class LatestRun:
    """What a list shows of a run.

    Attributes:
        run_id: its id.
        name: its name.
        status: RUNNING, FINISHED, FAILED or KILLED.
        pipeline: the pipelines that ran, joined by commas; empty if it was not started
            by ``kedro run``.
        started: when it started, in UTC.
        ended: when it ended, in UTC; None while it is running.
        metrics: the last value of each of its metrics.
        params: its parameters.
        error: which node of a failed run has failed, and why; empty if nobody knows.
        url: its page; None if no server shows it.
        waits: whether something of it waits on this machine for the server.
        was_killed: whether its process on this machine has ended, and the status is that
            of before, until something settles it.
    """

    run_id: str
    name: str
    status: str
    pipeline: str
    started: datetime
    ended: datetime | None
    metrics: dict[str, float]
    url: str | None
    error: str = ""
    waits: bool = False
    was_killed: bool = False
    params: dict[str, str] = field(default_factory=dict)

    @property
    def short_id(self) -> str:
        """The beginning of its id, which other commands take."""
        return short(self.run_id)

    @property
    def is_under_way(self) -> bool:
        """Whether it is running, as far as this machine knows."""
        return self.status == "RUNNING" and not self.was_killed

    @property
    def seconds(self) -> float | None:
        """How long it took, in seconds; None while it is running."""
        return (self.ended - self.started).total_seconds() if self.ended else None

    def as_dict(self, metrics: Sequence[str]) -> dict[str, Any]:
        """Return the run for JSON, with times in ISO 8601, and only these metrics."""
        return {
            **asdict(self),
            "started": self.started.isoformat(timespec="milliseconds"),
            "ended": self.ended and self.ended.isoformat(timespec="milliseconds"),
            "seconds": self.seconds,
            "metrics": {
                name: value if isfinite(value) else None  # JSON has no NaN
                for name, value in self.metrics.items()
                if name in metrics
            },
        }


@dataclass(frozen=True)
class LatestRuns:
    """The latest runs of an experiment, newest first.

    Attributes:
        experiment: the experiment's name.
        experiment_id: its id; None if the experiment does not exist.
        tracking_uri: the store, without a password.
        runs: the runs.
        message: why there are no runs; empty if there are some.
        order: what they are sorted by, as ``Filters.order`` returns it.
    """

    experiment: str
    experiment_id: str | None
    tracking_uri: str
    runs: Sequence[LatestRun]
    message: str = ""
    order: tuple[str, str] = ("", "")

    def metrics(self, wanted: Sequence[str] = ()) -> list[str]:
        """Return the metrics to show: those wanted, or all, the most frequent first.

        That by which the runs are sorted comes before the others, and what MLflow measures
        of the machine last.

        Raises:
            TrackingError: no run has a wanted metric, or that of the order.
        """
        counts = Counter(name for run in self.runs for name in run.metrics)
        self._refuse_unknown("metric", wanted, counts)
        return list(wanted) or sorted(
            counts,
            key=lambda name: (
                ("metric", name) != self.order,
                name.startswith(SYSTEM),
                -counts[name],
                name,
            ),
        )

    def params(self, wanted: Sequence[str] = ()) -> list[str]:
        """Return the parameters to show: those wanted, or those that differ.

        Raises:
            TrackingError: no run has a wanted parameter, or that of the order.
        """
        counts = Counter(name for run in self.runs for name in run.params)
        self._refuse_unknown("param", wanted, counts)
        values = {
            name: {run.params[name] for run in self.runs if name in run.params}
            for name in counts
        }
        differ = [name for name in counts if len(values[name]) > 1]
        return list(wanted) or sorted(
            differ,
            key=lambda name: (("param", name) != self.order, -counts[name], name),
        )

    def as_dicts(self, metrics: Sequence[str]) -> list[dict[str, Any]]:
        """Return the runs for JSON, each with its experiment and its store."""
        store = {
            "experiment": self.experiment,
            "experiment_id": self.experiment_id,
            "tracking_uri": self.tracking_uri,
        }
        return [{**run.as_dict(metrics), **store} for run in self.runs]

    def _refuse_unknown(
        self, kind: str, wanted: Sequence[str], counts: Mapping[str, int]
    ) -> None:
        what = {"metric": "metric", "param": "parameter"}[kind]
        sorted_by = [self.order[1]] if self.order[0] == kind else []
        for name in (*wanted, *sorted_by):
            if self.runs and name not in counts:
                known = ", ".join(sorted(counts)) or "none at all"
                raise TrackingError(
                    f"None of these runs has the {what} '{name}'"
                    f"{did_you_mean(name, counts)}; they have: {known}. --limit looks "
                    "further back."
                )


def latest_runs(
    project_path: Path, env: str, limit: int, filters: Filters = _NO_FILTERS
) -> LatestRuns:
    """Fetch the latest runs of an environment: two requests, which create nothing.

    Raises:
        TrackingError: the configuration or the filter has an error, or the server does
            not answer or refuses the login.
    """
    with runs_of(project_path, env, limit, filters) as fetch:
        return fetch()


@contextmanager
def runs_of(
    project_path: Path, env: str, limit: int, filters: Filters = _NO_FILTERS
) -> Iterator[Callable[[], LatestRuns]]:
    """Connect to an environment; yield what fetches its latest runs, again and again.

    Raises:
        TrackingError: as in ``latest_runs``.
    """
    context = load_context(project_path, env)
    name = experiment_of(context)
    with Connection(mlflow_config(context).server, context) as connection:
        yield lambda: _fetched(context, connection, name, limit, filters)


def _fetched(
    context: KedroContext,
    connection: Connection,
    name: str,
    limit: int,
    filters: Filters,
) -> LatestRuns:
    here = {run.run_id: run for run in recorded_here(context, connection, name)}
    try:
        experiment_id, found, message = _search(
            context, connection, name, limit, filters
        )
        known = {run.run_id for run in found}
        only_here = [run for run in here.values() if run.run_id not in known]
    except TrackingError as error:  # also of a login that the server refuses
        if not here or filters.need_server:
            raise
        experiment_id, found, message = None, [], error.message
        only_here = list(here.values())
    if filters.need_server:
        only_here = []
    runs = [_completed(run, here.get(run.run_id)) for run in found] + only_here
    runs = [run for run in runs if filters.take(run.pipeline, run.status, run.started)]
    runs = _with_killed(runs, context)
    if not filters.order_by:
        runs.sort(key=lambda run: run.started, reverse=True)
    message = "" if runs and found else message
    uri = connection.safe_uri
    return LatestRuns(name, experiment_id, uri, runs[:limit], message, filters.order)


def recorded_here(
    context: KedroContext, connection: Connection, experiment: str
) -> list[LatestRun]:
    """Return the runs of an experiment of which something waits on this machine."""
    env = environment(context.config_loader)
    found: list[Run] = []
    for folder in folders(context.project_path / OUTBOXES):
        with suppress(FileNotFoundError):  # another process has just sent it
            whose = about(folder)
            is_wanted = (whose.environment, whose.experiment) == (env, experiment)
            if is_wanted and not has_sent(folder, ends(folder)):
                found += runs_in(folder)
    return [replace(_latest(r, connection), url=None, waits=True) for r in found]


def _completed(run: LatestRun, here: LatestRun | None) -> LatestRun:
    """Return a run of the server with what waits for it on this machine."""
    if here is None:
        return run
    metrics = {**run.metrics, **here.metrics}
    return replace(
        run,
        status=here.status,
        ended=here.ended,
        error=here.error,
        metrics=metrics,
        waits=True,
    )


def _with_killed(runs: list[LatestRun], context: KedroContext) -> list[LatestRun]:
    """Mark the runs that are running for their server, but not on this machine."""
    if not any(run.is_under_way for run in runs):
        return runs
    killed = set(ended_without_status(context.project_path / OUTBOXES))
    return [
        replace(run, was_killed=run.is_under_way and run.run_id in killed)
        for run in runs
    ]


def _search(
    context: KedroContext,
    connection: Connection,
    experiment: str,
    limit: int,
    filters: Filters,
) -> "tuple[str | None, Sequence[LatestRun], str]":
    """Return the experiment's id, its latest runs, and a message if there are none."""
    if is_missing(connection.uri):
        return None, (), f"No runs yet: the first one creates {connection.display_uri}."
    if connection.artifact_root:
        open_local_store(connection.uri, connection.artifact_root)
    from mlflow import MlflowClient

    title = f"the experiment '{experiment}'"
    with connection.translate_errors():
        client = MlflowClient()
        there = client.get_experiment_by_name(experiment)
        if there is None:
            return (
                None,
                (),
                f"No runs yet: {connection.display_uri} does not have {title}.",
            )
        if there.lifecycle_stage == "deleted":
            return None, (), f"No runs: {title} at {connection.display_uri} is deleted."
        if filters.parent is not None:
            parent = run_id_of(filters.parent, connection, context)
            filters = replace(filters, parent=parent)
        runs: list[LatestRun] = []
        for run in _pages(client, there.experiment_id, limit, filters):
            latest = _latest(run, connection)
            if filters.take(latest.pipeline, latest.status, latest.started):
                runs.append(latest)
            if len(runs) == limit:
                break
    where = f"in {title} at {connection.display_uri}"
    none = f"No run {where} is as asked for." if filters else f"No runs yet {where}."
    return there.experiment_id, runs, "" if runs else none


def _pages(
    client: "MlflowClient", experiment_id: str, limit: int, filters: Filters
) -> "Iterator[Run]":
    """Yield the runs that MLflow finds; most often all are in one request.

    Raises:
        TrackingError: MLflow does not understand ``--where`` or ``--order-by``.
    """
    from mlflow.exceptions import MlflowException

    token = None
    while True:
        try:
            page = client.search_runs(
                [experiment_id],
                filters.query,
                max_results=max(limit, _PAGE) if filters.pipeline else limit,
                order_by=[filters.order_by or "attributes.start_time DESC"],
                page_token=token,
            )
        except MlflowException as error:
            asked = {"--where": filters.where, "--order-by": filters.order_by}
            options = " and ".join(
                f'{o} "{words}"' for o, words in asked.items() if words
            )
            if not options or error.error_code != "INVALID_PARAMETER_VALUE":
                raise
            said = error.message.removeprefix("INVALID_PARAMETER_VALUE: ").rstrip(".")
            raise TrackingError(
                f"MLflow does not understand {options}: {said}. Write a filter as in the "
                'search box of its page, for example "metrics.accuracy > 0.9 and '
                'params.C = \'1.0\'", and an order as "metrics.accuracy DESC".'
            ) from None
        yield from page
        token = page.token
        if not token:
            return


def _latest(run: "Run", connection: Connection) -> LatestRun:
    info, command = run.info, run.data.tags.get("kedro_command", "")
    named = _PIPELINES.search(command)
    return LatestRun(
        run_id=info.run_id,
        name=info.run_name or info.run_id,
        status=info.status,
        pipeline=named[1].strip("'") if named else "__default__" if command else "",
        started=_time(info.start_time),
        ended=_time(info.end_time) if info.end_time else None,
        metrics=run.data.metrics,
        params=run.data.params,
        error=run.data.tags.get(ERROR, "") if info.status == "FAILED" else "",
        url=connection.url(info),
    )


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
