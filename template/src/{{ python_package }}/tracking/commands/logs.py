"""What a run has logged, for ``kedro mlflow logs``."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import TrackingError
from .context import connected, load_context
from .recorded import artifact_text
from .which_run import run_or_newest, short

if TYPE_CHECKING:
    from mlflow import MlflowClient

_FIRST, _FURTHER = "console.log", "console"
"""The log of a run's first Kedro run, and the folder with those of further ones."""


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
    """Fetch the logs of a run: up to five requests, and one for each log.

    Args:
        project_path: the project's root.
        env: the environment.
        which: as in ``run_or_newest``.

    Raises:
        TrackingError: there is no such run, it has no log, or the server does not answer.
    """
    from mlflow import MlflowClient

    context = load_context(project_path, env)
    with connected(context) as connection:
        run = run_or_newest(which, connection, context)
        run_id, client = run.info.run_id, MlflowClient(connection.uri)
        texts = [artifact_text(client, run_id, path) for path in _paths(client, run_id)]
    title = f"{run.info.run_name} ({short(run_id)}), {run.info.status}"
    if not texts:
        raise TrackingError(
            f"The run {title}, has no log. A run sends it at its end, unless "
            "tracking.record.console is false in mlflow.yml; what 'kedro mlflow runs' "
            "marks '(waits here)', 'kedro mlflow sync' sends."
        )
    return Logs(title, texts)


def _paths(client: "MlflowClient", run_id: str) -> list[str]:
    top = [each.path for each in client.list_artifacts(run_id)]
    further = client.list_artifacts(run_id, _FURTHER) if _FURTHER in top else ()
    return [_FIRST] * (_FIRST in top) + sorted(each.path for each in further)
