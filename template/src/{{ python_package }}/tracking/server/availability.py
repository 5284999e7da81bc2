"""What happens when the tracking server is slow, away, or refuses the login."""

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from urllib.parse import urlsplit

from ..errors import TrackingError
from ..terminal.log_filters import only
from .http_errors import problem
from .process_environment import EnvironmentOverride

BRIEFLY = 5  # seconds for a last request
_AT_START = 60  # seconds for an answer, before anything has been computed
_SLOW_AFTER = 8  # seconds until the user knows that the server is slow

PORTS = {
    "http": 80,
    "https": 443,
    "postgresql": 5432,
    "mysql": 3306,
    "mssql": 1433,
}
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
LOGINS = (
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
)
_logger = logging.getLogger(__name__)


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
        self.has_header_provider = False

    @contextmanager
    def translate_errors(self, patient: bool = False) -> Iterator[None]:
        """Raise a readable error if the server does not answer or refuses the login.

        Args:
            patient: whether to try as long as MLflow does, minutes by default. Otherwise
                fail at once if nothing listens at the address; wait a minute for a slow
                server, and log a warning meanwhile.

        Raises:
            TrackingError: instead of MLflow's own error.
        """
        from mlflow.exceptions import MlflowException

        try:
            with ExitStack() as stack:
                if not patient:
                    self._probe()
                    stack.enter_context(_one_try(_AT_START))
                    stack.enter_context(self._slowness_noticed())
                yield
        except MlflowException as error:
            if "API request to" not in error.message:
                raise
            raise TrackingError(self._sentence(error.message)) from None

    @contextmanager
    def _slowness_noticed(self) -> Iterator[None]:
        words = "The MLflow server at %s is slow; waiting for up to a minute"
        timer = threading.Timer(_SLOW_AFTER, _logger.warning, (words, self._safe_uri))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _probe(self) -> None:
        """Connect once: where nothing listens, MLflow and SQLAlchemy retry for minutes.

        Raises:
            TrackingError: nothing listens at the address.
        """
        parts = urlsplit(self._uri)
        port = PORTS.get(parts.scheme.partition("+")[0])
        if not (port and parts.hostname) or _has_proxy():
            return
        address = (parts.hostname, parts.port or port)
        try:
            with self._slowness_noticed():
                socket.create_connection(address, timeout=_AT_START).close()
        except OSError as error:
            raise TrackingError(self._sentence(str(error))) from None

    def _sentence(self, error: str) -> str:
        found, provider = problem(error), self.has_header_provider
        remedy = (
            "Start it, correct the address, or run with KEDRO_MLFLOW_DISABLED=true."
        )
        if found == "refuses the login":
            found += "" if provider else _kind_of_login()
            settings = "server.request_header_provider and " if provider else ""
            clocks = ", and whether the servers' clocks agree" if provider else ""
            remedy = (
                f"Check {settings}server.credentials in mlflow.yml, and "
                f"conf/{self._env}/credentials.yml{clocks}."
            )
        elif found.endswith("in time"):
            remedy += " MLFLOW_HTTP_REQUEST_TIMEOUT sets how many seconds it has."
        end = "" if found.endswith("?") else "."
        return (
            f"The MLflow server at {self._safe_uri} {found}{end} The environment is "
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
    }
    return EnvironmentOverride(
        {k: v for k, v in variables.items() if k not in os.environ}
    )


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
