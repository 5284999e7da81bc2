"""The tracking server of a run: reached, lent to the process, given back."""

from collections.abc import Mapping

from kedro.framework.context import KedroContext

from . import auth, location
from .config import ServerOptions
from .credentials import Loan, credential_variables
from .store import create_local_store


class Server:
    """A tracking server that the process talks to for the length of a run.

    Attributes:
        uri: the absolute tracking URI.
        variables: the environment variables that stand meanwhile, credentials
            included; workers of the run need the same ones.
        artifact_root: where the artifacts of a SQLite store go; None for other stores.
    """

    def __init__(self, options: ServerOptions, context: KedroContext) -> None:
        """Export the credentials, resolve the URIs and register the login.

        Raises:
            TrackingError: ``mlflow.yml`` or ``credentials.yml`` cannot be followed.
        """
        self.variables: dict[str, str] = {}
        self._loans: list[Loan] = []
        self._fluent_uri: str | None = None
        self._provider = None
        try:
            entries = context._get_config_credentials() if options.credentials else {}
            self.lend(credential_variables(options.credentials, entries))
            project = context.project_path
            self.uri = location.tracking_uri(options.mlflow_tracking_uri, project)
            self.artifact_root = location.artifact_root(self.uri, project)
            self.lend({"MLFLOW_TRACKING_URI": self.uri})
            if options.mlflow_registry_uri:
                registry = location.anchor(options.mlflow_registry_uri, project)
                self.lend({"MLFLOW_REGISTRY_URI": registry})
            self._provider = auth.register(options.request_header_provider, context)
            if self.artifact_root:
                create_local_store(self.uri, self.artifact_root)
            self._take_over_fluent_uri()
        except BaseException:
            self.give_back()
            raise

    def lend(self, variables: Mapping[str, str]) -> None:
        """Set environment variables until ``give_back``."""
        self.variables.update(variables)
        self._loans.append(Loan(variables))

    def give_back(self) -> None:
        """Leave the process as it was found; a second call does nothing."""
        if self._fluent_uri is not None:
            import mlflow

            mlflow.set_tracking_uri(self._fluent_uri)
            self._fluent_uri = None
        if self._provider is not None:
            auth.unregister(self._provider)
            self._provider = None
        while self._loans:
            self._loans.pop().give_back()

    def _take_over_fluent_uri(self) -> None:
        import mlflow

        current = mlflow.get_tracking_uri()
        if current != self.uri:  # an earlier mlflow.set_tracking_uri beats the variable
            mlflow.set_tracking_uri(self.uri)
            self._fluent_uri = current
