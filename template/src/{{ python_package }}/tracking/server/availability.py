"""What happens when the tracking server is slow, away, or refuses the login."""

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from urllib.parse import urlsplit

from ..errors import TrackingError
from ..redaction import without_secrets
from ..terminal.log_filters import only
from .databricks import workspace
from .http_errors import LOGIN_REFUSED, PERMISSION_DENIED, problem
from .process_environment import EnvironmentOverride

BRIEFLY = 5  # seconds for a last request
_AT_START = 60  # seconds for an answer, before anything has been computed
_IN_BACKGROUND = 30  # seconds for an answer, while nobody waits for it
_SLOW_AFTER = 8  # seconds until the user knows that the server is slow

PORTS = {
    "http": 80,
    "https": 443,
    "postgresql": 5432,
    "mysql": 3306,
    "mssql": 1433,
}
# Seconds for all tries of a request.
_OF_DATABRICKS = "MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT"
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
LOGINS = (
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
)
_logger = logging.getLogger(__name__)


class ServerAway(TrackingError):
    """The server does not answer, or not as an MLflow server does."""


class Availability:
    """Whether a server answers, and the error message if it does not.

    Args:
        uri: the server's tracking URI.
        safe_uri: the same without a password, for messages.
        source: which file and key, or which variable, the address comes from.
        env: the Kedro environment.
    """

    def __init__(self, uri: str, safe_uri: str, source: str, env: str) -> None:
        self._uri, self._safe_uri = uri, safe_uri
        self._source, self._env = source, env
        self._workspace = workspace(uri)
        self.has_header_provider = False

    @contextmanager
    def translate_errors(self, seconds: int | None = None) -> Iterator[None]:
        """Raise a readable error if the server does not answer or refuses the login.

        It fails at once if nothing listens at the address. A slow server is waited for,
        with a warning meanwhile.

        Args:
            seconds: how long a slow server may take to answer; None for a minute.

        Raises:
            ServerAway: instead of MLflow's own error.
            TrackingError: the server refuses the login, or gives it no permission.
        """
        from mlflow.exceptions import MlflowException

        seconds = seconds or _AT_START
        try:
            self._probe(seconds)
            with _one_try(seconds), self._slowness_noticed():
                yield
        except MlflowException as error:
            is_denied = problem(str(error)) == PERMISSION_DENIED
            if "API request to" not in error.message and not is_denied:
                raise
            raise self._error(error.message) from None
        except TimeoutError as error:  # of Databricks' library
            if not self._workspace:
                raise
            raise self._error(str(error)) from None

    @contextmanager
    def _slowness_noticed(self) -> Iterator[None]:
        words = "The MLflow server at %s is slow; still waiting for it"
        timer = threading.Timer(_SLOW_AFTER, _logger.warning, (words, self._safe_uri))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _probe(self, seconds: int) -> None:
        """Connect once: where nothing listens, MLflow and SQLAlchemy retry for minutes.

        A workspace of Databricks has to answer, too: its library asks it for its
        settings, and tries for five minutes without a word (seen in 0.162).

        Raises:
            ServerAway: nothing listens at the address.
        """
        if self._workspace:
            self._ask(self._workspace, seconds)
            return
        parts = urlsplit(self._uri)
        port = PORTS.get(parts.scheme.partition("+")[0])
        if not (port and parts.hostname) or _has_proxy():
            return
        address = (parts.hostname, parts.port or port)
        try:
            with self._slowness_noticed():
                socket.create_connection(address, timeout=seconds).close()
        except OSError as error:
            raise self._error(str(error)) from None

    def _ask(self, address: str, seconds: int) -> None:
        import requests

        try:
            with self._slowness_noticed():
                requests.head(address, timeout=seconds)
        except requests.RequestException as error:
            raise self._error(str(error)) from None

    def _error(self, text: str) -> TrackingError:
        """Return the error to raise: a refused login is the user's to mend."""
        is_login = problem(text) in (LOGIN_REFUSED, PERMISSION_DENIED)
        return (TrackingError if is_login else ServerAway)(self._sentence(text))

    def _sentence(self, error: str) -> str:
        found, provider = problem(error), self.has_header_provider
        remedy = "Start it, or correct the address."
        if found in (LOGIN_REFUSED, PERMISSION_DENIED):
            is_known = found == PERMISSION_DENIED
            found += "" if provider else _kind_of_login()
            settings = "server.request_header_provider and " if provider else ""
            clocks = ", and whether the servers' clocks agree" if provider else ""
            first = "Ask who administers it, or check" if is_known else "Check"
            remedy = (
                f"{first} {settings}server.credentials in mlflow.yml, and "
                f"conf/{self._env}/credentials.yml{clocks}."
            )
        elif found.endswith("in time"):
            remedy = (
                "If it has just started, try again; or else correct the address. "
                "MLFLOW_HTTP_REQUEST_TIMEOUT sets how many seconds it has."
            )
        address = self._safe_uri
        if self._workspace:
            address += f" ({without_secrets(self._workspace)})"
            remedy = "Check DATABRICKS_HOST, or the host in ~/.databrickscfg."
        end = "" if found.endswith("?") else "."
        return (
            f"The MLflow server at {address} {found}{end} The environment is "
            f"'{self._env}', the address comes from {self._source}. {remedy}"
        )


