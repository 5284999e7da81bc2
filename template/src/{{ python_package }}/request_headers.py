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
    """Sends a token that an environment variable holds, read anew for each request.

    Args:
        kedro_context: the context of the run; mlflow.yml gives it with
            ``pass_context: true``. Its config loader reaches any configuration file.
        variable: name of the environment variable. An entry of credentials.yml that
            ``server.credentials`` names becomes environment variables too.
    """

    def __init__(
        self,
        kedro_context: KedroContext | None = None,
        variable: str = "MLFLOW_GATEWAY_TOKEN",
    ) -> None:
        self.environment = kedro_context.env if kedro_context else None
        self.variable = variable

    def in_context(self) -> bool:
        """Whether there is something to send."""
        return self.variable in os.environ

    def request_headers(self) -> dict[str, str]:
        """Give the headers of one request. Fetch or renew a token here."""
        return {"Authorization": f"Bearer {os.environ[self.variable]}"}
