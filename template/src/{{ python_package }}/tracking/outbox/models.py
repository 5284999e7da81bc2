"""Models that are logged while the server is away: their records, and their delivery."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..server.availability import ServerAway
from .folder import (
    OPENING,
    artifacts_of_local_run,
    local_id,
    server_id,
    set_server_id,
)
from .journal import Record
from .replay import records

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel

    from .delivery import Delivery
    from .outbox import Outbox


def create_local_model(
    outbox: "Outbox",
    run_id: str,
    name: str | None,
    tags: "dict[str, str]",
    params: "dict[str, str]",
    model_type: str | None,
) -> "LoggedModel":
    """Create a model that the server will create later.

    Args:
        outbox: of its run.
        run_id: its run.
        name: its name.
        tags: its tags.
        params: its parameters.
        model_type: what it is for.

    Raises:
        ServerAway: it cannot be written here either.
    """
    model_id = local_id("m-")
    data = {"model_id": model_id, "name": name, "tags": tags, "params": params}
    outbox.write([Record(run_id, "model", {**data, "model_type": model_type})])
    if outbox.folder is None:
        raise ServerAway("The server is away, and there is no outbox to write to.")
    return local_model(outbox.folder, model_id)


def local_model(folder: Path, model_id: str) -> "LoggedModel":
    """Return a model from its records.

    Raises:
        LookupError: this outbox does not have it.
    """
    from mlflow.entities import LoggedModel, LoggedModelStatus

    found: dict[str, Any] = {}
    status = "PENDING"
    for record in records(folder):
        if record.data.get("model_id") != model_id:
            continue
        if record.kind == "model":
            found = {**record.data, "source_run_id": record.run_id}
        elif record.kind in ("model_tags", "model_params"):
            key = record.kind.removeprefix("model_")
            found[key] = {**found[key], **record.data[key]}
        elif record.kind == "model_end":
            status = record.data["status"]
    if not found:
        raise LookupError(f"the outbox {folder} has no model {model_id}")
    when = folder.stat().st_mtime_ns // 1_000_000
    return LoggedModel(
        **found,
        experiment_id="0",
        artifact_location=artifacts_of_local_run(folder, model_id).as_uri(),
        creation_timestamp=when,
        last_updated_timestamp=when,
        status=LoggedModelStatus(status),
    )


def deliver_model(delivery: "Delivery", record: Record) -> None:
    """Create a model on the server."""
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModelParameter, LoggedModelTag

    local, data = record.data["model_id"], record.data
    if server_id(delivery.folder, local):
        return
    run_id = delivery.known(record.run_id)
    experiment = delivery.call("get_run", run_id).info.experiment_id
    query = f"tags.`{OPENING}` = '{local}'"
    client = MlflowClient(delivery.uri)
    found = list(client.search_logged_models([experiment], query))
    if not found:
        tags = {**data["tags"], OPENING: local}
        created = delivery.call(
            "create_logged_model",
            experiment,
            data["name"],
            run_id,
            [LoggedModelTag(k, v) for k, v in tags.items()],
            [LoggedModelParameter(k, v) for k, v in data["params"].items()],
            data["model_type"],
        )
        found = [created]
    set_server_id(delivery.folder.parent, local, found[0].model_id)


def deliver_model_tags(delivery: "Delivery", record: Record) -> None:
    """Set tags of a model."""
    from mlflow.entities import LoggedModelTag

    tags = [LoggedModelTag(k, v) for k, v in record.data["tags"].items()]
    model_id = delivery.known(record.data["model_id"])
    delivery.call("set_logged_model_tags", model_id, tags)


def deliver_model_params(delivery: "Delivery", record: Record) -> None:
    """Log parameters of a model."""
    from mlflow.entities import LoggedModelParameter

    found = record.data["params"].items()
    params = [LoggedModelParameter(k, v) for k, v in found]
    model_id = delivery.known(record.data["model_id"])
    delivery.call("log_logged_model_params", model_id, params)


def deliver_model_end(delivery: "Delivery", record: Record) -> None:
    """Upload the files of a model, which then know the server's ids; finalize it."""
    from mlflow.entities import LoggedModelStatus

    local = record.data["model_id"]
    model_id, run_id = delivery.known(local), delivery.known(record.run_id)
    files = artifacts_of_local_run(delivery.folder, local)
    description = files / "MLmodel"
    if description.exists():
        text = description.read_text("utf-8").replace(local, model_id)
        description.write_text(text.replace(record.run_id, run_id), "utf-8")
    if files.exists():
        location = delivery.call("get_logged_model", model_id).artifact_location
        delivery.repository(location).log_artifacts(str(files))
    status = LoggedModelStatus(record.data["status"])
    delivery.call("finalize_logged_model", model_id, status)


def deliver_outputs(delivery: "Delivery", record: Record) -> None:
    """Say which models a run has made."""
    from mlflow.entities import LoggedModelOutput

    models = [
        LoggedModelOutput(delivery.known(model_id), step)
        for model_id, step in record.data["models"]
    ]
    delivery.call("log_outputs", delivery.known(record.run_id), models)


def deliver_version(delivery: "Delivery", record: Record) -> None:
    """Make a model a new version of a registered one, unless it is one already."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client, name = MlflowClient(delivery.uri), record.data["key"]
    model_id, run_id = delivery.known(record.data["model_id"]), record.run_id
    source = f"models:/{model_id}"
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    versions = client.search_model_versions(f"name = '{name}'")
    if all(version.source != source for version in versions):
        run_id = delivery.known(run_id)
        client.create_model_version(name, source, run_id, model_id=model_id)


DELIVERIES: "dict[str, Callable[[Delivery, Record], None]]" = {
    "model": deliver_model,
    "model_tags": deliver_model_tags,
    "model_params": deliver_model_params,
    "model_end": deliver_model_end,
    "outputs": deliver_outputs,
    "version": deliver_version,
}
"""What sends the records of models."""
