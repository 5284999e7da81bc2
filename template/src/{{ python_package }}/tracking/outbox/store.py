"""Let what MLflow's own functions log go to the outbox, too.

MLflow has one store object for each server. While an outbox is in use, methods of that
object are replaced: those that write take the outbox's way, and those that read wait
until the server has what was written. Calls for other runs are not changed.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ..server.availability import ServerAway, tried_once
from ..server.http_errors import is_refusal
from .delivery import is_delivering
from .folder import is_local
from .journal import Record
from .models import create_local_model, local_model
from .outbox import Outbox
from .records import batch_records, info_record, inputs_record
from .replay import current_run, metric_history

if TYPE_CHECKING:
    from mlflow.entities import (
        Experiment,
        LoggedModel,
        LoggedModelOutput,
        LoggedModelParameter,
        LoggedModelTag,
        Metric,
        Param,
        Run,
        RunTag,
    )

_WRITES = (
    "log_batch",
    "log_metric",
    "log_param",
    "set_tag",
    "log_inputs",
    "log_outputs",
    "update_run_info",
    "create_run",
    "create_logged_model",
    "finalize_logged_model",
    "log_logged_model_params",
    "set_logged_model_tags",
)
_READS = (
    "get_run",
    "get_experiment",
    "get_logged_model",
    "get_metric_history",
    "get_metric_history_bulk_interval",
    "search_runs",
    "delete_tag",
    "delete_run",
)
_COUNT = "kedro_outboxes"  # attribute of a store: how many runs need its replacements
_PARENT = "mlflow.parentRunId"

_lock = threading.RLock()
_outboxes: dict[str, tuple[Outbox, "Run"]] = {}
"""The outboxes of this process, and the runs as they began, by the runs' ids."""


@contextmanager
def outbox_in_use(outbox: Outbox, run: "Run", tracking_uri: str) -> Iterator[None]:
    """Send what MLflow logs to a run through its outbox, in this process.

    Args:
        outbox: the outbox.
        run: the run as it is now.
        tracking_uri: its server.
    """
    from mlflow.tracking._tracking_service.utils import _get_store

    store = _get_store(tracking_uri)
    from .artifacts import forget_artifacts  # which imports MLflow

    with _lock:
        _register(outbox, run, tracking_uri)
        _Methods.replace(store, tracking_uri)
    try:
        yield
    finally:
        with _lock:
            ids = [key for key, (found, _) in _outboxes.items() if found is outbox]
            for run_id in ids:
                _outboxes.pop(run_id)
                forget_artifacts(run_id)
            _Methods.restore(store)


def _register(outbox: Outbox, run: "Run", tracking_uri: str) -> None:
    from .artifacts import OutboxArtifacts

    _outboxes[run.info.run_id] = (outbox, run)
    OutboxArtifacts(outbox, run, tracking_uri).register()


