"""Headers of your own on each request to the MLflow server.

To use it, name the class in ``mlflow.yml``::

    server:
      request_header_provider:
        type: <package>.request_headers.CustomRequestHeaderProvider
        pass_context: true
        init_kwargs:
          variable: MLFLOW_GATEWAY_TOKEN
"""

import os

from kedro.framework.context import KedroContext
from mlflow.tracking.request_header.abstract_request_header_provider import (
    RequestHeaderProvider,
)


class CustomRequestHeaderProvider(RequestHeaderProvider):
    """Sends a token, read anew for each request, and the name of the environment.

    Args:
        kedro_context: the context of the run; mlflow.yml gives it with
            ``pass_context: true``. Its config loader reaches any configuration file.
        variable: name of the environment variable with the token. An entry of
            credentials.yml that ``server.credentials`` names becomes variables too.
    """

    def __init__(
        self,
        kedro_context: KedroContext | None = None,
        variable: str = "MLFLOW_GATEWAY_TOKEN",
    ) -> None:
        self._environment = (kedro_context and kedro_context.env) or "local"
        self._variable = variable

    def in_context(self) -> bool:
        """Whether there is something to send: always."""
        return True

    def request_headers(self) -> dict[str, str]:
        """Return the headers of one request. Fetch or renew a token here.

        Raises:
            ValueError: there is no token; the run stops and shows this message.
        """
        token = os.environ.get(self._variable)
        if not token:
            file = f"conf/{self._environment}/credentials.yml"
            raise ValueError(f"set {self._variable} in {file}")
        return {
            "Authorization": f"Bearer {token}",
            "X-Kedro-Env": self._environment,
        }
