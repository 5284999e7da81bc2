"""Make the URIs and paths of ``mlflow.yml`` absolute."""

import os
import re
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from ..errors import TrackingError
from ..redaction import without_login, without_secrets
from ..template.addresses import address_problem

LOCAL_STORE = "mlruns"
DATABASE = "mlflow.db"

_SQLITE = "sqlite:///"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # two letters: no Windows drive
_MISREAD = r"%[0-9A-Fa-f]{2}|\?"  # has a meaning in a URL
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_PROFILES = ("databricks", "databricks-uc", "uc")


def tracking_uri(
    configured: str | None,
    project_path: Path,
    source: str = "server.mlflow_tracking_uri",
) -> str:
    """Return the absolute tracking URI that ``mlflow.yml`` and the environment ask for.

    Args:
        configured: ``server.mlflow_tracking_uri``; None means the variable
            ``MLFLOW_TRACKING_URI`` and, without that, the folder ``mlruns``.
        project_path: the project's root, to which relative paths are anchored.
        source: the key or variable that sets the address, for errors.

    Returns:
        A URI for MLflow. For a folder, that of the SQLite database inside it.

    Raises:
        TrackingError: it is no valid address, the folder holds a file store, which
            newer versions of MLflow refuse, or its name cannot be part of a SQLite URI.
    """
    uri = configured or os.environ.get("MLFLOW_TRACKING_URI") or LOCAL_STORE
    _refuse_mistake(uri, project_path, source, "mlflow.tracking_store")
    folder = _folder(uri, project_path)
    if folder is None:
        return anchor(uri, project_path)
    if _is_file_store(folder):
        if os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("true", "1"):
            return folder.as_uri()
        raise TrackingError(
            f"{folder} holds runs in MLflow's old file store, which MLflow 3.13 and newer "
            f"no longer open. Move them with 'mlflow migrate-filestore --source {folder} "
            f"--target {_sqlite(folder / DATABASE)}', or set MLFLOW_ALLOW_FILE_STORE=true."
        )
    return _sqlite(folder / DATABASE)


def registry_uri(
    configured: str,
    project_path: Path,
    source: str = "server.mlflow_registry_uri",
) -> str:
    """Return the absolute registry URI.

    Raises:
        TrackingError: it is no valid address.
    """
    _refuse_mistake(configured, project_path, source, "mlflow.model_registry_store")
    return anchor(configured, project_path)


def anchor(uri: str, project_path: Path) -> str:
    """Make a relative path or relative SQLite URI absolute, from the project's root.

    Every other URI (``https://…``, ``s3://…``, ``databricks``) is returned unchanged.
    """
    if uri.startswith(_SQLITE):
        path, _, query = uri.removeprefix(_SQLITE).partition("?")
        return _sqlite(project_path / unquote(path)) + (f"?{query}" if query else "")
    folder = _folder(uri, project_path)
    return uri if folder is None else folder.as_uri()


def refuse_artifact_name(path: str) -> None:
    """Refuse the path of an artifact that MLflow would read as another path.

    Its HTTP client puts the path into a URL without escaping it, and ``runs:/`` is a URL
    too: ``a.json#1`` would overwrite ``a.json`` on a server, or be loaded as ``a.json``.

    Raises:
        TrackingError: it has a ``#``, a ``?`` or a percent escape.
    """
    if misread := re.search(rf"#|{_MISREAD}", path):
        raise TrackingError(
            f"the artifact '{path}' cannot have '{misread[0]}' in its name, which MLflow "
            "reads as part of an address. Save it under another name."
        )


def display_uri(uri: str, project_path: Path) -> str:
    """Return a short URI for messages: a database in the project is a relative path."""
    database = sqlite_path(uri)
    if database is None or not database.is_relative_to(project_path):
        return without_secrets(uri)
    return database.relative_to(project_path).as_posix()


def artifact_root(uri: str, project_path: Path) -> Path | None:
    """Return the folder for the artifacts of a SQLite store; None for other stores.

    It is the folder of a local store's database, and the project's ``mlruns`` for any
    other SQLite file, since MLflow's own default is the working directory.
    """
    database = sqlite_path(uri)
    if database is None:
        return None
    if database.name == DATABASE and database.parent != project_path:
        return database.parent
    return project_path / LOCAL_STORE


def sqlite_path(uri: str) -> Path | None:
    """Return the file of a SQLite URI; None for any other URI."""
    if not uri.startswith(_SQLITE):
        return None
    return Path(uri.removeprefix(_SQLITE).partition("?")[0])


def is_database(uri: str) -> bool:
    """Whether MLflow connects to a database itself, without a server of its own."""
    return uri.partition(":")[0].partition("+")[0] in _DATABASES


def _refuse_mistake(uri: str, project_path: Path, source: str, plugins: str) -> None:
    def is_plugin(scheme: str) -> bool:
        return scheme in entry_points(group=plugins).names

    if problem := address_problem(uri, project_path, is_plugin):
        found_at = source.replace("the variable", "The variable")
        raise TrackingError(f"{found_at} is '{without_login(uri)}', which {problem}")


def _sqlite(path: Path) -> str:
    name = Path(os.path.normpath(path)).as_posix()
    if unreadable := re.search(_MISREAD, name):
        raise TrackingError(
            f"{name} cannot be a database of MLflow's: SQLAlchemy reads the "
            f"'{unreadable[0]}' in its path as something else. Rename the folder, or name "
            "another place in server.mlflow_tracking_uri of mlflow.yml."
        )
    return _SQLITE + name


def _folder(uri: str, project_path: Path) -> Path | None:
    if uri.startswith("file:"):
        uri = url2pathname(urlsplit(uri).path)
    elif _SCHEME.match(uri) or uri in _PROFILES:
        return None
    return Path(os.path.normpath(project_path / Path(uri).expanduser()))


def _is_file_store(folder: Path) -> bool:
    return not (folder / DATABASE).exists() and any(folder.glob("*/meta.yaml"))
