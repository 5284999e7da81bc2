"""What the store knows of a run, as far as it matters for a comparison or a rerun."""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from kedro.framework.context import KedroContext

from ..errors import TrackingError
from ..outbox.folder import OPENING, OUTBOXES, is_local, known_id
from ..run.source import LOCK, PACKAGES, PATCH, git, short_digest
from ..run.story import LOCK_RUN
from ..server.connection import Connection
from .context import connected
from .offline import has_offline_runs, offline_copy
from .which_run import run_id_of, run_with_id

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@dataclass(frozen=True)
class RecordedInput:
    """An input of a run.

    Attributes:
        digest: tells its content from others.
        uri: where it is; empty if it is no file.
        made_of: what the digest is made of.
        version: the version that Kedro has loaded; empty for none.
    """

    digest: str
    uri: str
    made_of: str
    version: str


@dataclass(frozen=True)
class RecordedRun:
    """A run as its store knows it.

    Attributes:
        run_id: its id.
        name: its name.
        status: how it ended.
        experiment_id: its experiment.
        params: its parameters.
        metrics: the last value of each metric.
        tags: its tags.
        inputs: its datasets, by name.
        patch: its uncommitted changes; empty if there is no such artifact.
        lock: name and text of what pins its packages; empty if there is none.
    """

    run_id: str
    name: str
    status: str
    experiment_id: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    inputs: dict[str, RecordedInput]
    patch: str
    lock: tuple[str, str]

    @property
    def commit(self) -> str:
        return self.tags.get("git.commit", "")


def fetched_runs(context: KedroContext, *which: str) -> list[RecordedRun]:
    """Fetch runs from the server, or from this machine if the server does not have them.

    Args:
        context: the context of the environment.
        which: the runs, as ``run_id_of`` takes them.

    Raises:
        TrackingError: there is no such run, or the server does not answer.
    """
    path, found = context.project_path, {}
    here = [each for each in which if is_local(known_id(each, path / OUTBOXES))]
    if here and has_offline_runs(context):
        with offline_copy(context) as connection:
            for each in here:
                run = _of_this_machine(connection, each)
                recorded = recorded_run(connection, path, run.info.run_id)
                found[each] = replace(recorded, run_id=run.data.tags[OPENING])
    if there := [each for each in which if each not in found]:
        with connected(context) as connection:
            for each in there:
                run_id = run_id_of(each, connection, context)
                found[each] = recorded_run(connection, path, run_id)
    return [found[each] for each in which]


def _of_this_machine(connection: Connection, which: str) -> "Run":
    from mlflow import MlflowClient

    client = MlflowClient(connection.uri)
    ids = [each.experiment_id for each in client.search_experiments()]
    found = client.search_runs(ids, f"tags.`{OPENING}` LIKE '{which}%'")
    if len(found) == 1:
        return found[0]
    raise TrackingError(
        f"'{which}' names {len(found) or 'none'} of the runs that wait on this machine. "
        "'kedro mlflow runs' lists them, with their ids."
    )


def recorded_run(
    connection: Connection, project_path: Path, run_id: str
) -> RecordedRun:
    """Fetch a run, with its patch and its lock.

    Raises:
        TrackingError: the store has no such run.
    """
    from mlflow import MlflowClient

    client, run = MlflowClient(connection.uri), run_with_id(run_id, connection)
    inputs = {}
    for each in run.inputs.dataset_inputs if run.inputs else ():
        tags = {tag.key: tag.value for tag in each.tags}
        inputs[each.dataset.name] = RecordedInput(
            each.dataset.digest,
            _uri(each.dataset.source),
            tags.get("digest", ""),
            tags.get("kedro.version", ""),
        )
    tags = run.data.tags
    holder = tags.get(LOCK_RUN, run_id)
    lock = _lock(client, holder) or _committed_lock(project_path, tags)
    return RecordedRun(
        run_id,
        run.info.run_name or run_id,
        run.info.status,
        run.info.experiment_id,
        run.data.params,
        run.data.metrics,
        tags,
        inputs,
        _text(client, run_id, PATCH),
        lock,
    )


def lock_digest(run: RecordedRun) -> str:
    """Return what tells the packages of a run from others; empty if nobody knows."""
    return short_digest(run.lock[1]) if run.lock[1] else ""


def _uri(source: str) -> str:
    import json

    with suppress(ValueError, AttributeError):
        found = json.loads(source)
        return str(found.get("uri") or found.get("url") or "")
    return ""


def _lock(client: "MlflowClient", run_id: str) -> tuple[str, str] | None:
    for name in (LOCK, PACKAGES):
        if text := _text(client, run_id, f"source/{name}"):
            return name, text
    return None


def _committed_lock(project_path: Path, tags: dict[str, str]) -> tuple[str, str]:
    """Return the lock of a run's commit, which is no artifact then."""
    commit = tags.get("git.commit", "")
    for path in (f"./{LOCK}", LOCK):
        if commit and (text := git(project_path, "show", f"{commit}:{path}")):
            return LOCK, text
    return "", ""


def _text(client: "MlflowClient", run_id: str, path: str) -> str:
    from mlflow.exceptions import MlflowException

    with suppress(MlflowException, OSError):
        if path in [each.path for each in client.list_artifacts(run_id, "source")]:
            return artifact_text(client, run_id, path)
    return ""


def artifact_text(client: "MlflowClient", run_id: str, path: str) -> str:
    """Return the text of an artifact; what is not UTF-8 is kept by surrogates."""
    with TemporaryDirectory() as folder:
        file = Path(client.download_artifacts(run_id, path, folder))
        return file.read_bytes().decode("utf-8", "surrogateescape")
