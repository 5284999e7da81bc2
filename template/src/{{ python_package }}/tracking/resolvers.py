"""Resolvers that ``mlflow.yml`` may use beside Kedro's own."""

from omegaconf import OmegaConf


def register_resolvers() -> None:
    """Make ``${km.random_name:}`` give a name such as ``placid-crane-512``."""
    OmegaConf.register_new_resolver("km.random_name", _random_name, replace=True)


def _random_name() -> str:
    from mlflow.utils.name_utils import _generate_random_name  # noqa: PLC0415

    return _generate_random_name()
