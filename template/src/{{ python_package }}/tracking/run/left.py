"""Send what earlier runs have left in their outboxes."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from kedro.framework.context import KedroContext

from ..config.loading import environment
from ..outbox.delivery import Delivery
from ..outbox.folder import OUTBOXES, About, about, is_local, server_id
from ..outbox.left import Left, left_outboxes, send
from ..outbox.repeats import Repeats
from ..outbox.waiting import not_logged
from ..redaction import without_secrets
from ..server.availability import BRIEFLY
from ..server.connection import Connection
from .killed import last_words
from .opening import find_experiment

_logger = logging.getLogger(__name__)
_PLAIN = {"markup": False}


@contextmanager
def left_runs_sent(connection: Connection, context: KedroContext) -> Iterator[None]:
    """Send in the background what waits for the same server, while a run is open."""
    stopped = threading.Event()
    words = (connection, context, stopped)
    thread = threading.Thread(
        target=_send_all, args=words, name="mlflow-left", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        thread.join(
            BRIEFLY
        )  # the nodes may have taken less time than the rest of before
        stopped.set()
        thread.join(1)


def delivery_of(
    connection: Connection, context: KedroContext, folder: Path
) -> Delivery:
    """Return the delivery of an outbox to the server of a context."""
    find = partial(find_experiment, connection.uri, context)
    delivery, whose = Delivery(connection.uri, folder, find), about(folder)
    if whose.task:
        delivery.repeats = Repeats(server_id(folder, whose.opening) or "")
    return delivery


def tasks_sent(
    connection: Connection, context: KedroContext, key: str, task: str = ""
) -> None:
    """Send what tasks of a workflow have left on this machine, before anything else.

    What an attempt has left would otherwise arrive beside, or after, what the next one
    logs.

    Args:
        connection: to the server.
        context: the run's.
        key: the key of the workflow.
        task: the task; empty for all of them.
    """

    def is_wanted(whose: About) -> bool:
        return bool(whose.task) and whose.key == key and task in ("", whose.task)

    _send_all(connection, context, threading.Event(), is_wanted)


def left_sent(connection: Connection, context: KedroContext) -> None:
    """Settle runs that were killed, and send what waits for the same server, now."""
    _send_all(connection, context, threading.Event())


def belongs_to(left: Left, connection: Connection, context: KedroContext) -> bool:
    """Whether an outbox can go to the server of a context's environment.

    A run that no server knows yet goes to the server that ``mlflow.yml`` names now: its
    address may have been a mistake. The run of a task is known to its own server.
    """
    is_unknown = is_local(left.run_id) and not left.about.key
    is_same_server = left.about.tracking_uri == connection.safe_uri
    is_same_env = left.about.environment == environment(context.config_loader)
    return is_same_env and (is_same_server or is_unknown)


def _send_all(
    connection: Connection,
    context: KedroContext,
    stopped: threading.Event,
    is_wanted: Callable[[About], bool] = lambda whose: not whose.task,
) -> None:
    outboxes = context.project_path / OUTBOXES
    try:
        for left in left_outboxes(outboxes, last_words, is_wanted):
            if stopped.is_set():
                return
            if belongs_to(left, connection, context):
                delivery = delivery_of(connection, context, left.folder)
                refused, why = send(left, delivery, lambda _: stopped.is_set())
                _say(left, not_logged(refused), why)
    except Exception as error:  # another run's records must not stop this one
        _logger.warning(
            "What earlier runs have left waits still: %s", without_secrets(str(error))
        )


def _say(left: Left, refused: str, why: str) -> None:
    name = left.about.name or left.run_id
    now = f"{left.waiting} still" if why else "the server has what waited"
    if left.was_killed and not left.about.task:
        text = "MLflow run '%s' of before had ended without a status, and is KILLED; %s"
        _logger.warning(text, name, now, extra=_PLAIN)
    elif not why:
        _logger.info("MLflow run '%s' of before: %s", name, now, extra=_PLAIN)
    if refused:
        _logger.warning("MLflow run '%s': %s", name, refused, extra=_PLAIN)
