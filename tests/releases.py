"""A temporary copy of the template, its releases, and projects made from them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from copier import run_copy, run_update

from tests.conftest import TEMPLATE

PERSON = ["-c", "user.name=A", "-c", "user.email=a@example.com"]


def git(folder: Path, *words: str) -> str:
    command = ["git", *PERSON, "-c", "core.autocrlf=false", *words]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Repository:
    """A folder with a git repository."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, name: str) -> str:
        return (self.path / name).read_text("utf-8")

    def write(self, name: str, text: str) -> None:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8", newline="")

    def replace(self, name: str, old: str, new: str) -> None:
        text = self.read(name)
        assert old in text, f"{name} has no {old!r}"
        self.write(name, text.replace(old, new, 1))

    def remove(self, name: str) -> None:
        path = self.path / name
        is_folder = path.is_dir() and not path.is_symlink()
        shutil.rmtree(path) if is_folder else path.unlink()

    def commit(self) -> None:
        git(self.path, "add", "--all")
        git(self.path, "commit", "-q", "--allow-empty", "--no-verify", "-m", "x")

    def load(self, name: str) -> Any:
        return yaml.safe_load(self.read(name))


class Template(Repository):
    """A copy of the working tree, uncommitted changes included, as a new repository."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        listed = git(TEMPLATE, "ls-files", "-co", "--exclude-standard", "-z")
        for name in filter(None, listed.split("\0")):
            if (TEMPLATE / name).is_file():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(TEMPLATE / name, path / name)
        git(path, "init", "-q", "-b", "main")

    def generate(self) -> None:
        """Write what 'make generated' writes."""
        env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        command = [sys.executable, "-m", "scripts.generate"]
        subprocess.run(command, cwd=self.path, env=env, check=True)

    def release(self, version: str) -> None:
        self.commit()
        git(self.path, "tag", version)


class Project(Repository):
    """A project that was copied from a template, in git."""

    @classmethod
    def copy(
        cls,
        template: Template,
        path: Path,
        version: str | None = None,
        address: str = "",
        **answers: Any,
    ) -> "Project":
        """Copy a release, by default the newest one, from the template's address."""
        run_copy(
            address or str(template.path),
            path,
            vcs_ref=version,
            data={"project_name": "Penguin Classifier", **answers},
            defaults=True,
            quiet=True,
            unsafe=False,
        )
        git(path, "init", "-q", "-b", "main")
        project = cls(path)
        project.commit()
        return project

    def update(self, unsafe: bool = False, **options: Any) -> None:
        """Update to the newest release, without questions."""
        run_update(
            self.path,
            defaults=True,
            overwrite=True,
            quiet=True,
            unsafe=unsafe,
            **options,
        )

    @property
    def unmerged(self) -> set[str]:
        listed = git(self.path, "ls-files", "-u", "-z").split("\0")
        return {line.split("\t", 1)[1] for line in listed if line}

    @property
    def changed(self) -> set[str]:
        lines = git(self.path, "status", "--porcelain", "-uall").splitlines()
        return {line[3:].strip('"') for line in lines}

    def files(self) -> dict[str, bytes]:
        """Return all files but git's own, by path."""
        return {
            path.relative_to(self.path).as_posix(): path.read_bytes()
            for path in sorted(self.path.rglob("*"))
            if path.is_file() and ".git" not in path.relative_to(self.path).parts
        }
