"""``kedro mlflow …``. What a command does is in the module of its name in ``commands/``."""

import click

from . import again, look, serving, setup, workflow


@click.group(name="mlflow")
def mlflow_commands() -> None:
    """Where the runs of this project go: set it up, check it, look at them."""


for command in (
    *(
        setup.init,
        setup.check,
        look.runs,
        look.logs,
        look.diff,
        look.ui,
        look.open_run,
        look.sync,
    ),
    *(again.rerun, again.resume, workflow.start, workflow.finish),
    *(serving.serve, serving.predict, serving.package),
):
    mlflow_commands.add_command(command)
