"""What a run records of itself: from where, on which data, how it went."""

import os
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kedro.framework import project
from kedro.pipeline import Pipeline

from ..config.loading import RESUME
from ..config.options import RecordOptions
from ..outbox.folder import OUTBOXES, known_id, read_json, write_json
from ..outbox.journal import Record
from ..redaction import without_secrets
from ..server.uris import sqlite_path
from ..terminal.humanize import size
from .console import console_log
from .description import description
from .handle import RunHandle
from .inputs import Input, inputs_record
from .killed import note_story
from .messages import say_left_out
from .nodes import NodeNotes, error_text
from .picture import PICTURE, picture
from .resumed import resumed_description, resumed_tag
from .source import PATCH, Source, environment_tags, lock, short_digest
from .tags import pipeline_names
from .timeline import NodeRun, node_runs, trace_record

NOTE = "mlflow.note.content"
LOCK_RUN = "lock.run_id"
ERROR = "kedro.error"
RERUN_OF = "kedro.rerun_of"
RERUN = "KEDRO_MLFLOW_RERUN_OF"
"""The variable with the run that this one repeats."""

_LOCKS = "locks.json"  # beside the outboxes: which run has which lock


@contextmanager
def optional(what: str) -> Iterator[None]:
    """Go on without what is recorded inside the block if that fails, with one line."""
    try:
        yield
    except Exception as error:  # nobody has asked for it
        say_left_out(what, str(error))


