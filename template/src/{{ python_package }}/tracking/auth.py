"""Request-header providers: the class that ``mlflow.yml`` names, registered once."""

from typing import Any

from kedro.framework.context import KedroContext

from .config import RequestHeaderProviderOptions
from .errors import TrackingError

_KEY = "mlflow.yml: server.request_header_provider"


def register(
    options: RequestHeaderProviderOptions, context: KedroContext
) -> Any | None:
    """Build the provider of ``mlflow.yml`` and put it in the place of the one before.

    Args:
        options: ``server.request_header_provider`` of ``mlflow.yml``.
        context: handed to the provider as ``kedro_context`` with ``pass_context``.

    Returns:
        What ``unregister`` takes; None when no provider is asked for.

    Raises:
        TrackingError: the class cannot be imported, is no ``RequestHeaderProvider``,
            or fails to build.
    """
    if options.type is None:
        return None
    from kedro.utils import load_obj
    from mlflow.tracking.request_header.abstract_request_header_provider import (
        RequestHeaderProvider,
    )

    try:
        kind = load_obj(options.type)
    except (ImportError, AttributeError, ValueError) as error:
        raise TrackingError(
            f"{_KEY}.type is '{options.type}', which cannot be imported: {error}"
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, RequestHeaderProvider)):
        raise TrackingError(
            f"{_KEY}.type is '{options.type}', which is no subclass of MLflow's "
            "RequestHeaderProvider."
        )
    kwargs = dict(options.init_kwargs)
    if options.pass_context:
        kwargs["kedro_context"] = context
    try:
        provider = kind(**kwargs)
    except TrackingError:
        raise
    except Exception as error:
        raise TrackingError(
            f"{_KEY}: {options.type} could not be built with the init_kwargs "
            f"{sorted(options.init_kwargs)}: {error}"
        ) from error
    registry = _registry()
    registry[:] = [known for known in registry if not isinstance(known, kind)]
    registry.append(provider)
    return provider


def unregister(provider: Any | None) -> None:
    """Stop asking the provider for headers."""
    if provider is None:
        return
    registry = _registry()
    registry[:] = [known for known in registry if known is not provider]


def _registry() -> list[Any]:
    """MLflow's list of providers: private, seen in 3.10 to 3.17, guarded by a test."""
    from mlflow.tracking.request_header import registry

    return registry._request_header_provider_registry._registry
