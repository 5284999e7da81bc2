"""Workspaces of an MLflow server: select one, link to it, and explain its errors."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from ..errors import TrackingError

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")  # MLflow's rule
_DEFAULT = "default"


def workspace_variables(workspace: str | None, uri: str, source: str) -> dict[str, str]:
    """Return the environment variables that select MLflow's workspace.

    Args:
        workspace: ``server.workspace`` of ``mlflow.yml``; None changes nothing.
        uri: the tracking URI.
        source: the file and key of the workspace, for errors.

    Raises:
        TrackingError: the name is invalid, or runs do not go to an MLflow server.
    """
    if workspace is None:
        return {}
    if not uri.startswith(("http:", "https:")):
        raise TrackingError(
            f"{source} is '{workspace}', and only an MLflow server has workspaces; MLflow "
            "would ignore it. Let it be null, or name a server in "
            "server.mlflow_tracking_uri."
        )
    if not _NAME.fullmatch(workspace) or not 2 <= len(workspace) <= 63:
        raise TrackingError(
            f"{source} is '{workspace}', which cannot be the name of a workspace: use 2 to "
            "63 lower-case letters, digits and dashes, with no dash at either end."
        )
    return {"MLFLOW_WORKSPACE": workspace}


def active_workspace() -> str | None:
    """Return the workspace of ``MLFLOW_WORKSPACE``; None for the default one."""
    name = os.environ.get("MLFLOW_WORKSPACE", "").strip()
    return name if name and name != _DEFAULT else None


def page_at(address: str, path: str, workspace: str | None) -> str:
    """Return the address of a page of MLflow's UI.

    Args:
        address: the server's.
        path: as ``run_path`` gives it; empty for the start page.
        workspace: the server's workspace; None for its default one.
    """
    if not (path or workspace):
        return address
    page = f"{address.rstrip('/')}/#/{path}"
    return f"{page}?workspace={quote(workspace, safe='')}" if workspace else page


def experiment_path(experiment_id: str | None) -> str:
    """Return the path of the page with an experiment's runs; empty for None."""
    return f"experiments/{experiment_id}/runs" if experiment_id else ""


def run_path(experiment_id: str, run_id: str) -> str:
    """Return the path of a run's page."""
    return f"{experiment_path(experiment_id)}/{run_id}"


@contextmanager
def workspace_errors(workspace: str | None, safe_uri: str) -> Iterator[None]:
    """Raise a readable error if a server lacks the workspace, or has none at all.

    Raises:
        TrackingError: instead of MLflow's own error.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if not workspace or "orkspace" not in error.message:
            raise
        # A server of MLflow 3.10 answers with 500, and its code is only in the text.
        if "FEATURE_DISABLED" in f"{error.error_code} {error.message}":
            problem = "has no workspaces"
            remedy = (
                "Start it with --enable-workspaces, or let server.workspace be null"
            )
        elif error.error_code == "RESOURCE_DOES_NOT_EXIST":
            problem = f"has no workspace '{workspace}'"
            remedy = "Create it there, or correct server.workspace"
        else:
            raise
        raise TrackingError(
            f"The MLflow server at {safe_uri} {problem}. {remedy} in mlflow.yml."
        ) from None
