"""A copy of the runs that no server has yet, to look at."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kedro.framework.context import KedroContext

from ..config.loading import environment
from ..config.options import ServerOptions
from ..errors import TrackingError
from ..outbox.folder import OUTBOXES, about, folders
from ..outbox.left import send_copy
from ..outbox.replay import local_runs
from ..run.left import delivery_of
from ..server.connection import Connection
from ..server.local_store import create_local_store

OFFLINE_HINT = " 'kedro mlflow ui --offline' shows the runs that wait for it."


def has_offline_runs(context: KedroContext) -> bool:
    """Whether there are runs that an environment's server does not know."""
    env = environment(context.config_loader)
    outboxes = folders(context.project_path / OUTBOXES)
    return any(_is_wanted(folder, env) for folder in outboxes)


def _is_wanted(folder: Path, env: str) -> bool:
    with suppress(FileNotFoundError):  # another process has just sent it
        return about(folder).environment == env and any(local_runs(folder))
    return False


@contextmanager
def offline_copy(context: KedroContext) -> Iterator[Connection]:
    """Connect to a temporary store with the runs that an environment's server lacks.

    The outboxes are copied first, so that nothing of them changes.

    Raises:
        TrackingError: there is no such run.
    """
    env, outboxes = environment(context.config_loader), context.project_path / OUTBOXES
    if not has_offline_runs(context):
        raise TrackingError(
            f"The server of the environment '{env}' knows all runs, and 'kedro mlflow ui' "
            "shows them when it answers. What waits for it, 'kedro mlflow sync --dry-run' "
            "lists."
        )
    with tempfile.TemporaryDirectory(prefix="kedro-mlflow-offline-") as temporary:
        copies = Path(temporary, "outbox")
        shutil.copytree(outboxes, copies)
        options = ServerOptions(mlflow_tracking_uri=str(Path(temporary, "store")))
        with Connection(options, context) as connection:
            assert connection.artifact_root  # noqa: S101  # it is a folder
            create_local_store(connection.uri, connection.artifact_root)
            for folder in folders(copies):
                if _is_wanted(folder, env):
                    send_copy(folder, delivery_of(connection, context, folder))
            yield connection
