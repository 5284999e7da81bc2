"""What a run has logged, for ``kedro mlflow logs``."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kedro.framework.context import KedroContext

from ..config.loading import environment
from ..errors import TrackingError
from ..outbox.folder import OUTBOXES, about, folders, server_id
from ..outbox.replay import records, runs_in
from ..run.console import console_log
from .context import connected, load_context
from .recorded import artifact_text
from .which_run import run_or_newest, short

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_FIRST, _FURTHER = "console.log", "console"
"""The log of a run's first Kedro run, and the folder with those of further ones."""

_ALL = 2**30  # bytes of a log


@dataclass(frozen=True)
class Logs:
    """The logs of a run.

    Attributes:
        title: which run it is.
        texts: a log of each Kedro run in it, in the order of their starts.
    """

    title: str
    texts: list[str]


def logs_of(project_path: Path, env: str, which: str | None) -> Logs:
    """Return the logs of a run, also of one that is under way or waits on this machine.

    That takes up to five requests, and one for each log.

    Args:
        project_path: the project's root.
        env: the environment.
        which: as in ``run_or_newest``.

    Raises:
        TrackingError: there is no such run, it has no log, or the server does not answer.
    """
    context = load_context(project_path, env)
    try:
        return _of_server(context, which)
    except TrackingError:
        for run, folder in sorted(_here(context), key=_start, reverse=True):
            if _is(run, which) and (texts := _texts(run, folder)):
                return Logs(f"{_title(run)}, on this machine", texts)
        raise


def _of_server(context: KedroContext, which: str | None) -> Logs:
    from mlflow import MlflowClient

    with connected(context) as connection:
        run = run_or_newest(which, connection, context)
        run_id, client = run.info.run_id, MlflowClient(connection.uri)
        texts = [artifact_text(client, run_id, path) for path in _paths(client, run_id)]
    if not texts:
        raise TrackingError(
            f"The run {_title(run)}, has no log. A run sends it at its end, unless "
            "tracking.record.console is false in mlflow.yml."
        )
    return Logs(_title(run), texts)


def _title(run: "Run") -> str:
    return f"{run.info.run_name} ({short(run.info.run_id)}), {run.info.status}"


def _paths(client: "MlflowClient", run_id: str) -> list[str]:
    top = [each.path for each in client.list_artifacts(run_id)]
    further = client.list_artifacts(run_id, _FURTHER) if _FURTHER in top else ()
    return [_FIRST] * (_FIRST in top) + sorted(each.path for each in further)


def _here(context: KedroContext) -> "Iterator[tuple[Run, Path]]":
    """Yield the runs of an environment's outboxes."""
    env = environment(context.config_loader)
    for folder in folders(context.project_path / OUTBOXES):
        with suppress(FileNotFoundError):  # another process has just sent it
            if about(folder).environment == env:
                for run in runs_in(folder):
                    yield run, folder


def _start(found: "tuple[Run, Path]") -> int:
    return int(found[0].info.start_time)


def _is(run: "Run", which: str | None) -> bool:
    names = (None, run.info.run_name, run.info.run_id)
    return which in names or (which != "" and run.info.run_id.startswith(str(which)))


def _texts(run: "Run", folder: Path) -> list[str]:
    """Return the logs that wait, or what the run under way has logged until now."""
    found = {}
    for record in records(folder):
        known = server_id(folder, record.run_id) or record.run_id
        path = record.data.get("path", "") if record.kind == "file" else ""
        if known == run.info.run_id and path.partition("/")[0] in (_FIRST, _FURTHER):
            with suppress(FileNotFoundError):  # it is sent
                found[path] = (folder / record.data["file"]).read_text("utf-8")
    with suppress(FileNotFoundError):
        opening = about(folder).opening
        if not found and run.info.run_id == (server_id(folder, opening) or opening):
            found[_FIRST] = console_log(folder, _ALL)
    return [found[path] for path in sorted(found) if found[path]]