class Story:
    """What one run records of itself, as ``tracking.record`` of ``mlflow.yml`` says.

    Everything goes through the outbox, and a run is complete without it.

    Args:
        options: ``tracking.record``.
        run_params: what Kedro passes to its hooks about the run.
        pipeline: the pipeline that runs.
        inputs: what it loads from outside.
        validated: datasets whose validator stops the run if it fails.
        source: the state of the project's repository.
        project_path: the project's root.
    """

    def __init__(
        self,
        options: RecordOptions,
        run_params: Mapping[str, Any],
        pipeline: Pipeline,
        inputs: Mapping[str, Input],
        validated: AbstractSet[str],
        source: Source | None,
        project_path: Path,
    ) -> None:
        self.options, self.source = options, source
        self._run_params, self._pipeline = run_params, pipeline
        self._pipelines = pipeline_names(run_params)
        self._is_resumed = RESUME in os.environ
        # What is loaded from the first part of a run is no input of it.
        has_inputs = options.inputs and not self._is_resumed
        self._inputs = dict(inputs) if has_inputs else {}
        self._validated = validated
        self._project_path = project_path
        self._command = ""
        self._error: BaseException | None = None
        self._has_inputs = False
        self._locks = project_path / OUTBOXES / _LOCKS
        self._lock: tuple[str, str, str] | None = None

    @property
    def node_names(self) -> list[str]:
        """The names of the nodes that run."""
        return [node.name for node in self._pipeline.nodes]

    # --- Before the nodes -----------------------------------------------------

    def tags(
        self, command: str, params: Mapping[str, Any], tracking_uri: str
    ) -> dict[str, str]:
        """Return the tags that a new run is created with.

        Args:
            command: the command that runs it again.
            params: its parameters.
            tracking_uri: its server, without a login.
        """
        self._command = command
        tags = {
            **environment_tags(params),
            "mlflow.source.type": "LOCAL",
            "mlflow.source.name": project.PACKAGE_NAME or self._project_path.name,
        }
        if repeated := os.environ.get(RERUN):
            tags[RERUN_OF] = repeated
        if self.options.description:
            tags[NOTE] = self._description()
        if self.options.lock:
            with optional("lock"):
                tags |= self._lock_tag(tracking_uri)
        return {key: without_secrets(value) for key, value in tags.items()}

    def _lock_tag(self, tracking_uri: str) -> dict[str, str]:
        """Return a tag with the run that has the same lock; empty if this one gets it."""
        name, text = lock(self._project_path, self.source)
        key = f"{tracking_uri} {short_digest(text)}"
        if owner := read_json(self._locks).get(key):
            return {LOCK_RUN: known_id(owner, self._locks.parent)}
        if text:  # or else the commit has it
            self._lock = f"source/{name}", text, key
        return {}

    @property
    def max_log(self) -> int:
        """How many bytes of the log to record; 0 for none."""
        return self.options.max_bytes if self.options.console else 0

    def notes(self, handle: RunHandle) -> NodeNotes | None:
        """Return what notes the nodes of the run, in any process; None if nobody asks."""
        if not (self.options.timeline or self.options.description or self._inputs):
            return None
        run_id = handle.run.info.run_id
        count = len(self._pipeline.nodes)
        return NodeNotes(handle.outbox, run_id, self._inputs, count)

    def begin(self, handle: RunHandle) -> None:
        """Record the code, the packages and the picture of the pipeline."""
        outbox, run_id = handle.outbox, handle.run.info.run_id
        if self._is_resumed:
            commit = self.source.commit if self.source else ""
            words = (self._session, commit, self.node_names)
            self._write_tags(handle, resumed_tag(handle.run.data.tags, *words))
        note_story(
            outbox,
            run_id,
            name=self._name,
            command=self._command,
            has_timeline=self.options.timeline,
            log=self._log_name(handle),
            max_bytes=self.max_log,
        )
        if handle.is_new or self._is_resumed:
            self._write_patch(handle)
        if not handle.is_new:
            return  # it has those of its own first Kedro run
        if self._lock:
            path, text, key = self._lock
            outbox.write_text(run_id, text, path)
            if outbox.folder:
                write_json(self._locks, {**read_json(self._locks), key: run_id})
        if self.options.description and (drawn := picture(self._pipeline)):
            outbox.write_text(run_id, drawn, PICTURE)

    def _write_patch(self, handle: RunHandle) -> None:
        """Record uncommitted changes; of a resumed run, with those of before kept."""
        if not (self.options.patch and self.source and self.source.changed):
            return
        patch = self.source.patch()
        length = len(patch.encode("utf-8", "surrogateescape"))
        if length > self.options.max_bytes:
            say_left_out("patch of uncommitted changes", size(length))
        elif patch:
            path = PATCH if handle.is_new else f"source/{self._file_name}.patch"
            handle.outbox.write_text(handle.run.info.run_id, patch, path)

    def with_picture(self, handle: RunHandle) -> dict[str, str]:
        """Return tags to log with the parameters, if the end may add no description."""
        if not (self.options.description and handle.is_new and self._is_costly):
            return {}
        return {NOTE: self._description(handle)}

    @property
    def _is_costly(self) -> bool:
        """Whether a description at the end would be the third request of a run's own.

        It is left out then, unless the store is a file, or it can share one: the
        timeline has the times.
        """
        return bool(self._inputs and self.options.timeline)

    # --- The nodes ------------------------------------------------------------

    def loaded(self, handle: RunHandle) -> None:
        """Record the inputs, once: as soon as all are loaded, or else at the end."""
        if self._inputs and not self._has_inputs:
            self._has_inputs = True
            shapes = {note["name"]: note for note in handle.outbox.notes("shape")}
            record = inputs_record(handle.run.info.run_id, self._inputs, shapes)
            handle.outbox.write([record])

    def failed(self, error: BaseException | None) -> None:
        """Remember why the run fails."""
        self._error = self._error or error

    # --- After the nodes ------------------------------------------------------

    def end(self, handle: RunHandle, status: str) -> None:
        """Record how it went: the inputs, the timeline, the description, the log."""
        self.loaded(handle)
        outbox, run = handle.outbox, handle.run.info
        error = "" if status == "FINISHED" else status
        error = error_text(self._error) if self._error else error
        nodes = node_runs(outbox.notes("node"), time.time_ns(), error)
        if self.options.timeline and nodes:
            experiment = "" if outbox.is_local else run.experiment_id
            words = self._name, self._command, nodes, error
            outbox.write([trace_record(run.run_id, experiment, *words)])
        tags = {ERROR: _where_and_why(nodes, error)} if status == "FAILED" else {}
        if self.options.description and handle.is_new:
            tags |= self._validation(nodes)
            is_free = sqlite_path(handle.tracking_uri) or outbox.has_batch
            if tags or error or not self._is_costly or is_free:
                tags[NOTE] = self._description(handle, nodes, error)
        if self._is_resumed and status == "FINISHED":
            tags[NOTE] = resumed_description(
                handle.run.data.tags.get(NOTE, ""), self.node_names, time.time()
            )
        self._write_tags(handle, tags)
        if self.options.console:
            text = console_log(outbox.folder, self.max_log)
            text += without_secrets(_traceback(self._error))
            if text:
                outbox.write_text(run.run_id, text, self._log_name(handle))

    def _write_tags(self, handle: RunHandle, tags: Mapping[str, str]) -> None:
        for key, value in tags.items():
            tag = {"key": key, "value": value, "is_optional": True}
            handle.outbox.write([Record(handle.run.info.run_id, "tag", tag)])

    def _validation(self, nodes: Iterable[NodeRun]) -> dict[str, str]:
        """Return tags with the results of Kedro's validators."""
        failed = getattr(self._error, "dataset_name", None)
        seen = {name for n in nodes if not n.error for name in (*n.inputs, *n.outputs)}
        passed = sorted(self._validated & seen - {failed})
        tags = {"kedro.validation.passed": ", ".join(passed)[:1000]}
        if failed in self._validated and self._error:
            tags["kedro.validation.failed"] = error_text(self._error)
        return {key: value for key, value in tags.items() if value}

    def _description(
        self, handle: RunHandle | None = None, nodes: Any = (), error: str = ""
    ) -> str:
        is_known = handle is not None and not handle.outbox.is_local
        run_id = handle.run.info.run_id if handle and is_known else ""
        outputs = sorted(self._pipeline.outputs())
        words = (self._command, self._pipelines, self._inputs, outputs)
        return description(*words, run_id, nodes, error)

    def _log_name(self, handle: RunHandle) -> str:
        """Return the log's path: of several Kedro runs in one run, each has its own."""
        if handle.is_new:
            return "console.log"
        return f"console/{self._file_name}.log"

    @property
    def _name(self) -> str:
        return "+".join(self._pipelines)

    @property
    def _file_name(self) -> str:
        """A name for the files of one Kedro run, when several are in one run."""
        return self._session.replace(":", "-")

    @property
    def _session(self) -> str:
        params = self._run_params
        return str(params.get("run_id") or params.get("session_id"))


def _where_and_why(nodes: Iterable[NodeRun], error: str) -> str:
    """Return the node that has failed, if one has, and the first line of its error."""
    first = next((f"{node.name}: {node.error}" for node in nodes if node.error), error)
    return first.splitlines()[0]


def _traceback(error: BaseException | None) -> str:
    return "".join(traceback.format_exception(error)) if error else ""
