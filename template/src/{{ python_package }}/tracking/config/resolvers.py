"""Resolvers that ``mlflow.yml`` may use in addition to Kedro's own."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from omegaconf import OmegaConf
from omegaconf.resolvers import oc

resolvers_lock = threading.RLock()
"""Held while configuration is resolved: Kedro unregisters ``oc.env`` after credentials."""

RESOLVERS = ("globals", "km.random_name", "oc.env", "runtime_params")


@contextmanager
def mlflow_resolvers() -> Iterator[None]:
    """Register ``${km.random_name:}`` and ``${oc.env:…}`` while ``mlflow.yml`` is read.

    Kedro registers ``oc.env`` only while it reads credentials. Resolvers belong to the
    process, so one file is read at a time.
    """
    with resolvers_lock:
        _register("km.random_name", random_name)
        is_missing = not OmegaConf.has_resolver("oc.env")
        if is_missing:
            _register("oc.env", oc.env)
        try:
            yield
        finally:
            if is_missing:
                OmegaConf.clear_resolver("oc.env")


def _register(name: str, resolver: Callable[..., str | None]) -> None:
    register = getattr(OmegaConf, "register_resolver", None)  # OmegaConf 2.4
    (register or OmegaConf.register_new_resolver)(name, resolver, replace=True)


def random_name() -> str:
    """Return a name such as ``placid-crane-512``, as MLflow generates for its runs."""
    from mlflow.utils.name_utils import _generate_random_name

    name: str = _generate_random_name()
    return name
