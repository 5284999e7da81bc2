"""Resolvers that ``mlflow.yml`` may use beside Kedro's own."""

from omegaconf import OmegaConf


def register_resolvers() -> None:
    """Make ``${km.random_name:}`` give a name such as ``placid-crane-512``."""
    register = getattr(OmegaConf, "register_resolver", None)  # OmegaConf 2.4
    register = register or OmegaConf.register_new_resolver
    register("km.random_name", _random_name, replace=True)


def _random_name() -> str:
    from mlflow.utils.name_utils import _generate_random_name

    return _generate_random_name()