def fail_fast() -> EnvironmentOverride:
    """Return variables that make MLflow try a request once, for five seconds."""
    return _one_try(BRIEFLY)


def _one_try(seconds: int) -> EnvironmentOverride:
    """Return variables for one try, without those that the user has set."""
    variables = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(seconds),
        _OF_DATABRICKS: str(seconds),
    }
    return EnvironmentOverride(
        {k: v for k, v in variables.items() if k not in os.environ}
    )


class _PerThread:
    """A setting of MLflow's that is another one in the threads of ``tried_once``.

    Args:
        variable: MLflow's own object for the environment variable.
        value: what those threads get.
    """

    _threads = threading.local()
    _lock = threading.Lock()
    _users = 0

    def __init__(self, variable: Any, value: int) -> None:
        self._variable, self._value = variable, value

    def get(self) -> Any:
        is_once = getattr(self._threads, "is_once", False)
        return self._value if is_once else self._variable.get()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._variable, name)


@contextmanager
def tried_once() -> Iterator[None]:
    """Let this thread try each request of MLflow's once: it has its own pauses.

    MLflow reads how often from variables, which belong to the whole process.
    """
    from mlflow.utils import rest_utils

    names = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": 0,
        "MLFLOW_HTTP_REQUEST_TIMEOUT": _IN_BACKGROUND,
        _OF_DATABRICKS: _IN_BACKGROUND,
    }
    with _PerThread._lock:
        if not _PerThread._users:
            for name, value in names.items():
                variable = getattr(rest_utils, name)
                setattr(rest_utils, name, _PerThread(variable, value))
        _PerThread._users += 1
    was_once = getattr(_PerThread._threads, "is_once", False)
    _PerThread._threads.is_once = True
    try:
        yield
    finally:
        _PerThread._threads.is_once = was_once
        with _PerThread._lock:
            _PerThread._users -= 1
            if not _PerThread._users:
                for name in names:
                    setattr(rest_utils, name, getattr(rest_utils, name)._variable)


def is_unreachable(error: BaseException) -> bool:
    """Whether an error says that MLflow could not reach its server."""
    words = ("failed with exception", "failed with timeout exception")
    return "API request to" in str(error) and any(word in str(error) for word in words)


def one_warning(address: str) -> AbstractContextManager[None]:
    """Log one warning for each request that MLflow retries; urllib3 logs every try.

    Args:
        address: the server's, for the warning. Retries of other requests are logged as
            usual.
    """

    def is_wanted(record: logging.LogRecord) -> bool:
        arguments = record.args
        if not str(record.msg).startswith("Retrying (") or not isinstance(
            arguments, tuple
        ):
            return True
        retries, _, path = arguments
        if "/api/2.0/mlflow" not in str(path):
            return True
        record.msg = "The MLflow server at %s does not answer; trying again for a while"
        record.args = (address,)
        return len(getattr(retries, "history", ())) <= 1

    return only("urllib3.connectionpool", is_wanted)


def _has_proxy() -> bool:
    return any(os.environ.get(n) or os.environ.get(n.upper()) for n in _PROXIES)


def _kind_of_login() -> str:
    """Name the variables that MLflow logs in with."""
    given = [name for name in LOGINS if os.environ.get(name)]
    if not given:
        return f": neither {LOGINS[0]} nor {LOGINS[1]} has a value"
    if given == [LOGINS[1]]:
        return f": {LOGINS[2]} has no value"
    return f" with {' and '.join(given)}"
