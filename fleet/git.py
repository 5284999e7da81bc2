"""git, which never asks and whose failures are sentences."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .errors import FleetError

_SILENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"),
    "GIT_LFS_SKIP_SMUDGE": "1",
}
_NOBODY = ("kedro-mlflow-fleet", "kedro-mlflow-fleet@localhost")


def git(*words: str, cwd: Path | None = None) -> str:
    """Run git and return what it prints.

    Raises:
        FleetError: git has failed; the message is its last line.
    """
    command = ["git", *words]
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **_SILENT},
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise FleetError(f"git {words[0]}: {said[-1].strip()}")
    return done.stdout


def fresh_clone(address: str, folder: Path, branch: str = "") -> None:
    """Clone the last commit of a branch, by default the repository's default branch.

    Raises:
        FleetError: it cannot be reached, or has no commit.
    """
    if Path(address).is_dir():
        address = Path(address).resolve().as_uri()  # a path would be cloned whole
    words = ["--branch", branch] if branch else []
    git("clone", "--quiet", "--depth", "1", *words, "--", address, str(folder))
    git("rev-parse", "--quiet", "--verify", "HEAD", cwd=folder)


def remote_branches(address: str) -> list[str]:
    """Return the names of a repository's branches.

    Raises:
        FleetError: it cannot be reached.
    """
    lines = git("ls-remote", "--heads", "--", address).splitlines()
    return [line.split("\trefs/heads/", 1)[1] for line in lines]


def commit_all(message: str) -> None:
    """Commit everything, conflict markers too; the project's own hooks do not run."""
    git("add", "--all")
    person: tuple[str, ...] = ()
    try:
        git("var", "GIT_COMMITTER_IDENT")
    except FleetError:
        name, email = _NOBODY
        person = ("-c", f"user.name={name}", "-c", f"user.email={email}")
    git(*person, "commit", "--quiet", "--no-verify", "--message", message)
