"""Send records to MLflow's store: few requests, and a bad record stops no other."""

import logging
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from ..server.availability import tried_once
from ..server.http_errors import is_hopeless, is_refusal, problem
from .folder import OPENING, RUN_KEY, is_local, server_id, set_server_id
from .journal import Record
from .models import DELIVERIES as OF_MODELS
from .repeats import Repeats
from .traces import deliver_trace

if TYPE_CHECKING:
    from mlflow.entities import Run

_logger = logging.getLogger(__name__)
_UPLOADS = 8  # at once; urllib3 keeps ten connections to a server
BATCH = ("metric", "param", "tag")
"""Kinds of records that share a request."""

_LOCAL_ID = re.compile(r"(m-)?local-[0-9a-f]{32}")
_threads = threading.local()

DELIVERIES: "dict[str, Callable[[Delivery, Record], None]]" = {
    **OF_MODELS,
    "trace": deliver_trace,
}
"""What sends the records of each kind."""


class Refused(NamedTuple):
    """A record that the server will not have, why, and who says so."""

    record: Record
    reason: str
    verdict: str = "The server has refused"


class NotYet(Exception):
    """The server does not know the run yet."""


class Delivery:
    """Sends records of an outbox to its server.

    Sending a record twice does no harm: MLflow keeps one of equal metrics, and finds a
    run by the id that it had here.

    Args:
        tracking_uri: the server.
        folder: the outbox.
        experiment_id: finds or creates an experiment by its name.

    Attributes:
        repeats: what another attempt has sent; None except for tasks of a workflow.
    """

    repeats: Repeats | None = None

    def __init__(
        self, tracking_uri: str, folder: Path, experiment_id: Callable[[str], str]
    ) -> None:
        self.uri, self.folder = tracking_uri, folder
        self._experiment_id: Callable[[str], str] | None = experiment_id
        self._repositories: dict[str, Any] = {}
        self._locations: dict[str, str] = {}
        self._uploaded: set[str] = set()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"uri": self.uri, "folder": self.folder, "repeats": self.repeats}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _experiment_id=None)
        self._repositories, self._locations = {}, {}
        self._uploaded, self._lock = set(), threading.Lock()

    def send(self, records: Sequence[Record]) -> list[Refused]:
        """Send records and files in order, while somebody waits.

        Returns:
            What the server refuses.

        Raises:
            Exception: the server is away.
        """
        refused: list[Refused] = []
        for is_file, group in groupby(records, lambda r: r.kind == "file"):
            refused += (self.upload if is_file else self.log)(list(group))
        return refused

    # --- Records --------------------------------------------------------------

    def log(self, records: list[Record]) -> list[Refused]:
        """Send records in order.

        Returns:
            The records that the server refuses.

        Raises:
            Exception: the server is away; some records may have arrived.
        """
        with delivering():
            try:
                return self._log(records)
            except NotYet as error:  # the parent of a run, which another outbox holds
                raise ConnectionError(str(error)) from error

    def _log(self, records: list[Record]) -> list[Refused]:
        refused: list[Refused] = []
        for (run_id, is_batch), group in groupby(
            records, lambda record: (record.run_id, record.kind in BATCH)
        ):
            part = list(group)
            if is_batch:
                known_id = self.known(run_id)
                for batch in _batches(self._without_repeats(known_id, part)):
                    refused += self._log_batch(known_id, batch)
            else:
                for record in part:
                    refused += self._log_one(record)
        return refused

    def _without_repeats(self, run_id: str, batch: list[Record]) -> list[Record]:
        if self.repeats is None:
            return batch
        try:
            return self.repeats.without(run_id, batch, self.call)
        except Exception as error:
            if not is_refusal(error):
                raise
            return batch  # which the server refuses, too

    def _log_batch(
        self, run_id: str, batch: list[Record], is_suspect: bool = False
    ) -> list[Refused]:
        """Log a batch; if it is refused, log its halves, down to single records."""
        try:
            self.call("log_batch", run_id, *self._entities(batch))
        except Exception as error:
            if not is_refusal(error):
                raise
            is_bad = len(batch) == 1 if is_suspect else not self._is_open(run_id)
            if is_bad:
                why = reason(error)
                return [Refused(r, why) for r in batch if not _is_left_out(r, error)]
            # A single record is sent once more: the answer may have been a proxy's.
            middle = max(1, len(batch) // 2)
            halves = [half for half in (batch[:middle], batch[middle:]) if half]
            return [r for half in halves for r in self._log_batch(run_id, half, True)]
        return []

    def _entities(self, batch: Iterable[Record]) -> tuple[Any, Any, Any]:
        """Return MLflow's metrics, params and tags."""
        from mlflow.entities import Metric, Param, RunTag

        data = {kind: [r.data for r in batch if r.kind == kind] for kind in BATCH}
        for metric in data["metric"]:
            if "model_id" in metric:
                metric["model_id"] = self.known(metric["model_id"])
        return (
            [Metric(**metric) for metric in data["metric"]],
            [Param(**param) for param in data["param"]],
            [RunTag(tag["key"], self.known(tag["value"])) for tag in data["tag"]],
        )

    def _log_one(self, record: Record) -> list[Refused]:
        own = f"_log_{record.kind}"
        deliver = DELIVERIES.get(record.kind)
        return _tried(record, partial(deliver, self) if deliver else getattr(self, own))

    def find_run(self, experiment_id: str, tag: str, value: str) -> "Run | None":
        """Return the server's oldest run with a tag, if it has been created."""
        return next(iter(find_runs(self.uri, experiment_id, tag, value)), None)

    def _log_run(self, record: Record) -> None:
        """Create a run that has only a local id."""
        from mlflow.entities import RunTag

        if server_id(self.folder, record.run_id):
            return
        data = record.data
        experiment_id = self._experiment(record)
        tags = data["tags"]
        if key := tags.get(RUN_KEY):  # of a task, which only joins
            run = self.find_run(experiment_id, RUN_KEY, key)
            if run is None:
                raise NotYet(
                    f"'kedro mlflow start' has created no run with key '{key}'"
                )
        else:
            run = self.find_run(experiment_id, OPENING, record.run_id)
        if run is None:
            entities = [
                RunTag(k, self.known(v)) for k, v in tags.items() if k != OPENING
            ]
            entities.append(RunTag(OPENING, record.run_id))
            arguments = data["user_id"], data["start_time"], entities, data["name"]
            run = self.call("create_run", experiment_id, *arguments)
        set_server_id(self.folder.parent, record.run_id, run.info.run_id)
        if key:
            self.repeats = Repeats(run.info.run_id)

    def _log_unanswered(self, record: Record) -> None:
        """End a run that the server may have created without answering."""
        run = self.find_run(self._experiment(record), OPENING, record.run_id)
        if run:
            set_server_id(self.folder.parent, record.run_id, run.info.run_id)
            data = {"status": "KILLED", "end_time": record.data["end_time"]}
            self._log_info(Record(record.run_id, "info", {**data, "name": None}))

    def _log_open(self, record: Record) -> None:
        """Do nothing: the server has created the run already."""

    def _log_info(self, record: Record) -> None:
        """Set the status, the end and the name of a run."""
        from mlflow.entities import RunStatus

        data, run_id = record.data, self.known(record.run_id)
        status = RunStatus.from_string(data["status"]) if data["status"] else None
        self.call("update_run_info", run_id, status, data["end_time"], data["name"])

    def _log_inputs(self, record: Record) -> None:
        from mlflow.entities import (
            Dataset,
            DatasetInput,
            InputTag,
            LoggedModelInput,
        )

        datasets = [
            DatasetInput(
                Dataset(**found["dataset"]), [InputTag(*t) for t in found["tags"]]
            )
            for found in record.data["datasets"]
        ]
        models = [LoggedModelInput(self.known(m)) for m in record.data["models"]]
        self.call("log_inputs", self.known(record.run_id), datasets, models or None)

    # --- Files ----------------------------------------------------------------

    def upload(self, records: list[Record]) -> list[Refused]:
        """Upload files, some at once; of two with one name, the later one.

        Returns:
            The files that the server refuses.

        Raises:
            Exception: the server is away; some files may have arrived.
        """
        latest = {(r.run_id, r.data["path"]): r for r in records}
        waiting = [r for r in latest.values() if r.data["file"] not in self._uploaded]
        refused: list[Refused] = []
        failed: list[Exception] = []

        def work() -> None:
            with tried_once():
                work_off()

        def work_off() -> None:
            while not failed:
                with self._lock:
                    if not waiting:
                        return
                    record = waiting.pop(0)
                try:
                    refused.extend(_tried(record, self._upload))
                except FileNotFoundError as error:
                    refused.append(Refused(record, reason(error)))
                except Exception as error:
                    failed.append(error)
                    continue
                self._uploaded.add(record.data["file"])

        threads = [_thread(work) for _ in range(min(_UPLOADS, len(waiting)))]
        for thread in threads:
            thread.join()
        if failed:
            raise failed[0]
        return refused

    def forget(self, records: list[Record]) -> None:
        """Delete the copies of files that are uploaded, once that is remembered."""
        for record in records:
            self._uploaded.discard(record.data["file"])
            if not is_local(record.run_id):
                file = self.folder / record.data["file"]
                with suppress(OSError):
                    file.unlink(missing_ok=True)
                    file.parent.rmdir()

    def upload_now(self, record: Record) -> list[Refused]:
        """Upload a file of which there is no copy.

        Returns:
            The file, if the server refuses it.

        Raises:
            Exception: the server is away.
        """
        return _tried(record, self._upload)

    def _upload(self, record: Record) -> None:
        to = PurePosixPath(record.data["path"]).parent
        artifact_path = None if to == PurePosixPath() else str(to)
        file = self.folder / record.data["file"]  # an absolute path stays one
        if file.stat().st_size != record.data.get("size", file.stat().st_size):
            raise ValueError(
                f"{file} is not what was logged: the machine lost power before it was on "
                "the disk, or somebody has changed it."
            )
        repository = self._repository_of_run(self.known(record.run_id))
        repository.log_artifact(str(file), artifact_path)

    def repository(self, location: str) -> Any:
        """Return MLflow's artifact repository at a location."""
        from mlflow.store.artifact.artifact_repository_registry import (
            get_artifact_repository,
        )

        return get_artifact_repository(location, tracking_uri=self.uri)

    def _repository_of_run(self, run_id: str) -> Any:
        with self._lock:
            if run_id not in self._repositories:
                location = self._locations.get(run_id)
                location = location or self.call("get_run", run_id).info.artifact_uri
                self._repositories[run_id] = self.repository(location)
            return self._repositories[run_id]

    def locate(self, run_id: str, artifact_uri: str) -> None:
        """Remember where the artifacts of a run go, so that nobody has to ask."""
        self._locations[run_id] = artifact_uri

    # --- The store ------------------------------------------------------------

    def call(self, method: str, *args: Any) -> Any:
        """Call the store itself, whose methods write to the outbox meanwhile."""
        from mlflow.tracking._tracking_service.utils import _get_store

        store = _get_store(self.uri)
        with delivering():
            return getattr(type(store), method)(store, *args)

    def _experiment(self, record: Record) -> str:
        assert self._experiment_id  # noqa: S101  # a worker sends nothing
        experiment_id: str | None = record.data.get("experiment_id")
        return experiment_id or self._experiment_id(record.data["experiment"])

    def _is_open(self, run_id: str) -> bool:
        """Whether the run accepts records: it may have been deleted."""
        try:
            run: Run = self.call("get_run", run_id)
        except Exception as error:
            if not is_refusal(error):
                raise
            return False
        return bool(run.info.lifecycle_stage == "active")

    def known(self, text: str) -> str:
        """Return the server's id for a local one, and any other text as it is."""
        if not _LOCAL_ID.fullmatch(text):
            return text
        if found := server_id(self.folder, text):
            return found
        raise NotYet(f"the server has not created {text} yet")


def _tried(record: Record, deliver: Callable[[Record], object]) -> list[Refused]:
    """Deliver a record; return it if the server refuses it."""
    try:
        deliver(record)
    except Exception as error:
        if _is_left_out(record, error):
            return []
        if not is_refusal(error):
            raise
        return [Refused(record, reason(error))]
    return []


def _is_left_out(record: Record, error: Exception) -> bool:
    """Whether to go on without a record that nobody has asked for, and say so."""
    is_early = isinstance(error, NotYet)
    if is_early or not (record.is_optional and is_hopeless(error)):
        return False
    _logger.info(
        "MLflow does not have '%s' of this run: %s", record.name, reason(error)
    )
    return True


def is_delivering() -> bool:
    """Whether this thread is sending records to a server."""
    return getattr(_threads, "is_delivering", False)


@contextmanager
def delivering() -> Iterator[None]:
    """Let what this thread logs go to the server, past the outboxes of open runs."""
    was_delivering = is_delivering()
    _threads.is_delivering = True
    try:
        yield
    finally:
        _threads.is_delivering = was_delivering


def _thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, name="mlflow-upload", daemon=True)
    thread.start()
    return thread


