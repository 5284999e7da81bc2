"""MLflow's autologging during a run."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def autologging_paused() -> Iterator[None]:
    """Turn off the autologging that is on, and restore it at the end.

    What a node turns on itself in the meantime works, and stays as the node left it.
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
    # mlflow.autolog() waits for libraries that a node may be the first to import.
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
