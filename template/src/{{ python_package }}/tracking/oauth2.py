"""Log in to the tracking server with OAuth 2.0 client credentials."""

import os
import threading

from mlflow.tracking.request_header.abstract_request_header_provider import (
    RequestHeaderProvider,
)

from .errors import TrackingError


class OAuth2ClientCredentialsProvider(RequestHeaderProvider):
    """Sends a bearer token, fetched at once and renewed before it expires.

    The client's id and secret come from ``OAUTH2_CLIENT_ID`` and
    ``OAUTH2_CLIENT_SECRET``, which ``server.credentials`` of ``mlflow.yml`` provides.

    Args:
        token_url: the token endpoint of the identity provider.
        scope: the scopes to ask for, separated by spaces.
        audience: for whom the token is, where the provider wants to know.
        leeway: how many seconds before its expiry a token is renewed.

    Raises:
        TrackingError: id or secret are missing, or the provider gives no token.
    """

    def __init__(
        self,
        token_url: str,
        scope: str | None = None,
        audience: str | None = None,
        leeway: int = 60,
    ) -> None:
        from authlib.integrations.requests_client import OAuth2Session

        names = ("OAUTH2_CLIENT_ID", "OAUTH2_CLIENT_SECRET")
        missing = [name for name in names if not os.environ.get(name)]
        if missing:
            raise TrackingError(
                f"{' and '.join(missing)} must be set for the login at {token_url}: in the "
                "entry of conf/local/credentials.yml that server.credentials in "
                "mlflow.yml names, or in the environment."
            )
        self._token_url = token_url
        self._extra = {"audience": audience} if audience else {}
        self._leeway = leeway
        self._lock = threading.Lock()  # one renewal for all threads
        self._session = OAuth2Session(
            *(os.environ[name] for name in names), scope=scope
        )
        self._fetch()

    def in_context(self) -> bool:
        """Whether there is a header to send: always."""
        return True

    def request_headers(self) -> dict[str, str]:
        """Give the ``Authorization`` header, with a token that is still good."""
        with self._lock:
            if self._session.token.is_expired(leeway=self._leeway):
                self._fetch()
            return {"Authorization": f"Bearer {self._session.token['access_token']}"}

    def _fetch(self) -> None:
        try:
            self._session.fetch_token(
                self._token_url,
                grant_type="client_credentials",
                timeout=10,
                **self._extra,
            )
        except Exception as error:
            reason = getattr(error, "description", None) or type(error).__name__
            raise TrackingError(
                f"The login at {self._token_url} failed: {reason}. Check the address in "
                "mlflow.yml (server.request_header_provider.init_kwargs) and the client's "
                "id and secret in conf/local/credentials.yml."
            ) from None
