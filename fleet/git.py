"""git, which never asks and whose failures are sentences."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from .errors import FleetError
from .job import branch_for

SECONDS = 600
"""How long git may take; it has to suffice for the template's first copy."""

_DEFAULTS = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=30",
    "GIT_HTTP_LOW_SPEED_LIMIT": "1",  # bytes in a second
    "GIT_HTTP_LOW_SPEED_TIME": "120",
    "GIT_LFS_SKIP_SMUDGE": "1",
}
_ADVICE = re.compile(
    "hint: |warning: |Cloning into |To |Please make sure |and the repository exists"
)
_NOBODY = ("kedro-mlflow-fleet", "kedro-mlflow-fleet@localhost")


def git(*words: str, cwd: Path | None = None) -> str:
    """Run git and return what it prints.

    Raises:
        FleetError: git has failed, or has taken longer than ``SECONDS``; the message is
            what git says, without its advice.
    """
    command = ["git", *words]
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**_DEFAULTS, **os.environ},
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise FleetError(f"git {words[0]}: no end after {SECONDS} seconds.") from None
    if done.returncode:
        said = _reasons(done.stderr) or f"exit code {done.returncode}"
        raise FleetError(f"git {words[0]}: {said}.")
    return done.stdout


def _reasons(stderr: str) -> str:
    """Return what is wrong, in the words of git, of ssh and of the host."""
    lines = [line for line in stderr.splitlines() if not _ADVICE.match(line)]
    plain = (re.sub("^(fatal|error|remote):", "", line).strip(" .") for line in lines)
    return "; ".join(line for line in plain if re.search(r"\w", line))


def fresh_clone(address: str, folder: Path, branch: str = "") -> None:
    """Clone the last commit of a branch, by default the repository's default branch.

    Raises:
        FleetError: it cannot be reached, or has no commit.
    """
    words = ["--branch", branch] if branch else []
    words += ["--", _address(address), str(folder)]
    git("clone", "--quiet", "--depth", "1", *words)
    git("rev-parse", "--quiet", "--verify", "HEAD", cwd=folder)


def snapshot(address: str, folder: Path) -> list[str]:
    """Fetch the last commit of the default branch and the fleet's branches, in one go.

    Returns:
        The names of these branches.

    Raises:
        FleetError: it cannot be reached, or has no commit.
    """
    git("init", "--quiet", str(folder))
    branches = f"refs/heads/{branch_for('*')}"
    words = ["--quiet", "--depth", "1", "--no-tags", "--", _address(address)]
    git("fetch", *words, "HEAD", f"{branches}:{branches}", cwd=folder)
    git("checkout", "--quiet", "--detach", "FETCH_HEAD", cwd=folder)
    names = git("for-each-ref", "--format=%(refname:lstrip=2)", branches, cwd=folder)
    return names.splitlines()


def remote_branches(address: str) -> list[str]:
    """Return the names of a repository's branches.

    Raises:
        FleetError: it cannot be reached.
    """
    lines = git("ls-remote", "--heads", "--", address).splitlines()
    return [line.split("\trefs/heads/", 1)[1] for line in lines]


def _address(address: str) -> str:
    """Return an address from which git fetches the last commit alone."""
    is_path = Path(address).is_dir()
    return Path(address).resolve().as_uri() if is_path else address


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
