"""Run a run again, or what is left of it: ``rerun``, ``resume``."""

import click
from kedro.framework.startup import ProjectMetadata

from ...terminal.progress import progress
from .options import env_option, environment, format_option, logs_on_stderr, print_json


@click.command()
@env_option
@click.argument("which", metavar="RUN")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Only say what would run, and what is not as it was.",
)
@format_option
@click.pass_obj
def rerun(
    metadata: ProjectMetadata,
    env: str | None,
    which: str,
    dry_run: bool,
    style: str,
) -> None:
    """Run a recorded run again, and compare the two.

    RUN is its id or the beginning of it, as 'kedro mlflow runs' shows it, or its name.
    Commit, patch, packages and command are those of the run. The code is checked out
    beside the project, which stays as it is. The new run has the tag kedro.rerun_of.

    The exit code is that of 'kedro run', or 1 when metrics or inputs differ, or when the
    run cannot be run again. With --format json, an object.
    """
    from ..rerun import plan
    from ..rerun import rerun as run_again
    from ..tables import print_difference, print_plan

    project, env = metadata.project_path, environment(env)
    with logs_on_stderr():
        planned = plan(project, env, which)
    if style == "table":
        print_plan(planned)
    if planned.obstacles or dry_run:
        if style == "json":
            print_json(planned.as_dict(), metadata)
        raise SystemExit(1 if planned.obstacles else 0)
    with logs_on_stderr():
        code, found = run_again(project, env, planned)
    if style == "json":
        print_json({**planned.as_dict(), **found.as_dict()}, metadata)
    else:
        print_difference(found)
    raise SystemExit(code or (0 if found.is_reproduced else 1))


@click.command()
@env_option
@click.argument("which", metavar="[RUN]", required=False)
@click.option("--dry-run", is_flag=True, help="Only say what would run.")
@click.option(
    "--retrain",
    is_flag=True,
    help="Also run nodes again that have logged or registered a model.",
)
@click.pass_obj
def resume(
    metadata: ProjectMetadata,
    env: str | None,
    which: str | None,
    dry_run: bool,
    retrain: bool,
) -> None:
    """Continue a run that has failed, with the nodes that are left.

    RUN is its id or the beginning of it, as 'kedro mlflow runs' shows it, or its name.
    Default: the last run that has failed or was killed.

    The run goes on with its command and its parameters, in the project's folder as it is
    now. Nodes that have finished run again only if one that is left needs what was in
    memory. The exit code is that of 'kedro run'.
    """
    from ..resume import continuation
    from ..resume import resume as go_on
    from ..tables import print_continuation

    with logs_on_stderr(), progress("Looking for what is left …"):
        planned = continuation(metadata.project_path, environment(env), which)
    print_continuation(planned)
    if not retrain:
        planned.refuse_retraining()
    if not dry_run:
        raise SystemExit(go_on(metadata.project_path, environment(env), planned))