def _batches(records: list[Record]) -> Iterator[list[Record]]:
    """Divide records into requests that MLflow takes."""
    from mlflow.utils.validation import (
        MAX_ENTITIES_PER_BATCH,
        MAX_PARAMS_TAGS_PER_BATCH,
    )

    batch: list[Record] = []
    others: Counter[str] = Counter()
    for record in records:
        is_metric = record.kind == "metric"
        is_full = not is_metric and others[record.kind] == MAX_PARAMS_TAGS_PER_BATCH
        if is_full or len(batch) == MAX_ENTITIES_PER_BATCH:
            yield batch
            batch, others = [], Counter()
        batch.append(record)
        others[record.kind] += 1
    if batch:
        yield batch


def find_runs(
    tracking_uri: str, experiment_id: str, tag: str, value: str
) -> "list[Run]":
    """Return the runs with a tag, the oldest first: one request."""
    from mlflow import MlflowClient

    query = f"tags.`{tag}` = '{value}'"
    return MlflowClient(tracking_uri).search_runs(
        [experiment_id], query, order_by=["attributes.start_time ASC"]
    )


def reason(error: Exception) -> str:
    """Return why a request has failed, as a sentence if it is MLflow's."""
    text = str(error)
    return f"The server {problem(text)}." if "API request to" in text else text
