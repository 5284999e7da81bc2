"""Which context a catalog was made by; Kedro hands that to no hook."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from kedro.framework.context import KedroContext
from kedro.io import CatalogProtocol

_ATTRIBUTE = "kedro_mlflow_context"
_making: ContextVar[KedroContext] = ContextVar("making")


def announce(context: KedroContext) -> None:
    """Let ``making_context`` know the context whenever it makes a catalog."""
    make = context._get_catalog

    def get_catalog(*args: Any, **kwargs: Any) -> "CatalogProtocol[Any, Any]":
        with _announced(context):
            return make(*args, **kwargs)

    setattr(context, "_get_catalog", get_catalog)  # noqa: B010  # mypy allows no assignment


def making_context() -> KedroContext:
    """Return the context that is making a catalog, while ``after_catalog_created`` runs."""
    return _making.get()


def remember_context(catalog: "CatalogProtocol[Any, Any]") -> None:
    """Keep the context on the catalog of a run, which ``context_of`` takes off again."""
    setattr(catalog, _ATTRIBUTE, making_context())


def context_of(catalog: "CatalogProtocol[Any, Any]") -> KedroContext:
    """Return the context of a run's catalog, once: workers cannot pickle it."""
    context: KedroContext = catalog.__dict__.pop(_ATTRIBUTE)
    return context


@contextmanager
def _announced(context: KedroContext) -> Iterator[None]:
    token = _making.set(context)
    try:
        yield
    finally:
        _making.reset(token)
