"""Set up tracking, and check it: ``init``, ``check``."""

import re

import click
from kedro.framework.startup import ProjectMetadata

from .options import (
    conf_source,
    env_option,
    environment,
    format_option,
    logs_on_stderr,
    print_json,
)


@click.command()
@env_option
@click.option("--force", is_flag=True, help="Write over the file that is there.")
@click.pass_obj
def init(metadata: ProjectMetadata, env: str | None, force: bool) -> None:
    """Write the mlflow.yml of an environment.

    For base it holds every key with its default; for any other environment what is to
    differ there.
    """
    from ...config.rendering import documented_yaml, environment_yaml
    from ...errors import TrackingError

    env = environment(env)
    if not re.fullmatch(r"\w[\w-]*", env):
        raise TrackingError(
            f"'{env}' is no name for an environment; use letters, digits, dashes and "
            "underscores, for example --env staging."
        )
    folder = conf_source(metadata) / env
    file = folder / "mlflow.yml"
    if file.exists() and not force:
        raise TrackingError(f"{file} exists already; --force overwrites it.")
    folder.mkdir(parents=True, exist_ok=True)
    text = documented_yaml() if env == "base" else environment_yaml(env)
    file.write_text(text, encoding="utf-8")
    click.echo(f"Wrote {file}")


@click.command()
@env_option
@click.option("--all", "every", is_flag=True, help="Check every environment.")
@click.option(
    "--template", is_flag=True, help="Compare with the template, not a server."
)
@format_option
@click.pass_obj
def check(
    metadata: ProjectMetadata,
    env: str | None,
    every: bool,
    template: bool,
    style: str,
) -> None:
    """Say where runs would go, and whether they would get there.

    The exit code is 1 when a run would not be tracked. With --format json, a list with
    an object for each environment.

    With --template, say instead which version of the template the project follows,
    whether a newer one is out, and what an update would meet: edited files of the
    template, files that it no longer has, conflicts that wait for a decision. The exit
    code is 1 when there is such a file; the JSON is one object.
    """
    if template:
        raise SystemExit(_check_template(metadata, style))
    from ...config.project import environments
    from ...terminal.progress import progress
    from ..check import check as check_environment
    from ..tables import print_findings

    names = environments(conf_source(metadata)) if every else [environment(env)]
    findings = []
    with logs_on_stderr():
        for name in names:
            with progress(f"Trying {name} …"):
                findings.append(check_environment(metadata.project_path, name))
    if style == "json":
        print_json([finding.as_dict() for finding in findings], metadata)
    else:
        print_findings(findings, metadata.project_path)
    raise SystemExit(0 if all(finding.ok for finding in findings) else 1)


def _check_template(metadata: ProjectMetadata, style: str) -> int:
    from dataclasses import asdict

    from ...template.drift import drift

    found = drift(metadata.project_path)
    if style == "json":
        print_json(asdict(found), metadata)
        return 0 if found.ok else 1
    click.echo(f"template: {found.version or 'unknown'}; {found.message}.")
    for hazard in found.hazards:
        click.echo(f"before an update: {hazard}.")
    for name in found.edited:
        click.echo(f"edited: {name} is the template's; make the change there.")
    for name, instead in found.obsolete.items():
        click.echo(f"obsolete: {name} is no longer the template's; {instead}.")
    for name in found.unmerged:
        click.echo(f"unmerged: {name} waits for a decision after an update.")
    return 0 if found.ok else 1
