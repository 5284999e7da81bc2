"""``make licences``: install a default project, and write what licences its packages have.

pip-licenses reads them from the metadata of the packages; cyclonedx-py writes an SBOM.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from copier import run_copy

REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "docs" / "reference" / "licences.md"
NAME = "penguin-classifier"

_UV = Path(sys.executable).parent / "uv"
_TOOL = (_UV, "tool", "run", "--quiet")

_FAMILIES = {
    "MIT": r"MIT( License)?",
    "BSD": r"(3-Clause )?BSD([- ][23]-Clause)?( License)?",
    "Apache 2.0": r"Apache([- ]| Software License).*",
    "PSF": r"PSF.*|Python Software Foundation License",
    "ISC": r"ISC.*",
    "none in the metadata": r"UNKNOWN",
}
"""A name for each group of spellings; what fits none stands as it is written."""

_COPYLEFT = re.compile(r"GPL|General Public|MPL|Mozilla|EPL|CDDL|EUPL")
_PAGE = """\
<!-- Written by 'make licences'. -->

# Licences of a default project

What `uv sync --no-dev` installs for a default project, by the metadata of each package:
{packages} packages on {system} with Python {python} and MLflow {mlflow}. `make licences` of this
repository writes this page. The [SBOM](../security-officer.md#an-sbom) of the same environment
had {components} components, the project among them, in CycloneDX {cyclonedx}. {dev} more packages
are for development (`uv sync`).

| licence | packages | |
| --- | --- | --- |
{rows}

With copyleft, in whole or as one of several: {copyleft}.

Metadata without a licence does not mean that there is none: read the file in the package.
"""


def page(packages: Iterable[Mapping[str, str]], facts: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        packages: what pip-licenses says of each: ``Name``, ``Version`` and ``License``.
        facts: the figures that the page names besides them.
    """
    groups: dict[str, list[str]] = {}
    copyleft, installed = [], list(packages)
    for package in installed:
        licence = " ".join(package["License"].split())
        groups.setdefault(_family(licence), []).append(package["Name"])
        if _COPYLEFT.search(licence):
            copyleft.append(f"{package['Name']} ({licence})")
    by_size = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    rows = [
        f"| {family} | {len(names)} | {', '.join(sorted(names, key=str.lower))} |"
        for family, names in by_size
    ]
    return _PAGE.format(
        packages=len(installed),
        rows="\n".join(rows),
        copyleft="; ".join(copyleft) or "none",
        **facts,
    )


def _family(licence: str) -> str:
    fits = (f for f, spellings in _FAMILIES.items() if re.fullmatch(spellings, licence))
    return next(fits, licence)


def _call(*words: str | Path, cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
    done = subprocess.run(
        words, cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def _licences(project: Path, *options: str) -> list[dict[str, str]]:
    _call(_UV, "sync", "--quiet", *options, cwd=project)
    ours = ["--from", "mixed", "--format", "json", "--with-system"]
    listed = _call(
        *_TOOL, "pip-licenses", "--python", ".venv/bin/python", *ours, cwd=project
    )
    found = {each["Name"]: each for each in json.loads(listed)}
    del found[NAME]  # the project itself
    return list(found.values())


def main() -> None:
    """Write ``docs/reference/licences.md``."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / NAME
        run_copy(str(REPOSITORY), project, defaults=True, quiet=True, vcs_ref="HEAD")
        everything = _licences(project)
        packages = _licences(project, "--no-dev")
        sbom = ["--from", "cyclonedx-bom", "cyclonedx-py", "environment", ".venv"]
        _call(*_TOOL, *sbom, "--output-file", "sbom.json", cwd=project)
        bom = json.loads((project / "sbom.json").read_text("utf-8"))
        python = _call(".venv/bin/python", "--version", cwd=project).split()[1]
    versions = {package["Name"]: package["Version"] for package in packages}
    facts = {
        "python": python,
        "system": sys.platform,
        "mlflow": versions["mlflow"],
        "dev": len(everything) - len(packages),
        "components": len(bom["components"]),
        "cyclonedx": bom["specVersion"],
    }
    PAGE.write_text(page(packages, facts), "utf-8", newline="\n")


if __name__ == "__main__":
    main()
