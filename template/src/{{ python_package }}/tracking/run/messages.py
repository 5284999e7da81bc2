"""The messages of a run: a line when it starts, and a line when it ends."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..outbox.waiting import Waiting
from ..redaction import without_secrets
from ..server.http_errors import problem
from ..terminal.humanize import duration

if TYPE_CHECKING:
    from mlflow.entities import RunInfo

    from ..server.connection import Connection

NO_URL = "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"

_logger = logging.getLogger(__name__)
_PLAIN = {"markup": False}  # Kedro's handler would interpret brackets in names


def say_started(
    run: "RunInfo", experiment: str | None, connection: "Connection"
) -> None:
    """Log which run has started, and where.

    Args:
        run: the MLflow run.
        experiment: the name of its experiment; None for a continued run, which may be
            in any.
        connection: its server.
    """
    which = f"in the experiment '{experiment}'" if experiment else "continues"
    _say(f"MLflow run '{_name(run)}' {which} at {connection.display_uri}")


def say_joined(run: "RunInfo") -> None:
    """Log that a run is used which other code has started."""
    _say(f"MLflow run '{_name(run)}' is active already; this run logs to it")


def say_joined_by_key(run: "RunInfo", attempt: int, connection: "Connection") -> None:
    """Log which run a task belongs to.

    Args:
        run: the run of its workflow.
        attempt: which attempt of the task this is, from 1.
        connection: the run's server.
    """
    again = f", attempt {attempt}" if attempt > 1 else ""
    _say(f"Task of MLflow run '{_name(run)}' at {connection.display_uri}{again}")


def say_offline(run: "RunInfo", away: Exception, is_asked: bool) -> None:
    """Log that a run is recorded on this machine, and why: a warning unless it is asked for."""
    (_logger.warning if not is_asked else _logger.info)(
        "MLflow run '%s' is recorded on this machine until its server has it: %s",
        _name(run),
        without_secrets(str(away)),
        extra=_PLAIN,
    )


def say_away(address: str, error: Exception) -> None:
    """Warn that a server has gone away, while the run goes on."""
    text = str(error)
    of_server = problem(text) if "API request to" in text else f"is not reached: {text}"
    _logger.warning(
        "The MLflow server at %s %s The run goes on, and what it logs waits.",
        address,
        without_secrets(
            of_server.rstrip(".") + ("" if of_server.endswith("?") else ".")
        ),
        extra=_PLAIN,
    )


def say_back(address: str) -> None:
    """Log that a server answers again."""
    _say(f"The MLflow server at {address} answers again")


def say_waiting(folder: Path, left: Waiting, is_task: bool, is_asked: bool) -> None:
    """Log what the server does not have at the end: a warning unless it is asked for."""
    (_logger.warning if not is_asked else _logger.info)(
        "%s in %s for the server. 'kedro mlflow sync' sends them, or %s.",
        left,
        "/".join(folder.parts[-3:]),  # within the project; a whole path would wrap
        "'kedro mlflow finish'" if is_task else "the next run that reaches it",
        extra=_PLAIN,
    )


def say_ended(
    run: "RunInfo",
    status: str,
    seconds: float,
    connection: "Connection",
    on_server: "RunInfo | None",
    is_task: bool = False,
) -> None:
    """Log how the run ended, and where to look at it.

    Args:
        run: the run.
        status: how it ended.
        seconds: how long it took.
        connection: to its server.
        on_server: the run as the server knows it; None if the server is away.
        is_task: whether only a task of it has ended.
    """
    what = "Task of MLflow run" if is_task else "MLflow run"
    ended = f"{what} '{_name(run)}' {status} after {duration(seconds)}"
    url = connection.url(on_server) if on_server else ""
    if on_server and status != "FINISHED" and not is_task:
        resume = connection.command("resume")  # Kedro has named --from-nodes
        ended += f"; '{resume}' continues it, --from-nodes would start another"
    if url is None:
        ended += f"; '{connection.command('ui')}' shows it"
    _say(ended)
    if url and os.environ.get(NO_URL, "").lower() not in ("true", "1"):
        click.echo(url)  # printed alone, since a log handler would break the line


def say_unread(names: list[str]) -> None:
    """Warn about ``--params`` that are meant for MLflow and that nothing reads."""
    if names:
        _logger.warning(
            "Nothing reads --params %s. A key of mlflow.yml takes it as, for example, "
            "id: ${runtime_params:run_id, null} below tracking.run",
            ", ".join(names),
            extra=_PLAIN,
        )


def say_left_out(what: str, why: str) -> None:
    """Log that a run is without something that nobody has asked for."""
    _say(f"The run is without its {what}: {why}")


def say_status_is_lost(run: "RunInfo", status: str, error: Exception) -> None:
    """Warn that the server may not know how the run ended."""
    _logger.warning(
        "MLflow run '%s' is %s, but its server may not know: %s",
        _name(run),
        status,
        without_secrets(str(error)),
        extra=_PLAIN,
    )


def _name(run: "RunInfo") -> str:
    return str(run.run_name or run.run_id)


def _say(text: str) -> None:
    _logger.info("%s", without_secrets(text), extra=_PLAIN)
