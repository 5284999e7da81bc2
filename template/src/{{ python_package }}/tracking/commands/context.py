"""The context of an environment, for commands that run no pipeline."""

from pathlib import Path

from kedro.framework.context import KedroContext
from kedro.framework.session import KedroSession


def load_context(project_path: Path, env: str) -> KedroContext:
    """Load the configuration of an environment as a run would, hooks included.

    Raises:
        TrackingError: the environment does not exist, or ``mlflow.yml`` has an error.
    """
    with KedroSession.create(project_path, save_on_close=False, env=env) as session:
        context: KedroContext = session.load_context()  # type: ignore[attr-defined]
        return context
