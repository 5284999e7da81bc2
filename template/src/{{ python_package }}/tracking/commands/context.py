"""The context of an environment, for commands that run no pipeline."""

from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.session import KedroSession


def load_context(
    project_path: Path, env: str, params: dict[str, Any] | None = None
) -> KedroContext:
    """Load the configuration of an environment as a run would, hooks included.

    Args:
        project_path: the project's root.
        env: the environment.
        params: what ``kedro run --params`` would set.

    Raises:
        TrackingError: the environment does not exist, or ``mlflow.yml`` has an error.
    """
    with KedroSession.create(
        project_path, save_on_close=False, env=env, runtime_params=params
    ) as session:
        context: KedroContext = session.load_context()  # type: ignore[attr-defined]
        return context
