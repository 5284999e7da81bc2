"""Log in to a server behind Google's Identity-Aware Proxy as a service account."""

import threading

from google.auth.transport.requests import Request
from google.oauth2 import id_token
from mlflow.tracking.request_header.abstract_request_header_provider import (
    RequestHeaderProvider,
)


class CustomRequestHeaderProvider(RequestHeaderProvider):
    """Sends an identity token, which is renewed four minutes before it ends.

    Args:
        audience: the OAuth client id of the proxy.
    """

    def __init__(self, audience: str) -> None:
        self._credentials = id_token.fetch_id_token_credentials(audience)
        self._lock = threading.Lock()

    def in_context(self) -> bool:
        """Whether there is something to send: always."""
        return True

    def request_headers(self) -> dict[str, str]:
        """Return the header of one request."""
        with self._lock:
            if not self._credentials.valid:
                self._credentials.refresh(Request())
            # Leaves Authorization to a login of the server's own.
            return {"Proxy-Authorization": f"Bearer {self._credentials.token}"}
