"""A template with releases, bare repositories of projects, and the command."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import TEMPLATE
from tests.releases import Project, Template, git

SOURCE = TEMPLATE / "template" / "src" / "{{ python_package }}"
ENV = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(map(str, (TEMPLATE, SOURCE))),
    "COLUMNS": "300",
}


class Laboratory:
    """Everything that an organisation has, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.template = Template(folder / "template")
        self._made: dict[str, Project] = {}
        self.before: dict[str, dict[str, bytes]] = {}
        self.base: dict[str, dict[str, bytes]] = {}

    def bare(self, name: str) -> Path:
        """The repository of a project in the forge."""
        return self.folder / "forge" / f"{name}.git"

    def start(self, name: str, version: str) -> Project:
        """Return a new project on a version, which nobody has edited."""
        if version not in self._made:
            path = self.folder / "made" / version
            self._made[version] = Project.copy(self.template, path, version)
        project = Project(self.folder / "work" / name)
        shutil.copytree(self._made[version].path, project.path)
        self.base[name] = self._made[version].files()
        return project

    def publish(self, name: str, project: Project) -> str:
        """Commit what was edited, and return the address of its bare repository."""
        project.commit()
        committed = git(project.path, "ls-files", "-z").split("\0")
        files = project.files()
        self.before[name] = {path: files[path] for path in committed if path in files}
        bare = self.bare(name)
        git(self.folder, "clone", "-q", "--bare", str(project.path), str(bare))
        return str(bare)

    def add(
        self, name: str, version: str, edit: Callable[[Project], object] | None = None
    ) -> str:
        """Start a project, edit it, publish it."""
        project = self.start(name, version)
        if edit:
            edit(project)
        return self.publish(name, project)

    def write(self, *rings: Iterable[Any], **options: Any) -> None:
        """Write fleet.yml."""
        content = {
            "template": str(self.template.path),
            "rings": [list(ring) for ring in rings],
            "checks": [],
            **options,
        }
        (self.folder / "fleet.yml").write_text(yaml.safe_dump(content), "utf-8")

    def command(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run ``kedro-mlflow-fleet``."""
        return subprocess.run(
            [sys.executable, "-m", "fleet.cli", *words],
            cwd=self.folder,
            env={**ENV, **env},
            capture_output=True,
            text=True,
            check=False,
        )

    def outcomes(self, version: str) -> dict[str, dict[str, Any]]:
        """Return what was recorded, by the name of the repository."""
        folder = self.folder / ".kedro-mlflow-fleet" / version
        records = [
            json.loads(file.read_text("utf-8")) for file in folder.glob("*.json")
        ]
        return {Path(record["repository"]).stem: record for record in records}

    def merge(self, name: str, branch: str) -> None:
        """Merge a branch as a person does in the forge."""
        bare = self.bare(name)
        git(bare, "update-ref", "refs/heads/main", f"refs/heads/{branch}")
        git(bare, "branch", "-q", "-D", branch)

    def lost(self, name: str, outcome: dict[str, Any]) -> list[str]:
        """Return the lines that the project had added, and that nobody finds again.

        A file that the outcome names counts as found.
        """
        if not outcome["branch"]:
            return []
        bare = self.bare(name)
        said = "\n".join(outcome["reasons"])
        templates = set().union(*map(_lines, self.base[name].values()))
        lost = []
        for path, ours in self.before[name].items():
            if path == ".copier-answers.yml" or path in said:
                continue
            try:
                after = git(bare, "show", f"{outcome['branch']}:{path}").encode()
            except AssertionError:
                after = b""
            base = self.base[name].get(path)
            # A new path may be that of a file of the template which was moved.
            added = _lines(ours) - (templates if base is None else _lines(base))
            lost += [f"{path}: {line}" for line in added - _lines(after)]
        return lost


def _lines(text: bytes) -> set[str]:
    lines = text.decode("utf-8", "replace").splitlines()
    parts = (part for line in lines for part in line.split(" #"))
    return {part.strip(" #") for part in parts} - {""}
