"""The connection of this process to the tracking server of an environment."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from kedro.framework.context import KedroContext

from ..config.loading import environment, key_location
from ..config.options import ServerOptions
from ..config.resolvers import resolvers_lock
from ..redaction import split_login, without_secrets
from ..terminal.log_filters import without_secrets_in_logs
from . import databricks, uris
from .availability import LOGINS, Availability, one_warning
from .credentials import credential_variables
from .process_environment import (
    EnvironmentOverride,
    loaded_mlflow,
    standing_suspended,
)
from .workspace import (
    active_workspace,
    page_at,
    run_path,
    workspace_errors,
    workspace_variables,
)

if TYPE_CHECKING:
    from mlflow.entities import RunInfo

    from .auth import Login


class Connection:
    """Connects this process to a tracking server, for the length of a ``with`` block.

    A notebook, which stays connected between runs, calls ``export`` and ``log_in``
    itself, when MLflow is imported.

    Args:
        options: ``server`` of ``mlflow.yml``.
        context: the run's.

    Attributes:
        uri: the absolute tracking URI.
        safe_uri: the same without a password, for messages.
        display_uri: the same, shortened for messages.
        variables: the environment variables that are set while connected, credentials
            included; worker processes need the same ones.
        artifact_root: where the artifacts of a SQLite store go; None for other stores.
        workspace: the server's workspace; None for its default one.
        login: adds headers to MLflow's requests; None without a header provider.
    """

    uri: str
    safe_uri: str
    display_uri: str
    workspace: str | None

    def __init__(self, options: ServerOptions, context: KedroContext) -> None:
        self._options, self._context = options, context
        self._env = environment(context.config_loader)
        self._stack = ExitStack()
        self.variables: dict[str, str] = {}
        self.login: Login | None = None

    def __enter__(self) -> "Connection":
        """Connect for a run, and refuse other runs that need another connection.

        Raises:
            TrackingError: ``mlflow.yml`` or ``credentials.yml`` has an error, or
                another run in this process is connected to another server.
        """
        try:
            self._stack.enter_context(standing_suspended())
            self.export(claimed=True)
            self._stack.enter_context(fluent_uri(self.uri))
            self.log_in()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Restore the process as it was before; idempotent."""
        self._stack.close()

    def export(self, claimed: bool = False) -> None:
        """Resolve the addresses, and set the environment variables.

        Args:
            claimed: whether to refuse other runs that need other values, until
                ``close``.

        Raises:
            TrackingError: as in ``__enter__``.
        """
        context, options = self._context, self._options
        project, loader = context.project_path, context.config_loader
        with resolvers_lock:
            entries = context._get_config_credentials() if options.credentials else {}
        variables = credential_variables(options.credentials, entries, loader)
        uri_of_credentials = variables.pop("MLFLOW_TRACKING_URI", None)
        registry = variables.pop("MLFLOW_REGISTRY_URI", None)
        registry = options.mlflow_registry_uri or registry
        registry = registry or os.environ.get("MLFLOW_REGISTRY_URI")
        self.override(variables, claimed)
        source = self._source(uri_of_credentials is not None)
        self.uri, registry, login = split_login(
            uris.tracking_uri(
                options.mlflow_tracking_uri or uri_of_credentials, project, source
            ),
            registry and uris.registry_uri(registry, project, self._registry_source()),
        )
        if any(name in variables for name in LOGINS):
            login = {}  # credentials.yml has precedence over the address
        self.safe_uri = without_secrets(self.uri)
        self.display_uri = uris.display_uri(self.uri, project)
        self.artifact_root = uris.artifact_root(self.uri, project)
        addresses = {"MLFLOW_TRACKING_URI": self.uri}
        if registry:
            addresses["MLFLOW_REGISTRY_URI"] = registry
        place = key_location("server.workspace", loader) if options.workspace else ""
        workspace = workspace_variables(options.workspace, self.uri, place)
        self.override({**addresses, **login, **workspace}, claimed)
        self.workspace = active_workspace()
        self.availability = Availability(self.uri, self.safe_uri, source, self._env)
        self._stack.enter_context(without_secrets_in_logs())
        self._stack.enter_context(one_warning(self.safe_uri))

    def log_in(self) -> None:
        """Register the login with MLflow; this imports MLflow.

        Raises:
            TrackingError: the header provider of ``mlflow.yml`` cannot be used.
        """
        from .auth import login

        servers = [self.uri, self.variables.get("MLFLOW_REGISTRY_URI", self.uri)]
        self.login = login(
            self._options.request_header_provider, self._context, servers
        )
        if self.login:
            self.availability.has_header_provider = True
            self.login.register()
            self._stack.callback(self.login.unregister)
            self.override(self.login.variables)

    @contextmanager
    def translate_errors(self, seconds: int | None = None) -> Iterator[None]:
        """Raise a readable error if the server is away; see ``Availability``."""
        with self.availability.translate_errors(seconds):
            with workspace_errors(self.workspace, self.safe_uri):
                yield

    def override(self, variables: Mapping[str, str], claimed: bool = False) -> None:
        """Set environment variables until ``close``."""
        self._stack.enter_context(EnvironmentOverride(variables, claimed))
        self.variables.update(variables)

    @property
    def has_pages(self) -> bool:
        """Whether a server shows the runs, so that none is needed on this machine."""
        return self.uri.startswith(("http:", "https:"))

    def url(self, run: "RunInfo") -> str | None:
        """Return the address of a run's page; None if no server shows it."""
        if host := databricks.workspace(self.uri):
            return f"{host}/ml/experiments/{run.experiment_id}/runs/{run.run_id}"
        if not self.has_pages:
            return None
        path = run_path(run.experiment_id, run.run_id)
        return page_at(self.safe_uri, path, self.workspace)

    def command(self, name: str) -> str:
        """Return a command of ours for this environment, such as ``ui`` or ``resume``."""
        default = getattr(self._context.config_loader, "default_run_env", None)
        env = "" if self._env == default else f" --env {self._env}"
        return f"kedro mlflow {name}{env}"

    def _registry_source(self) -> str:
        if self._options.mlflow_registry_uri:
            return key_location(
                "server.mlflow_registry_uri", self._context.config_loader
            )
        return "the variable MLFLOW_REGISTRY_URI"

    def _source(self, is_credential: bool) -> str:
        """Name the file and key, or the variable, that sets the address."""
        if self._options.mlflow_tracking_uri:
            return key_location(
                "server.mlflow_tracking_uri", self._context.config_loader
            )
        variable = "the variable MLFLOW_TRACKING_URI"
        if is_credential:
            return f"{variable} in '{self._options.credentials}' of credentials.yml"
        return variable


@contextmanager
def fluent_uri(uri: str) -> Iterator[None]:
    """Override ``mlflow.set_tracking_uri``, which has precedence over the variable.

    If a node calls it as well, that is undone at the end.
    """
    mlflow = loaded_mlflow()
    earlier = mlflow.get_tracking_uri() if mlflow else uri
    if mlflow and earlier != uri:
        mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow = loaded_mlflow()
        if mlflow and mlflow.get_tracking_uri() != earlier:
            mlflow.set_tracking_uri(earlier if earlier != uri else None)
