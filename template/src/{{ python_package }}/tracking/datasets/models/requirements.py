"""The requirements of a model, without MLflow's inference."""

import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from kedro.utils import find_kedro_project
from packaging.requirements import Requirement

# tomli is a requirement of Kedro's on Python 3.10.
tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")


def with_requirements(save_args: dict[str, Any]) -> dict[str, Any]:
    """Return arguments for ``save_model`` or ``log_model``, with requirements.

    Without ``pip_requirements`` or ``conda_env``, these are the project's dependencies
    and ``extra_pip_requirements``. Otherwise MLflow would infer them, which takes 15 s
    per model (MLflow 3.17, scikit-learn).
    """
    if save_args.get("pip_requirements") or save_args.get("conda_env"):
        return save_args
    project = project_requirements()
    if project is None:
        return save_args
    extra = save_args.get("extra_pip_requirements") or []
    if isinstance(extra, str):
        extra = [f"-r {extra}"]
    others = {k: v for k, v in save_args.items() if k != "extra_pip_requirements"}
    return {**others, "pip_requirements": [*project, *extra]}


def project_requirements() -> list[str] | None:
    """Return the project's dependencies, pinned to the installed versions.

    Returns:
        Lines such as ``scikit-learn==1.9.1``; None, which lets MLflow infer them, if
        neither the project's ``pyproject.toml`` nor its package is found.
    """
    lines = _declared() or _installed()
    if lines is None:
        return None
    requirements = [Requirement(line) for line in lines]
    return [
        _pinned(requirement)
        for requirement in requirements
        if not requirement.marker or requirement.marker.evaluate({"extra": ""})
    ]


def _declared() -> list[str] | None:
    project: Path | None = find_kedro_project(Path(__file__).parent)
    if project is None:
        return None
    pyproject = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))
    declared: list[str] | None = pyproject.get("project", {}).get("dependencies")
    return declared


def _installed() -> list[str] | None:
    package = __name__.partition(".")[0]
    owners = metadata.packages_distributions().get(package)
    return metadata.requires(owners[0]) if owners else None


def _pinned(requirement: Requirement) -> str:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return str(requirement)
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}=={version}"
