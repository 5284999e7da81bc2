"""Say for an environment whether its configuration holds and its server answers."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from kedro.framework.session import KedroSession

from .errors import TrackingError
from .experiment import experiment_name
from .location import sqlite_path
from .server import Server


@dataclass(frozen=True)
class Finding:
    """What was found in one environment.

    Attributes:
        environment: its name.
        ok: whether a run would be tracked.
        tracking_uri: where runs go; empty when the configuration does not tell.
        experiment: the experiment they belong to.
        message: what is wrong, or what answers.
    """

    environment: str
    ok: bool
    tracking_uri: str
    experiment: str
    message: str

    def as_dict(self) -> dict[str, str | bool]:
        """Give the finding for a machine."""
        return asdict(self)


def check(project_path: Path, env: str) -> Finding:
    """Try an environment out, without creating anything in its store."""
    uri = experiment = ""
    try:
        with KedroSession.create(project_path, save_on_close=False, env=env) as session:
            context = session.load_context()  # type: ignore[attr-defined]
        config = context.mlflow
        experiment = experiment_name(config.tracking.experiment, context)
        server = Server(config.server, context)
        uri = server.uri
        try:
            return Finding(env, True, uri, experiment, _answer(server))
        finally:
            server.give_back()
    except TrackingError as error:
        return Finding(env, False, uri, experiment, error.message)


def environments(conf_source: Path) -> Iterator[str]:
    """Give the environments of a project: each folder of its configuration but base."""
    for folder in sorted(conf_source.iterdir()):
        if folder.is_dir() and folder.name != "base" and folder.name[0] not in "._":
            yield folder.name


def _answer(server: Server) -> str:
    from mlflow import MlflowClient

    database = sqlite_path(server.uri)
    if database is not None and not database.exists():
        return "the first run creates the local store"
    with server.answering():
        MlflowClient().search_experiments(max_results=1)
    return "the store is there" if database else "the server answers"
