"""The context of an environment, for commands that run no pipeline."""

from collections.abc import Iterator
from pathlib import Path

from kedro.framework.context import KedroContext
from kedro.framework.session import KedroSession

from ..errors import TrackingError, did_you_mean


def load_context(project_path: Path, env: str) -> KedroContext:
    """Load the configuration of an environment as a run would, hooks included.

    Raises:
        TrackingError: there is no such environment, or ``mlflow.yml`` cannot be followed.
    """
    with KedroSession.create(project_path, save_on_close=False, env=env) as session:
        context = session.load_context()  # type: ignore[attr-defined]
    conf_source = Path(context.config_loader.conf_source)
    if conf_source.is_dir() and not (conf_source / env).is_dir():
        known = list(environments(conf_source))
        raise TrackingError(
            f"There is no environment '{env}'{did_you_mean(env, known)}, since "
            f"{conf_source.name}/{env} is not there. There are: {', '.join(known)}."
        )
    return context


def environments(conf_source: Path) -> Iterator[str]:
    """Give the environments of a project: each folder of its configuration but base."""
    for folder in sorted(conf_source.iterdir()):
        if folder.is_dir() and folder.name != "base" and folder.name[0] not in "._":
            yield folder.name
