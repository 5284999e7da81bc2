"""``kedro package``, which keeps credentials out of the archive of the configuration."""

import sys
from fnmatch import fnmatch

import click
from kedro.framework.cli.utils import call
from kedro.framework.project import settings
from kedro.framework.startup import ProjectMetadata


@click.command()
@click.pass_obj
def package(metadata: ProjectMetadata) -> None:
    """Build the project's wheel and an archive of its configuration, in dist/.

    The archive leaves out conf/local, and every file or folder that has "credentials"
    in its name or matches the credentials of config_patterns in settings.py.
    """
    import tarfile

    root = metadata.project_path
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", "dist"]
    call(build, cwd=str(root))
    conf = root / settings.CONF_SOURCE
    file = root / "dist" / f"conf-{metadata.package_name}.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        archive.add(
            conf,
            conf.name,
            filter=lambda entry: None if _stays_here(entry.name) else entry,
        )
    click.echo(f"Wrote {file}, without credentials and conf/local")


def _stays_here(name: str) -> bool:
    """Whether the archive leaves out a path and everything below it."""
    patterns = settings.CONFIG_LOADER_ARGS.get("config_patterns", {})
    credentials = [p.removeprefix("**/") for p in patterns.get("credentials", ())]
    left_out = ["local/*", "*credentials*", *(f"*/{p}" for p in credentials)]
    _, _, below_conf = name.partition("/")
    return any(fnmatch(below_conf, pattern) for pattern in left_out)
