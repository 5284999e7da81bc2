"""Find the context that has created a catalog; Kedro passes it to no hook."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from kedro.framework.context import KedroContext
from kedro.io import CatalogProtocol

from ..config.resolvers import resolvers_lock
from ..errors import TrackingError

_ATTRIBUTE = "kedro_mlflow_context"
_making: ContextVar[KedroContext] = ContextVar("making")


def announce(context: KedroContext) -> None:
    """Make ``making_context`` return the context whenever it creates a catalog."""
    make = context._get_catalog

    def get_catalog(*args: Any, **kwargs: Any) -> "CatalogProtocol[Any, Any]":
        with resolvers_lock, _announced(context):  # it reads credentials
            return make(*args, **kwargs)

    setattr(context, "_get_catalog", get_catalog)  # noqa: B010  # mypy allows no assignment


def making_context() -> KedroContext:
    """Return the context that is creating a catalog, in ``after_catalog_created``.

    Raises:
        TrackingError: no context is, as in the ops of kedro-dagster.
    """
    if context := _making.get(None):
        return context
    raise TrackingError(
        "Kedro's hooks are called outside of a Kedro session, as kedro-dagster does: its "
        "ops are processes that no run can span. Let each op call 'kedro run --nodes' "
        "with a run key (see the template's page on Dagster), or remove MlflowHook from HOOKS "
        "in settings.py to run without tracking."
    )


def remember_context(catalog: "CatalogProtocol[Any, Any]") -> None:
    """Store the context on the catalog of a run, until ``context_of`` removes it."""
    setattr(catalog, _ATTRIBUTE, making_context())


def context_of(catalog: "CatalogProtocol[Any, Any]") -> KedroContext:
    """Return the context of a run's catalog, and remove it: it cannot be pickled."""
    context: KedroContext = catalog.__dict__.pop(_ATTRIBUTE)
    return context


@contextmanager
def _announced(context: KedroContext) -> Iterator[None]:
    token = _making.set(context)
    try:
        yield
    finally:
        _making.reset(token)
