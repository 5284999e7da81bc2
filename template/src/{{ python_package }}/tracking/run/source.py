"""Where the code of a run comes from: commit, branch, repository, changes, packages."""

import hashlib
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ..redaction import without_secrets
from ..template.secret_scan import without_secret_lines

PATCH = "source/changes.patch"
"""The artifact with uncommitted changes; a resumed run has one more for each time."""

LOCK = "uv.lock"
PACKAGES = "packages.txt"

_EXCLUDED = (f":(exclude,top,glob)**/{LOCK}", ":(exclude,top,glob)**/credentials*")
_SEED = re.compile(r"\b(seed|random_seed|random_state)\b\W+(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """The state of the project's git repository.

    Attributes:
        root: the repository's root.
        commit: the commit that is checked out.
        branch: its branch; empty if none is.
        repository: the address of the remote, without a login; empty if there is none.
        changed: tracked files that differ from the commit, relative to the root.
        untracked: files that git neither tracks nor ignores, relative to the root.
    """

    root: Path
    commit: str
    branch: str
    repository: str
    changed: frozenset[str] = field(default_factory=frozenset)
    untracked: tuple[str, ...] = ()

    @property
    def tags(self) -> dict[str, str]:
        """The tags that say so: MLflow's own, and ours."""
        is_dirty = bool(self.changed or self.untracked)
        found = {
            "git.commit": self.commit,
            "git.dirty": str(is_dirty).lower(),
            "git.untracked": ", ".join(self.untracked)[:1000],
            "mlflow.source.git.commit": self.commit,
            "mlflow.source.git.branch": self.branch,
            "mlflow.source.git.repoURL": self.repository,
        }
        return {key: value for key, value in found.items() if value}

    def patch(self) -> str:
        """Return the changes of tracked files, for ``git apply``; secrets are hidden.

        Lock files and credentials are left out.
        """
        options = ("--binary", "--no-color", "--no-ext-diff", "--no-textconv")
        words = ("diff", "HEAD", *options, "--", ":/", *_EXCLUDED)
        return without_secret_lines(git(self.root, *words) or "")


def git(folder: Path, *words: str) -> str | None:
    """Return what git prints; None if there is no git, or no repository."""
    command = ["git", "-c", "core.quotePath=false", *words]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "surrogateescape")


def git_source(project_path: Path) -> Source | None:
    """Return the state of the repository that a project is in; None without a commit."""
    status = git(project_path, "status", "--porcelain=v2", "--branch", "-z")
    head: dict[str, str] = {}
    changed, untracked = set(), []
    lines = iter((status or "").split("\0"))
    for line in lines:
        if line.startswith("# branch."):
            key, _, value = line.removeprefix("# branch.").partition(" ")
            head[key] = value
        elif line.startswith("? "):
            untracked.append(line[2:])
        elif line.startswith(("1 ", "u ")):
            changed.add(line.split(" ", 8 if line[0] == "1" else 10)[-1])
        elif line.startswith("2 "):
            changed |= {line.split(" ", 9)[-1], next(lines)}
    commit, root = head.get("oid", "(initial)"), _root(project_path)
    if commit == "(initial)" or root is None:
        return None
    branch = head.get("head", "").replace("(detached)", "")
    address = _remote(project_path, head.get("upstream", ""))
    return Source(root, commit, branch, address, frozenset(changed), tuple(untracked))


def environment_tags(params: Mapping[str, Any]) -> dict[str, str]:
    """Return tags with the Python, the platform, and the seeds among the parameters."""
    texts = (f"{key}: {value}" for key, value in params.items())
    seeds = [f"{name}={seed}" for text in texts for name, seed in _SEED.findall(text)]
    tags = {
        "python.version": platform.python_version(),
        "python.platform": platform.platform(),
        "seed": ", ".join(dict.fromkeys(seeds))[:1000],
    }
    return {key: value for key, value in tags.items() if value}


def lock(project_path: Path, source: Source | None) -> tuple[str, str]:
    """Return what pins the packages of a run: the name of a file, and its text.

    That is ``uv.lock`` of the project or of its repository, or else a list of what is
    installed. The text is empty if the commit has the file.
    """
    folders = [project_path, *([source.root] if source else [])]
    for file in [folder / LOCK for folder in folders]:
        if file.is_file():
            if source and _is_committed(file, source):
                return LOCK, ""
            return LOCK, file.read_text("utf-8")
    return PACKAGES, "".join(sorted(_installed()))


def _installed() -> set[str]:
    """Return a line for each installed package, from the names of their folders."""
    folders = (f for entry in sys.path for f in Path(entry or ".").glob("*.dist-info"))
    pairs = (folder.stem.partition("-") for folder in folders)
    return {f"{name}=={version}\n" for name, _, version in pairs}


def short_digest(text: str) -> str:
    """Return 16 digits that tell a text from others."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def blobs(source: Source, files: Iterable[Path]) -> dict[Path, str]:
    """Return git's hash of the files that are as in the commit, without reading them."""
    wanted = {
        file.relative_to(source.root).as_posix(): file
        for file in files
        if file.is_relative_to(source.root)
    }
    if not wanted:
        return {}
    listed = git(source.root, "ls-files", "-s", "-z", "--", *wanted) or ""
    found = {}
    for line in listed.split("\0"):
        state, _, name = line.partition("\t")
        if name in wanted and name not in source.changed:
            found[wanted[name]] = state.split()[1]
    return found


def _is_committed(file: Path, source: Source) -> bool:
    return bool(blobs(source, [file]))


def _root(project_path: Path) -> Path | None:
    found = git(project_path, "rev-parse", "--show-toplevel")
    return Path(found.strip()) if found else None


def _remote(project_path: Path, upstream: str) -> str:
    """Return the address of the branch's remote, or else of ``origin``, or of any."""
    listed = git(project_path, "config", "--get-regexp", r"^remote\..*\.url$") or ""
    urls: dict[str, str] = {}
    for line in listed.splitlines():
        key, _, url = line.partition(" ")
        urls.setdefault(key.removeprefix("remote.").removesuffix(".url"), url)
    for name in (upstream.partition("/")[0], "origin", *urls):
        if name in urls:
            return without_any_login(urls[name])
    return ""


def without_any_login(address: str) -> str:
    """Remove the login from an address; the ``git@`` of SSH is none."""
    parts = urlsplit(address)
    if parts.scheme and parts.netloc:
        user, _, host = parts.netloc.rpartition("@")
        kept = "git@" if parts.scheme == "ssh" and user == "git" else ""
        address = urlunsplit((parts.scheme, kept + host, *parts[2:]))
    return without_secrets(address)
