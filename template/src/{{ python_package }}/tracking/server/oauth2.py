"""Log in to the tracking server with OAuth 2.0 client credentials."""

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mlflow.tracking.request_header.abstract_request_header_provider import (
    RequestHeaderProvider,
)

from ..errors import TrackingError

if TYPE_CHECKING:
    from authlib.integrations.requests_client import OAuth2Session
    from requests.adapters import HTTPAdapter

_KEY = "mlflow.yml: server.request_header_provider.init_kwargs"


class OAuth2ClientCredentialsProvider(RequestHeaderProvider):
    """Sends a bearer token, fetched on first use and renewed before it expires.

    All threads share one token. The client's id and secret come from environment
    variables, which ``server.credentials`` of ``mlflow.yml`` provides.

    Args:
        issuer: address of the identity provider, whose token endpoint is found by
            OpenID Connect Discovery.
        token_url: the token endpoint of the identity provider, instead of ``issuer``.
        scope: the scopes to request, separated by spaces.
        audience: the API that the token is for, if the identity provider requires it.
        leeway: how many seconds before it expires a token is renewed; a token is used
            for at least half of its lifetime.
        auth_method: how the secret is sent: in a header, or in the request's body.
        ca_file: PEM file with the certificates to trust, for a company that signs its
            own.
        client_id_variable: the environment variable with the client's id.
        client_secret_variable: the environment variable with its secret.

    Raises:
        TrackingError: an argument is missing or invalid.
    """

    def __init__(
        self,
        issuer: str | None = None,
        token_url: str | None = None,
        scope: str | None = None,
        audience: str | None = None,
        leeway: float = 60,
        auth_method: Literal[
            "client_secret_basic", "client_secret_post"
        ] = "client_secret_basic",
        ca_file: str | None = None,
        client_id_variable: str = "OAUTH2_CLIENT_ID",
        client_secret_variable: str = "OAUTH2_CLIENT_SECRET",  # noqa: S107
    ) -> None:
        if bool(issuer) == bool(token_url):
            raise TrackingError(
                f"{_KEY} needs either issuer, the address of the identity provider, "
                "or token_url, where it gives tokens."
            )
        methods = ("client_secret_basic", "client_secret_post")
        if auth_method not in methods:
            raise TrackingError(
                f"{_KEY}.auth_method is '{auth_method}'; use {' or '.join(methods)}."
            )
        if ca_file and not Path(ca_file).is_file():
            raise TrackingError(
                f"{_KEY}.ca_file is '{ca_file}', and {Path.cwd()} has no such file; "
                "give the full path of a PEM file."
            )
        self._address = _secure("issuer or token_url", issuer or token_url or "")
        self._token_url = token_url
        self._scope = scope
        self._request = {"audience": audience} if audience else {}
        self._leeway = leeway
        self._auth_method = auth_method
        self._verify = ca_file or True
        self._variables = (client_id_variable, client_secret_variable)
        self._token = ""
        self._due = (0.0, 0.0)
        self._process = os.getpid()
        self._lock = threading.Lock()

    def in_context(self) -> bool:
        """Return True: there is always a header to send."""
        return True

    def request_headers(self) -> dict[str, str]:
        """Return the ``Authorization`` header, with a valid token.

        Raises:
            TrackingError: id or secret are missing, or the provider returns no token.
        """
        if self._process != os.getpid():  # forked, maybe while the lock was held
            self._lock, self._process = threading.Lock(), os.getpid()
        with self._lock:
            if any(now >= due for now, due in zip(_clocks(), self._due, strict=True)):
                self._renew()
            return {"Authorization": f"Bearer {self._token}"}

    def _renew(self) -> None:
        asked = _clocks()
        self._token, life = self._fetch()
        wait = max(life - self._leeway, life / 2)
        self._due = (asked[0] + wait, asked[1] + wait)

    def _fetch(self) -> tuple[str, float]:
        """Return a new token, and its lifetime in seconds."""
        client = [os.environ.get(name) for name in self._variables]
        if missing := [
            n for n, v in zip(self._variables, client, strict=True) if not v
        ]:
            raise TrackingError(
                f"{' and '.join(missing)} must be set for the login at {self._address}: in "
                "the entry of credentials.yml that server.credentials in mlflow.yml "
                "names, or in the environment."
            )
        from authlib.integrations.requests_client import OAuth2Session

        try:
            with OAuth2Session(
                *client,
                scope=self._scope,
                token_endpoint_auth_method=self._auth_method,
            ) as session:
                for scheme in ("https://", "http://"):
                    session.mount(scheme, _persistent())
                answer = session.fetch_token(
                    self._token_url or self._discover(session),
                    grant_type="client_credentials",
                    allow_redirects=False,  # or the secret could go elsewhere
                    timeout=_TIMEOUT,
                    verify=self._verify,
                    **self._request,
                )
            if not isinstance(token := answer.get("access_token"), str):
                raise ValueError("no token")
            return token, float(answer.get("expires_in") or "inf")
        except TrackingError:
            raise
        except Exception as error:  # not chained: it may quote the request
            raise TrackingError(
                f"The login at {self._address} failed: {_reason(error)}"
            ) from None

    def _discover(self, session: "OAuth2Session") -> str:
        address = f"{self._address.rstrip('/')}/.well-known/openid-configuration"
        answer = session.get(
            address, withhold_token=True, timeout=_TIMEOUT, verify=self._verify
        )
        answer.raise_for_status()
        self._token_url = _secure("token_endpoint", answer.json()["token_endpoint"])
        return self._token_url


_TIMEOUT = (3, 10)  # seconds to connect, and to wait for an answer


def _clocks() -> tuple[float, float]:
    """Return two clocks, in seconds: one stops in a laptop's sleep, one may be set."""
    return time.monotonic(), time.time()


def _secure(key: str, url: str) -> str:
    from authlib.common.security import is_secure_transport

    if not is_secure_transport(url):
        raise TrackingError(
            f"The secret of a client may go to an https:// address only, and {key} of "
            f"the login is '{url}'."
        )
    return url


def _persistent() -> "HTTPAdapter":
    """Return an adapter that retries a busy server three times in three seconds."""
    from requests.adapters import HTTPAdapter
    from urllib3 import Retry

    busy = (429, 500, 502, 503, 504)
    retries = Retry(3, backoff_factor=0.5, status_forcelist=busy, allowed_methods=None)
    return HTTPAdapter(max_retries=retries)


def _reason(error: Exception) -> str:
    """Return a sentence on why there is no token, which never quotes the request."""
    from authlib.integrations.base_client import OAuthError
    from requests import exceptions

    if isinstance(error, OAuthError):
        said = error.description or error.error
        return (
            f"it says '{said}'. Check the client's id and secret in credentials.yml, "
            f"and scope and audience in {_KEY}."
        )
    if isinstance(error, exceptions.SSLError):
        return f"its certificate is not trusted. Name your company's in {_KEY}.ca_file."
    if isinstance(error, exceptions.RetryError):
        return "it answers with errors of its own. Try again later."
    silent = (exceptions.ConnectionError, exceptions.Timeout)
    if isinstance(error, silent):
        return f"it does not answer. Check the address in {_KEY}, and the network."
    return f"it gives no token there. Check the address in {_KEY}."
