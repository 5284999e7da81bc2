"""The login of a run: headers from the class that ``mlflow.yml`` names."""

import inspect
import os
import uuid
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from kedro.framework import project
from kedro.framework.context import KedroContext
from kedro.framework.project import configure_project
from kedro.framework.session import KedroSession
from kedro.utils import load_obj
from mlflow.environment_variables import MLFLOW_TRACKING_AWS_SIGV4
from mlflow.tracking.request_auth.abstract_request_auth_provider import (
    RequestAuthProvider,
)
from mlflow.tracking.request_auth.registry import fetch_auth
from mlflow.tracking.request_header.abstract_request_header_provider import (
    RequestHeaderProvider,
)
from requests import PreparedRequest
from requests.auth import AuthBase

from ..config.loading import key_location
from ..config.options import RequestHeaderProviderOptions
from ..errors import TrackingError, did_you_mean

_NAME = "kedro"
_Origin = tuple[str, str | None, int | None]


class Login(RequestAuthProvider):
    """The header provider of ``mlflow.yml``, as a login that MLflow can use.

    It can be pickled. A worker process builds its own header provider, since one may
    hold locks and connections.

    Args:
        options: ``server.request_header_provider`` of ``mlflow.yml``.
        context: passed to the header provider as ``kedro_context`` with
            ``pass_context``.
        uris: of the tracking server and the registry; no other address gets the
            headers.

    Attributes:
        variables: the environment variables that make MLflow use it.

    Raises:
        TrackingError: the class cannot be imported, is no ``RequestHeaderProvider``,
            or cannot be instantiated.
    """

    variables: Mapping[str, str] = {"MLFLOW_TRACKING_AUTH": _NAME}

    def __init__(
        self,
        options: RequestHeaderProviderOptions,
        context: KedroContext,
        uris: Iterable[str],
    ) -> None:
        self._id = uuid.uuid4()
        self._failure: TrackingError | None = None
        self._beside: str | None = None
        self._options = options
        self._key = key_location(
            "server.request_header_provider", context.config_loader
        )
        self._origins = {_origin(uri) for uri in uris}
        self._package = str(project.PACKAGE_NAME)
        self._session: dict[str, Any] = {
            "project_path": context.project_path,
            "env": context.env,
            "runtime_params": context._runtime_params,
            "conf_source": context.config_loader.conf_source,
        }
        self._provider: RequestHeaderProvider | None = self._build(context)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_provider": None}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Login) and self._id == other._id

    def __hash__(self) -> int:
        return hash(self._id)

    def register(self) -> None:
        """Register first in MLflow's list, before the logins of other runs; idempotent.

        A login that ``MLFLOW_TRACKING_AUTH`` names, such as ``kubernetes``, stays in
        use as well.

        Raises:
            TrackingError: a variable asks MLflow to sign requests for AWS.
        """
        if MLFLOW_TRACKING_AWS_SIGV4.get():
            raise TrackingError(
                f"{self._key}.type is '{self._options.type}', and the variable "
                "MLFLOW_TRACKING_AWS_SIGV4 asks for another login. Unset the variable, "
                "or let the type be null."
            )
        other = os.environ.get("MLFLOW_TRACKING_AUTH") or _NAME
        if other != _NAME:
            self._beside = other
        if self not in (registry := _registry()):
            registry.insert(0, self)

    def unregister(self) -> None:
        """Undo ``register``; other runs keep their logins."""
        if self in (registry := _registry()):
            registry.remove(self)

    def get_name(self) -> str:
        """Return the name that ``MLFLOW_TRACKING_AUTH`` is set to."""
        return _NAME

    def get_auth(self) -> AuthBase:
        """Return an object that adds the headers to one request.

        MLflow does not catch an exception here, so the request is never sent.

        Raises:
            TrackingError: the header provider fails, or a header has an invalid value.
        """
        try:
            beside = fetch_auth(self._beside) if self._beside else None
            return _Headers(self._headers(), self._origins, beside)
        except TrackingError as failure:
            self._failure = failure
            raise

    def explain(self, error: Exception) -> None:
        """Raise the failed login again, if that is what Kedro's catalog has wrapped.

        The error of a worker process comes without its cause, so its text is compared.

        Raises:
            TrackingError: the failed login, which the error quotes.
        """
        if self._failure and self._failure.message in str(error):
            raise self._failure from error

    def _headers(self) -> dict[str, str]:
        kind = self._options.type
        try:
            if self._provider is None:
                self._provider = self._build()
            wanted = self._provider.in_context()
            headers = dict(self._provider.request_headers()) if wanted else {}
        except TrackingError:
            raise
        except Exception as error:
            raise TrackingError(
                f"{self._key}: {kind} gives no headers: {type(error).__name__}: {error}"
            ) from error
        for name, value in headers.items():
            if not _is_one_line(value):
                raise TrackingError(
                    f"{self._key}: {kind} gives a header {name} that is no single line of "
                    "text. Strip white space off a token that comes from a file."
                )
        return headers

    def _build(self, context: KedroContext | None = None) -> RequestHeaderProvider:
        options = self._options
        try:
            kind = load_obj(str(options.type))
        except (ImportError, AttributeError, ValueError) as error:
            raise TrackingError(
                f"{self._key}.type is '{options.type}', which cannot be imported: {error}"
            ) from error
        if not (isinstance(kind, type) and issubclass(kind, RequestHeaderProvider)):
            raise TrackingError(
                f"{self._key}.type is '{options.type}', which is no subclass of MLflow's "
                "RequestHeaderProvider."
            )
        kwargs = dict(options.init_kwargs)
        known = inspect.signature(kind).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
            for name in set(kwargs) - set(known):
                raise TrackingError(
                    f"{self._key}.init_kwargs: {options.type} takes no '{name}'"
                    f"{did_you_mean(name, known)}."
                )
        if options.pass_context:
            kwargs["kedro_context"] = context or self._own_context()
        try:
            return kind(**kwargs)
        except TrackingError:
            raise
        except Exception as error:
            raise TrackingError(
                f"{self._key}: {options.type} could not be built with the init_kwargs "
                f"{sorted(options.init_kwargs)}: {error}"
            ) from error

    def _own_context(self) -> KedroContext:
        configure_project(self._package)  # Kedro omits it with KEDRO_MP_CONTEXT
        return KedroSession.create(save_on_close=False, **self._session).load_context()


class _Headers(AuthBase):
    """Adds headers to requests to the given origins, and to no others.

    Args:
        headers: the headers.
        origins: the scheme, host and port of each server.
        beside: another login of MLflow's, applied first.
    """

    def __init__(
        self, headers: Mapping[str, str], origins: set[_Origin], beside: Any
    ) -> None:
        self._headers, self._origins, self._beside = headers, origins, beside

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        if self._beside:
            request = self._beside(request)
        if _origin(str(request.url)) in self._origins:
            request.headers.update(self._headers)
        return request


def login(
    options: RequestHeaderProviderOptions, context: KedroContext, uris: Iterable[str]
) -> Login | None:
    """Return the login of a run; None without a header provider or a server."""
    if options.type is None:
        return None
    servers = [uri for uri in uris if uri.startswith(("http:", "https:"))]
    built = Login(options, context, servers)
    return built if servers else None


def _is_one_line(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and value == value.strip()


def _origin(uri: str) -> _Origin:
    parts = urlsplit(uri)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


_PORTS = {"http": 80, "https": 443}


def _registry() -> list[Any]:
    """MLflow's list of logins: private, seen in 3.10 to 3.17, guarded by a test."""
    from mlflow.tracking.request_auth import registry

    return registry._request_auth_provider_registry._registry
