"""Check that the configuration of an environment is valid and its server answers."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import yaml
from kedro.framework.context import KedroContext
from kedro.framework.project import pipelines

from ..config.loading import key_location, mlflow_config, mlflow_files
from ..config.options import ServerOptions
from ..errors import TrackingError, did_you_mean
from ..outbox.folder import OUTBOXES
from ..outbox.left import left_outboxes, send
from ..run.experiment import experiment_name
from ..run.killed import last_words
from ..run.left import belongs_to, delivery_of
from ..server.availability import ServerAway
from ..server.connection import Connection
from ..server.local_store import is_missing, is_older, refuse_unwritable
from ..server.offline import offline_mode
from ..template.secret_scan import committed_secrets
from .context import load_context
from .rerun import missing_for_rerun


@dataclass(frozen=True)
class Finding:
    """What was found in one environment.

    Attributes:
        environment: its name.
        ok: whether a run would be tracked.
        tracking_uri: where runs go; empty if an error comes before that is known.
        workspace: the server's workspace; empty for its default one.
        experiment: the experiment of the runs.
        message: what is wrong, or that the server or store can be used.
        missing: what a rerun of a run that starts now would be without.
    """

    environment: str
    ok: bool
    tracking_uri: str
    workspace: str
    experiment: str
    message: str
    missing: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, str | bool | tuple[str, ...]]:
        """Return the finding for JSON."""
        return asdict(self)


def check(project_path: Path, env: str) -> Finding:
    """Check an environment, without creating anything in its store."""
    found = _check(project_path, env)
    if not found.ok:
        return found
    missing = missing_for_rerun(load_context(project_path, env))
    return replace(found, missing=tuple(missing))


def _check(project_path: Path, env: str) -> Finding:
    uri = workspace = experiment = ""
    try:
        context = load_context(project_path, env)
        config = mlflow_config(context)
        experiment = experiment_name(config.tracking.experiment, context)
        _refuse_unknown_pipelines(context)
        _refuse_secrets(context)
        with Connection(config.server, context) as connection:
            uri, workspace = connection.safe_uri, connection.workspace or ""
            left = _left(context, connection)
            if offline_mode(config.server) == "always":
                answer = "runs are recorded on this machine, since offline is 'always'"
                return Finding(env, True, uri, workspace, experiment, answer + left)
            try:
                answer = _answer(connection, experiment) + left
            except ServerAway as away:
                then = f"{away.message}{_until_then(config.server)}"
                answer = then.rstrip(".") + left if left else then
                return Finding(env, False, uri, workspace, experiment, answer)
            return Finding(env, True, uri, workspace, experiment, answer)
    except TrackingError as error:
        return Finding(env, False, uri, workspace, experiment, error.message)


def _refuse_unknown_pipelines(context: KedroContext) -> None:
    disabled = mlflow_config(context).tracking.disable_tracking.pipelines
    unknown = [name for name in disabled if name not in pipelines]
    if unknown:
        key = key_location("tracking.disable_tracking.pipelines", context.config_loader)
        found = ", ".join(
            f"'{name}'" + did_you_mean(name, pipelines) for name in unknown
        )
        raise TrackingError(
            f"{key} names pipelines that are not there: {found}. There are: "
            f"{', '.join(pipelines)}."
        )


def _refuse_secrets(context: KedroContext) -> None:
    for name, file in mlflow_files(context.config_loader):
        content = yaml.safe_load(file.read_text("utf-8"))
        for sentence in committed_secrets(file, content):
            raise TrackingError(f"{name}: {sentence}")


def _until_then(options: ServerOptions) -> str:
    if offline_mode(options) == "never":
        return ""
    return " Until it answers, runs are recorded on this machine."


def _left(context: KedroContext, connection: Connection) -> str:
    """Settle runs whose processes have died, and say what waits for the server."""
    words = []
    for left in left_outboxes(context.project_path / OUTBOXES, last_words):
        if belongs_to(left, connection, context):
            name = left.about.name or left.run_id
            if left.was_killed:
                delivery = delivery_of(connection, context, left.folder)
                _, why = send(left, delivery, lambda _: False)
                waits = ", which waits for the server" if why else ""
                words.append(
                    f"run '{name}' had ended without a status, and is KILLED{waits}"
                )
            else:
                words.append(
                    f"{left.waiting} of run '{name}': 'kedro mlflow sync' sends them"
                )
    return "".join(f"; {text}" for text in words)


def _answer(connection: Connection, experiment: str) -> str:
    refuse_unwritable(connection.uri)
    if is_missing(connection.uri):
        return "the first run creates the local store"
    if is_older(connection.uri):
        return "the store is an older MLflow's; the first run migrates it, and keeps a copy"
    from mlflow import MlflowClient

    with connection.translate_errors():
        MlflowClient().search_experiments(max_results=1)  # in a workspace that is there
        MlflowClient().get_experiment_by_name(experiment)  # which needs a permission
    return "the store is there" if connection.artifact_root else "the server answers"
