"""Log in with Azure's default credentials: az login, a managed identity, a service."""

from azure.identity import DefaultAzureCredential, get_bearer_token_provider
from mlflow.tracking.request_header.abstract_request_header_provider import (
    RequestHeaderProvider,
)


class CustomRequestHeaderProvider(RequestHeaderProvider):
    """Sends a token of Microsoft Entra ID, which azure-identity keeps and renews.

    Args:
        scope: the server's application, for example ``api://<application id>/.default``.
    """

    def __init__(self, scope: str) -> None:
        self._token = get_bearer_token_provider(DefaultAzureCredential(), scope)

    def in_context(self) -> bool:
        """Whether there is something to send: always."""
        return True

    def request_headers(self) -> dict[str, str]:
        """Return the header of one request."""
        return {"Authorization": f"Bearer {self._token()}"}