class _Methods:
    """Methods that take the place of those of a store.

    Args:
        store: MLflow's, for one server.
        tracking_uri: the server.
    """

    def __init__(self, store: Any, tracking_uri: str) -> None:
        self._store, self._uri = store, tracking_uri

    @classmethod
    def replace(cls, store: Any, tracking_uri: str) -> None:
        """Replace the methods of a store; counted, since runs overlap."""
        setattr(store, _COUNT, getattr(store, _COUNT, 0) + 1)
        methods = cls(store, tracking_uri)
        for name in (*_WRITES, *_READS):
            if name not in store.__dict__:
                setattr(store, name, methods._unless_delivering(name))

    @classmethod
    def restore(cls, store: Any) -> None:
        """Undo one ``replace``."""
        setattr(store, _COUNT, getattr(store, _COUNT) - 1)
        if not getattr(store, _COUNT):
            for name in (*_WRITES, *_READS):
                store.__dict__.pop(name, None)

    def _unless_delivering(self, name: str) -> Callable[..., Any]:
        own = getattr(type(self._store), name)
        replacement = getattr(self, name, None) or self._after_flush(name)

        def method(*args: Any, **kwargs: Any) -> Any:
            if is_delivering():
                return own(self._store, *args, **kwargs)
            return replacement(*args, **kwargs)

        return method

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(type(self._store), name)(self._store, *args, **kwargs)

    def _ask(self, outbox: Outbox, name: str, *args: Any, **kwargs: Any) -> Any:
        """Ask the server once; MLflow would try again for minutes.

        Raises:
            ServerAway: it is away, or turns out to be.
        """
        outbox.refuse_if_away()
        try:
            with tried_once():
                return self._call(name, *args, **kwargs)
        except Exception as error:
            if is_refusal(error):
                raise
            outbox.found_away(error)
            raise ServerAway(str(error)) from error

    def _read(self, outbox: Outbox, name: str, *args: Any, **kwargs: Any) -> Any:
        """Ask the server once, after it has what was written; see ``_ask``."""
        if not outbox.is_away:
            outbox.flush()
        return self._ask(outbox, name, *args, **kwargs)

    def _after_flush(self, name: str) -> Callable[..., Any]:
        def method(*args: Any, **kwargs: Any) -> Any:
            for outbox in {outbox for outbox, _ in _outboxes.values()}:
                outbox.flush()
            return self._call(name, *args, **kwargs)

        return method

    # --- Write ----------------------------------------------------------------

    def log_batch(
        self,
        run_id: str,
        metrics: "Sequence[Metric]" = (),
        params: "Sequence[Param]" = (),
        tags: "Sequence[RunTag]" = (),
    ) -> None:
        if run_id not in _outboxes:
            self._call("log_batch", run_id, metrics, params, tags)
            return
        _outboxes[run_id][0].write(batch_records(run_id, metrics, params, tags))

    def log_metric(self, run_id: str, metric: "Metric") -> None:
        self.log_batch(run_id, metrics=[metric])

    def log_param(self, run_id: str, param: "Param") -> None:
        self.log_batch(run_id, params=[param])

    def set_tag(self, run_id: str, tag: "RunTag") -> None:
        self.log_batch(run_id, tags=[tag])

    def log_inputs(
        self,
        run_id: str,
        datasets: "Sequence[Any] | None" = None,
        models: "Sequence[Any] | None" = None,
    ) -> None:
        if run_id not in _outboxes:
            self._call("log_inputs", run_id, datasets, models)
            return
        record = inputs_record(run_id, datasets or (), models or ())
        _outboxes[run_id][0].write([record])

    def update_run_info(
        self, run_id: str, run_status: Any, end_time: int | None, run_name: str | None
    ) -> Any:
        if run_id not in _outboxes:
            return self._call("update_run_info", run_id, run_status, end_time, run_name)
        from mlflow.entities import RunStatus

        outbox, run = _outboxes[run_id]
        status = RunStatus.to_string(run_status) if run_status else None
        outbox.write([info_record(run_id, status, end_time, run_name)])
        return run.info

    def create_run(
        self,
        experiment_id: str,
        user_id: str,
        start_time: int,
        tags: "Sequence[RunTag]",
        run_name: str | None,
    ) -> "Run":
        """Create a nested run of a run with an outbox, or any other run."""
        arguments = (experiment_id, user_id, start_time, tags, run_name)
        parent = next((tag.value for tag in tags if tag.key == _PARENT), "")
        if parent not in _outboxes:
            run: Run = self._call("create_run", *arguments)
            return run
        outbox, _ = _outboxes[parent]
        try:
            run = self._ask(outbox, "create_run", *arguments)
        except ServerAway:
            run = outbox.create_local_run(
                None if is_local(parent) else experiment_id,
                {tag.key: tag.value for tag in tags},
                run_name,
                start_time,
            )
        _register(outbox, run, self._uri)
        outbox.write([Record(run.info.run_id, "open")])
        return run

    def log_outputs(self, run_id: str, models: "Sequence[LoggedModelOutput]") -> None:
        if run_id not in _outboxes:
            self._call("log_outputs", run_id, models)
            return
        data = {"models": [(model.model_id, model.step) for model in models]}
        _outboxes[run_id][0].write([Record(run_id, "outputs", data)])

    # --- Models, which the server creates later if it is away -----------------

    def create_logged_model(
        self,
        experiment_id: str,
        name: str | None = None,
        source_run_id: str | None = None,
        tags: "Sequence[LoggedModelTag] | None" = None,
        params: "Sequence[LoggedModelParameter] | None" = None,
        model_type: str | None = None,
    ) -> "LoggedModel":
        arguments = (experiment_id, name, source_run_id, tags, params, model_type)
        if source_run_id not in _outboxes:
            model: LoggedModel = self._call("create_logged_model", *arguments)
            return model
        outbox, _ = _outboxes[source_run_id]
        try:
            model = self._ask(outbox, "create_logged_model", *arguments)
            return model
        except ServerAway:
            if not outbox.has_local_models:
                raise
        of_tags = {tag.key: tag.value for tag in tags or ()}
        of_params = {param.key: param.value for param in params or ()}
        return create_local_model(
            outbox, source_run_id, name, of_tags, of_params, model_type
        )

    def get_logged_model(
        self, model_id: str, *args: Any, **kwargs: Any
    ) -> "LoggedModel":
        if is_local(model_id):
            return self._local_model(model_id)[1]
        model: LoggedModel = self._call("get_logged_model", model_id, *args, **kwargs)
        return model

    def finalize_logged_model(self, model_id: str, status: Any) -> "LoggedModel":
        model: LoggedModel
        model = self._change("finalize_logged_model", model_id, status, "model_end")
        return model

    def log_logged_model_params(self, model_id: str, params: Any) -> None:
        self._change("log_logged_model_params", model_id, params, "model_params")

    def set_logged_model_tags(self, model_id: str, tags: Any) -> None:
        self._change("set_logged_model_tags", model_id, tags, "model_tags")

    def _change(self, method: str, model_id: str, value: Any, kind: str) -> Any:
        """Change a model of the server, or record the change of a local one."""
        if not is_local(model_id):
            return self._call(method, model_id, value)
        outbox, model = self._local_model(model_id)
        key = "status" if kind == "model_end" else kind.removeprefix("model_")
        data = str(value) if key == "status" else {e.key: e.value for e in value}
        change = {"model_id": model_id, key: data}
        outbox.write([Record(str(model.source_run_id), kind, change)])
        return self._local_model(model_id)[1]

    def _local_model(self, model_id: str) -> "tuple[Outbox, LoggedModel]":
        for outbox in {outbox for outbox, _ in _outboxes.values()}:
            with suppress(LookupError):
                if outbox.folder:
                    return outbox, local_model(outbox.folder, model_id)
        raise LookupError(f"No open run has the model {model_id}.")

    # --- Read -----------------------------------------------------------------

    def get_run(self, run_id: str) -> "Run":
        if run_id in _outboxes:
            outbox, run = _outboxes[run_id]
            if outbox.folder:
                try:
                    known: Run = self._read(outbox, "get_run", run_id)
                    return known
                except ServerAway:
                    return current_run(outbox.folder, run)
        found: Run = self._call("get_run", run_id)
        return found

    def get_experiment(self, experiment_id: str) -> "Experiment":
        """Return the experiment of a run that is open; MLflow asks for nested runs."""
        for outbox, run in list(_outboxes.values()):
            if run.info.experiment_id == experiment_id:
                from mlflow.entities import Experiment

                try:
                    known: Experiment
                    known = self._ask(outbox, "get_experiment", experiment_id)
                    return known
                except ServerAway:
                    return Experiment(experiment_id, outbox.experiment, "", "active")
        found: Experiment = self._call("get_experiment", experiment_id)
        return found

    def get_metric_history(
        self, run_id: str, metric_key: str, *args: Any, **kwargs: Any
    ) -> Any:
        if run_id in _outboxes:
            outbox, _ = _outboxes[run_id]
            if outbox.folder:
                words = (run_id, metric_key, *args)
                try:
                    return self._read(outbox, "get_metric_history", *words, **kwargs)
                except ServerAway:
                    from mlflow.store.entities import PagedList

                    found = metric_history(outbox.folder, run_id, metric_key)
                    return PagedList(found, None)
        return self._call("get_metric_history", run_id, metric_key, *args, **kwargs)
