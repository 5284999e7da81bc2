"""MLflow's autologging during a run."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def autologging_paused() -> Iterator[None]:
    """Turn off the autologging that is on, and restore it at the end of the block.

    Autologging that a node turns on meanwhile works, and stays as the node leaves it.
    """
    from mlflow.utils.autologging_utils import AUTOLOGGING_INTEGRATIONS as integrations
    from mlflow.utils.import_hooks import _post_import_hooks as hooks
    from mlflow.utils.import_hooks import register_post_import_hook

    on = {
        name: config
        for name, config in integrations.items()
        if config and not config.get("disable", False)
    }
    paused = {name: {**config, "disable": True} for name, config in on.items()}
    integrations.update(paused)
    # mlflow.autolog() also waits for libraries that a node may import later.
    waiting = {name: hooks.pop(name) for name in list(hooks) if hooks[name]}
    try:
        yield
    finally:
        for name, config in on.items():
            if integrations.get(name) is paused[name]:
                integrations[name] = config
        for name in waiting.keys() - hooks.keys():
            for hook in waiting[name]:
                register_post_import_hook(hook, name)
