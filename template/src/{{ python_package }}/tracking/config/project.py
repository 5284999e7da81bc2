"""Check that a project has the environment, and a pipeline to run."""

from collections.abc import Iterator
from pathlib import Path

import click

from ..errors import TrackingError, did_you_mean


def environments(conf_source: Path) -> Iterator[str]:
    """Yield the environments of a project: each folder in conf/ but base."""
    for folder in sorted(conf_source.iterdir()):
        if folder.is_dir() and folder.name != "base" and folder.name[0] not in "._":
            yield folder.name


def refuse_unknown_environment(conf_source: Path, env: str) -> None:
    """Refuse an environment that has no folder, before Kedro fails on it.

    Raises:
        TrackingError: the environment does not exist.
    """
    if conf_source.is_dir() and not (conf_source / env).is_dir():
        known = list(environments(conf_source))
        raise TrackingError(
            f"There is no environment '{env}'{did_you_mean(env, known)}, since "
            f"{conf_source.name}/{env} is not there. There are: {', '.join(known)}."
        )


def refuse_empty_pipeline() -> None:
    """Refuse a ``kedro run`` whose default pipeline has no nodes.

    Kedro would end in a traceback. Code that opens a session gets Kedro's own
    exception.

    Raises:
        TrackingError: there is nothing to run.
    """
    command = click.get_current_context(silent=True)
    if command is None or command.command.name != "run":
        return
    if command.params.get("pipelines") or command.params.get("pipeline"):
        return
    from kedro.framework.project import pipelines

    default = pipelines.get("__default__")
    if default is not None and default.nodes:
        return
    others = [name for name, pipeline in pipelines.items() if pipeline.nodes]
    if others:
        raise TrackingError(
            "There is no default pipeline with nodes. Name another one, for example "
            f"'kedro run --pipelines {others[0]}'; there are: {', '.join(others)}."
        )
    raise TrackingError(
        "This project has no pipeline yet. Create one with 'kedro pipeline create NAME', "
        "and add nodes to it in pipelines/NAME/pipeline.py."
    )
