"""Send what waits in the outboxes of a project, for ``kedro mlflow sync``."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from ..config.loading import mlflow_config
from ..errors import TrackingError
from ..outbox.delivery import Delivery
from ..outbox.folder import (
    OUTBOXES,
    About,
    Lock,
    about,
    folders,
    is_local,
    is_seen,
    server_id,
    this_host,
)
from ..outbox.left import Left, left_outbox, send
from ..outbox.waiting import Waiting, not_logged, waiting
from ..run.killed import last_words
from ..run.left import belongs_to, delivery_of
from ..server.connection import Connection
from ..server.local_store import create_local_store
from .context import load_context

OnProgress = Callable[[Left, float], bool]


@dataclass(frozen=True)
class Synced:
    """What became of an outbox.

    Attributes:
        name: the run's name, or else its id.
        environment: the Kedro environment of the run.
        tracking_uri: the server that it is for, without a login.
        started: when its outbox was opened, in UTC.
        was: what waited.
        local_id: the id that it had until the server knew it; empty if nobody has seen it.
        run_id: the server's id; empty if the server does not know the run yet.
        state: ``sent``, ``waits``, ``open`` (its process is alive), or ``elsewhere`` (it
            is of another machine).
        message: what there is to say; empty if nothing.
        url: the run's page, once it is sent; None if no server shows it.
    """

    name: str
    environment: str
    tracking_uri: str
    started: datetime
    was: Waiting
    local_id: str
    run_id: str
    state: str
    message: str
    url: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON, with its time in ISO 8601."""
        return {**asdict(self), "started": self.started.isoformat()}


def sync(
    project_path: Path,
    outboxes: Path | None,
    dry_run: bool,
    any_host: bool,
    on_progress: OnProgress,
) -> Iterator[Synced]:
    """Send what waits, one outbox after the other, the oldest first.

    Args:
        project_path: the project, whose ``mlflow.yml`` names the servers.
        outboxes: another folder with outboxes; None for the project's own.
        dry_run: whether to send nothing.
        any_host: whether to send what runs of other machines have left, too.
        on_progress: called now and then with the outbox and the sent part, 0 to 1; it
            returns whether to stop.
    """
    found: dict[str, list[Path]] = {}
    for folder in folders(outboxes or project_path / OUTBOXES):
        with suppress(FileNotFoundError):
            found.setdefault(about(folder).environment, []).append(folder)
    for env, group in found.items():
        if dry_run:
            yield from map(_dry, group)
        else:
            yield from _sync(project_path, env, group, any_host, on_progress)


def _sync(
    project_path: Path,
    env: str,
    group: Sequence[Path],
    any_host: bool,
    on_progress: OnProgress,
) -> Iterator[Synced]:
    """Send the outboxes of an environment."""
    try:
        context = load_context(project_path, env)
        with Connection(mlflow_config(context).server, context) as connection:
            _prepare(connection)
            for folder in group:
                with left_outbox(folder, last_words, any_host) as left:
                    if left is None:
                        with suppress(FileNotFoundError):  # another process has sent it
                            yield _not_ours(folder)
                    elif belongs_to(left, connection, context):
                        delivery = delivery_of(connection, context, folder)
                        synced = _send(left, delivery, on_progress)
                        yield replace(synced, url=_page(synced, delivery, connection))
                    else:
                        yield _waiting(folder, _moved(left, connection))
    except TrackingError as error:
        yield from (
            _untouched(folder, error.message) for folder in group if folder.exists()
        )


def _prepare(connection: Connection) -> None:
    """Make sure that the server answers.

    Raises:
        TrackingError: it does not.
    """
    from mlflow import MlflowClient

    if connection.artifact_root:
        create_local_store(connection.uri, connection.artifact_root)
    with connection.translate_errors():
        MlflowClient(connection.uri).search_experiments(max_results=1)


def _send(left: Left, delivery: Delivery, on_progress: OnProgress) -> Synced:
    was = left.waiting
    refused, why = send(left, delivery, partial(on_progress, left))
    words = (
        ["its process had ended without a status: KILLED"] if left.was_killed else []
    )
    words += [text for text in (not_logged(refused), why) if text]
    state = "waits" if why else "sent"
    return _synced(left.folder, left.about, was, state, "; ".join(words))


def _page(synced: Synced, delivery: Delivery, connection: Connection) -> str | None:
    from mlflow.exceptions import MlflowException

    if synced.state != "sent" or not synced.run_id:
        return None
    try:
        return connection.url(delivery.call("get_run", synced.run_id).info)
    except MlflowException:  # somebody has deleted the run, or the server is away again
        return None


def _dry(folder: Path) -> Synced:
    found = _untouched(folder)
    is_empty = found.state == "waits" and found.was.records + found.was.files == 0
    return replace(found, message="only the run's status waits") if is_empty else found


def _untouched(folder: Path, message: str = "") -> Synced:
    """Say what waits, or that the outbox is not ours to send."""
    lock, is_ours = Lock(folder), False
    with suppress(OSError):  # nobody can lock on this file system
        is_ours = about(folder).host == this_host() and lock.acquire()
    lock.release()
    return _waiting(folder, message) if is_ours else _not_ours(folder)


def _waiting(folder: Path, message: str = "") -> Synced:
    return _synced(folder, about(folder), waiting(folder), "waits", message)


def _not_ours(folder: Path) -> Synced:
    whose = about(folder)
    is_here = whose.host == this_host()
    state = "open" if is_here else "elsewhere"
    message = (
        "" if is_here else f"it is of the machine {whose.host}; --any-host takes it"
    )
    return _synced(folder, whose, waiting(folder), state, message)


def _moved(left: Left, connection: Connection) -> str:
    return (
        f"the run is at {left.about.tracking_uri}, and mlflow.yml names "
        f"{connection.safe_uri} now; name that server again to send the rest"
    )


def _synced(
    folder: Path, whose: About, was: Waiting, state: str, message: str
) -> Synced:
    run_id = server_id(folder, whose.opening) or ""
    is_shown = is_local(whose.opening) and (
        not run_id or is_seen(folder, whose.opening)
    )
    return Synced(
        name=whose.name or run_id or whose.opening,
        environment=whose.environment,
        tracking_uri=whose.tracking_uri,
        started=datetime.fromtimestamp(whose.start_time / 1000, timezone.utc),
        was=was,
        local_id=whose.opening if is_shown else "",
        run_id=run_id,
        state=state,
        message=message,
    )
