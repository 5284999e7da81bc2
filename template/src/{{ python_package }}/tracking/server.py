"""The tracking server of a run: reached, lent to the process, given back."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from kedro.framework.context import KedroContext

from . import location
from .config import ServerOptions, environment
from .credentials import Loan, credential_variables
from .errors import TrackingError


class Server:
    """A tracking server that the process talks to for the length of a run.

    Attributes:
        uri: the absolute tracking URI.
        variables: the environment variables that stand meanwhile, credentials
            included; workers of the run need the same ones.
        artifact_root: where the artifacts of a SQLite store go; None for other stores.
        login: what MLflow asks for headers meanwhile; None where nobody asks.
    """

    def __init__(self, options: ServerOptions, context: KedroContext) -> None:
        """Export the credentials, resolve the URIs and register the login.

        Raises:
            TrackingError: ``mlflow.yml`` or ``credentials.yml`` cannot be followed.
        """
        self.variables: dict[str, str] = {}
        self._env = environment(context)
        self._source = (
            "server.mlflow_tracking_uri in mlflow.yml"
            if options.mlflow_tracking_uri
            else "the variable MLFLOW_TRACKING_URI"
        )
        project = context.project_path
        with ExitStack() as stack:
            self._surroundings = stack
            entries = context._get_config_credentials() if options.credentials else {}
            self.lend(credential_variables(options.credentials, entries, self._env))
            self.uri = location.tracking_uri(options.mlflow_tracking_uri, project)
            self.artifact_root = location.artifact_root(self.uri, project)
            self.lend({"MLFLOW_TRACKING_URI": self.uri})
            uris = [self.uri]
            if options.mlflow_registry_uri:
                uris.append(location.anchor(options.mlflow_registry_uri, project))
                self.lend({"MLFLOW_REGISTRY_URI": uris[-1]})
            self._take_over_fluent_uri()
            from .auth import login  # costs mlflow, like the line above

            self.login = login(options.request_header_provider, context, uris)
            if self.login:
                self.login.register()
                stack.callback(self.login.unregister)
                self.lend(self.login.variables)
            self._surroundings = stack.pop_all()

    def lend(self, variables: Mapping[str, str]) -> None:
        """Set environment variables until ``give_back``."""
        self.variables.update(variables)
        self._surroundings.enter_context(Loan(variables))

    def give_back(self) -> None:
        """Leave the process as it was found; a second call does nothing."""
        self._surroundings.close()

    def impatient(self) -> Loan:
        """Ask the server once instead of for minutes, until the loan is given back.

        One try of five seconds, unless the user has set a variable of MLflow's.
        """
        variables = {
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
        }
        return Loan({k: v for k, v in variables.items() if k not in os.environ})

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Tell a server that does not answer, or refuses the login, in a sentence.

        Raises:
            TrackingError: within ten seconds, instead of MLflow's own error.
        """
        from mlflow.exceptions import MlflowException

        try:
            with self.impatient():
                yield
        except MlflowException as error:
            if "API request to" not in error.message:
                raise
            refused = re.search(r"error code (401|403)", error.message)
            problem = "refuses the login" if refused else "does not answer"
            settings = "server.request_header_provider and " if self.login else ""
            clocks = ", and whether the servers' clocks agree" if self.login else ""
            remedy = (
                f"Check {settings}server.credentials in mlflow.yml, and "
                f"conf/{self._env}/credentials.yml{clocks}"
                if refused
                else "Start it, correct the address, or run with KEDRO_MLFLOW_DISABLED=true"
            )
            raise TrackingError(
                f"The MLflow server at {self.uri} {problem}. The environment is "
                f"'{self._env}', the address comes from {self._source}. {remedy}."
            ) from None

    def _take_over_fluent_uri(self) -> None:
        import mlflow

        earlier = mlflow.get_tracking_uri()
        if earlier != self.uri:  # an earlier mlflow.set_tracking_uri beats the variable
            mlflow.set_tracking_uri(self.uri)
            self._surroundings.callback(mlflow.set_tracking_uri, earlier)
