"""The tracking server of a run: reached, lent to the process, given back."""

import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kedro.framework.context import KedroContext

from ..config.loading import environment, key_location
from ..config.options import ServerOptions
from ..errors import TrackingError
from ..notebook import suspended
from ..redaction import split_login, without_secrets
from ..terminal.log_filters import without_secrets_in_logs
from . import uris
from .answers import problem
from .availability import SECONDS, fail_fast, one_warning
from .credentials import credential_variables
from .process_environment import EnvironmentOverride

if TYPE_CHECKING:
    from mlflow.entities import RunInfo

    from .auth import Login

_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_LOGINS = (
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
)


class Connection:
    """A tracking server that the process talks to for the length of a run.

    Attributes:
        uri: the absolute tracking URI.
        safe_uri: the same for people, without a password.
        place: the same in short.
        variables: the environment variables that stand meanwhile, credentials
            included; workers of the run need the same ones.
        artifact_root: where the artifacts of a SQLite store go; None for other stores.
        login: what MLflow asks for headers meanwhile; None where nobody asks.
    """

    def __init__(
        self, options: ServerOptions, context: KedroContext, exclusive: bool = True
    ) -> None:
        """Export the credentials, resolve the URIs and, for a run, register the login.

        Args:
            options: ``server`` of ``mlflow.yml``.
            context: the run's.
            exclusive: whether it is a run's: a notebook steps aside meanwhile, and
                another run with another server is refused.

        Raises:
            TrackingError: ``mlflow.yml`` or ``credentials.yml`` cannot be followed, or
                another run in this process is talking to another server.
        """
        self.variables: dict[str, str] = {}
        self.login: Login | None = None
        self._options, self._context = options, context
        project, loader = context.project_path, context.config_loader
        self._env = environment(loader)
        with ExitStack() as stack:
            self._surroundings = stack
            if exclusive:
                stack.enter_context(suspended())
            entries = context._get_config_credentials() if options.credentials else {}
            variables = credential_variables(options.credentials, entries, loader)
            lent_uri = variables.pop("MLFLOW_TRACKING_URI", None)
            self._uri_is_a_credential = lent_uri is not None
            registry = variables.pop("MLFLOW_REGISTRY_URI", None)
            registry = options.mlflow_registry_uri or registry
            registry = registry or os.environ.get("MLFLOW_REGISTRY_URI")
            self.lend(variables, exclusive)
            self.uri, registry, login = split_login(
                uris.tracking_uri(options.mlflow_tracking_uri or lent_uri, project),
                registry and uris.anchor(registry, project),
            )
            if any(name in variables for name in _LOGINS):
                login = {}  # credentials.yml comes before the address
            self.safe_uri = without_secrets(self.uri)
            self.display_uri = uris.display_uri(self.uri, project)
            self.artifact_root = uris.artifact_root(self.uri, project)
            addresses = {"MLFLOW_TRACKING_URI": self.uri}
            if registry:
                addresses["MLFLOW_REGISTRY_URI"] = registry
            self.lend({**addresses, **login}, exclusive)
            stack.enter_context(without_secrets_in_logs())
            stack.enter_context(one_warning(self.safe_uri))
            if exclusive:
                stack.enter_context(fluent_uri(self.uri))
                self.log_in()
            self._surroundings = stack.pop_all()

    def log_in(self) -> None:
        """Register the login with MLflow, which this imports.

        Raises:
            TrackingError: the header provider of ``mlflow.yml`` cannot be used.
        """
        from .auth import login

        uris = [self.uri, self.variables.get("MLFLOW_REGISTRY_URI", self.uri)]
        self.login = login(self._options.request_header_provider, self._context, uris)
        if self.login:
            self.login.register()
            self._surroundings.callback(self.login.unregister)
            self.lend(self.login.variables)

    def url(self, run: "RunInfo") -> str | None:
        """Give the address of a run's page; None where no server shows it."""
        if not self.uri.startswith(("http:", "https:")):
            return None
        address = self.safe_uri.rstrip("/")
        return f"{address}/#/experiments/{run.experiment_id}/runs/{run.run_id}"

    @property
    def ui(self) -> str:
        """The command that shows the runs of this environment."""
        default = getattr(self._context.config_loader, "default_run_env", None)
        return "kedro mlflow ui" + (
            "" if self._env == default else f" --env {self._env}"
        )

    def lend(self, variables: Mapping[str, str], exclusive: bool = False) -> None:
        """Set environment variables until ``give_back``."""
        self._surroundings.enter_context(EnvironmentOverride(variables, exclusive))
        self.variables.update(variables)

    def close(self) -> None:
        """Leave the process as it was found; a second call does nothing."""
        self._surroundings.close()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fail_fast(self) -> None:
        """From now on ask the server once and briefly: it was found gone."""
        self._surroundings.enter_context(fail_fast())

    @contextmanager
    def translate_errors(self, patient: bool = False) -> Iterator[None]:
        """Tell a server that does not answer, or refuses the login, in a sentence.

        Args:
            patient: whether to wait as long as MLflow does, minutes by default, and not
                for five seconds.

        Raises:
            TrackingError: instead of MLflow's own error.
        """
        from mlflow.exceptions import MlflowException

        if not patient:
            self._probe_database()
        try:
            with nullcontext() if patient else fail_fast():
                yield
        except MlflowException as error:
            if "API request to" not in error.message:
                raise
            raise TrackingError(self._sentence(error.message)) from None

    def _sentence(self, error: str) -> str:
        found = problem(error)
        remedy = (
            "Start it, correct the address, or run with KEDRO_MLFLOW_DISABLED=true."
        )
        if found == "refuses the login":
            found += "" if self.login else _kind_of_login()
            settings = "server.request_header_provider and " if self.login else ""
            clocks = ", and whether the servers' clocks agree" if self.login else ""
            remedy = (
                f"Check {settings}server.credentials in mlflow.yml, and "
                f"conf/{self._env}/credentials.yml{clocks}."
            )
        elif found.endswith("in time"):
            remedy += " MLFLOW_HTTP_REQUEST_TIMEOUT sets how many seconds it has."
        end = "" if found.endswith("?") else "."
        return (
            f"The MLflow server at {self.safe_uri} {found}{end} The environment is "
            f"'{self._env}', the address comes from "
            f"{self._source()}. {remedy}"
        )

    def _source(self) -> str:
        if self._options.mlflow_tracking_uri:
            return key_location(
                "server.mlflow_tracking_uri", self._context.config_loader
            )
        variable = "the variable MLFLOW_TRACKING_URI"
        if self._uri_is_a_credential:
            return f"{variable} in '{self._options.credentials}' of credentials.yml"
        return variable

    def _probe_database(self) -> None:
        """Connect once to a database's host, at which MLflow would try for minutes."""
        parts = urlsplit(self.uri)
        port = _PORTS.get(parts.scheme.partition("+")[0])
        if port and parts.hostname:
            address = (parts.hostname, parts.port or port)
            try:
                socket.create_connection(address, timeout=SECONDS).close()
            except OSError as error:
                raise TrackingError(self._sentence(str(error))) from None


@contextmanager
def fluent_uri(uri: str) -> Iterator[None]:
    """Overrule an earlier ``mlflow.set_tracking_uri``, which beats the variable."""
    mlflow = sys.modules.get("mlflow")
    earlier = mlflow.get_tracking_uri() if mlflow else uri
    if mlflow and earlier != uri:
        mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        if mlflow and earlier != uri:
            mlflow.set_tracking_uri(earlier)


def _kind_of_login() -> str:
    """Tell which variables MLflow logs in with, by name."""
    given = [name for name in _LOGINS if os.environ.get(name)]
    if not given:
        return f": neither {_LOGINS[0]} nor {_LOGINS[1]} has a value"
    if given == [_LOGINS[1]]:
        return f": {_LOGINS[2]} has no value"
    return f" with {' and '.join(given)}"
