"""Which version of the template a project follows, and which files differ from it.

The pre-commit hooks of the template run this file too, in an environment without Kedro.
"""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

MANIFEST = "template/files.sha256"  # relative to the tracking package
VERSION = "template/version.txt"  # the version that the checksums belong to

OBSOLETE: Mapping[str, str] = {}
"""Paths, with wildcards, that older versions rendered, and what replaces each.

copier would delete such a file with all edits to it, so ``_exclude`` of ``copier.yml``
lists it as well, and the project's user is told to remove it."""

UPDATED = (
    ".copier-answers.yml",
    ".devcontainer/devcontainer.json",
    ".editorconfig",
    ".gitattributes",
    ".github/CODEOWNERS",
    ".github/workflows/*.yml",
    ".gitignore",
    ".gitlab-ci.yml",
    ".gitlab/CODEOWNERS",
    ".pre-commit-config.yaml",
    ".telemetry",
    ".vscode/extensions.json",
    "AGENTS.md",
    "catalog-info.yaml",
    "conf/*/mlflow.yml",
    "conf/README.md",
    "conf/logging.yml",
    "conf/mlflow.schema.json",
    "pyproject.toml",
    "renovate.json",
    "src/*/*.py",
    "src/*/tracking/**",
)
"""Files that an update writes, with git's wildcards."""

FOLDERS = (
    *(".devcontainer", ".github", ".github/workflows", ".gitlab", ".vscode"),
    *("conf", "conf/*", "data", "data/0?_*", "notebooks", "tests", "tests/pipelines"),
    *("src", "src/*", "src/*/pipelines", "src/*/tracking"),
)
"""Folders of the template, with wildcards, that must not lead out of the project."""

SHOWS_MARKERS = "shows-conflict-markers"
"""The attribute in ``.gitattributes`` of a file that documents conflict markers."""

_FLAGS = {True: "skip-worktree", False: "assume-unchanged"}
_ALIASES = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/"}


@dataclass(frozen=True)
class Drift:
    """How a project differs from its template.

    Attributes:
        version: the template's version that the project follows; empty when unknown.
        newest: the newest version at the template's address; empty when unknown.
        edited: the template's files that differ, as paths from the project's root.
        obsolete: files of older versions, and what replaces each.
        unmerged: files with unresolved conflicts of an update.
        hazards: what git does not keep, or copier cannot reach, each with the way out.
        mismatch: where the answers and the tracking package contradict each other, and
            the way out; empty when they agree.
        message: what to do first: about the mismatch, or about the version.
    """

    version: str
    newest: str
    edited: list[str]
    obsolete: dict[str, str]
    unmerged: list[str]
    hazards: list[str]
    mismatch: str
    message: str

    @property
    def ok(self) -> bool:
        """Whether nothing hinders an update; an old version does not."""
        found = self.edited or self.obsolete or self.unmerged or self.hazards
        return not (found or self.mismatch)


def drift(root: Path) -> Drift:
    """Compare the project that contains this package with its template."""
    folder = Path(__file__).parents[1]
    followed = answers(root)
    version = followed.get("_commit", "")
    newest, message = _newest(version, followed.get("_src_path", ""), root)
    edited = [
        Path(os.path.relpath(folder / name, root)).as_posix()
        for name in edited_files(folder)
    ]
    try:
        unmerged = unmerged_files(root)
    except OSError:
        unmerged = []  # without git there is nothing to merge
    mismatch = contradiction(folder, followed)
    return Drift(
        version=version,
        newest=newest,
        edited=edited,
        obsolete=obsolete_files(root, OBSOLETE),
        unmerged=unmerged,
        hazards=hazards(root),
        mismatch=mismatch,
        message=mismatch or message,
    )


def hazards(root: Path) -> list[str]:
    """Return what an update would replace without a trace, and where it would stop.

    copier protects what git keeps, and writes no file outside of the project.

    Returns:
        Sentences without their full stop, each with the way out.
    """
    real = root.resolve()
    links = sorted({path for pattern in FOLDERS for path in root.glob(pattern)})
    found = [
        f"{path.relative_to(root).as_posix()} is a link to a place outside of the "
        "project, and copier writes no file there. Make it a folder with the link inside "
        "it, under a name of your own; or remove the link in a commit, update, and "
        "restore it"
        for path in links
        if path.is_symlink() and not path.resolve().is_relative_to(real)
    ]
    paths = [f":(glob){pattern}" for pattern in UPDATED]
    paths += [":(exclude,glob)conf/local/**", ":(exclude,glob)**/__pycache__/**"]
    ignored = ["--others", "--ignored", "--exclude-standard", "-z", "--", *paths]
    try:
        listed = list(_git(root, "ls-files", "-v", "-z", "--", *paths))
        found += [
            f"git ignores {name}, and an update would replace your version of it. Add it "
            f"to git: git add --force {name}"
            for name in _git(root, "ls-files", *ignored)
        ]
    except OSError:
        return found  # outside of git copier updates nothing
    return found + [
        f"git does not see edits to {name}, and an update would replace them. Run git "
        f"update-index --no-{_FLAGS[flag == 'S']} {name} and commit them"
        for flag, name in (entry.split(" ", 1) for entry in listed)
        if (flag == "S" or flag.islower()) and (root / name).exists()
    ]


def contradiction(folder: Path, followed: Mapping[str, str]) -> str:
    """Compare the tracking package with what the next update takes it for.

    copier compares with the version in its answers, below the package in its answers. It
    looks at neither, so an update could be clean and leave the package as it is.

    Args:
        folder: the tracking package.
        followed: what ``answers`` has read.

    Returns:
        What contradicts what, and the way out; empty when all agrees.
    """
    package, named = folder.parent.name, followed.get("python_package", "")
    if named and named != package:
        return (
            f"the package is src/{package}, and .copier-answers.yml calls it {named}, so "
            f"an update would not reach it. Write 'python_package: {package}' there and "
            "commit it before the next update"
        )
    file = folder / VERSION
    there = file.read_text("utf-8").strip() if file.is_file() else ""
    version = followed.get("_commit", "")
    if there == version or not (there and version) or "\n" in there:
        return ""  # lines: conflict markers, which are a finding of their own
    return (
        f"src/{package}/tracking is {there}, and .copier-answers.yml says {version}, so "
        f"what lies between them is missing. Write '_commit: {there}' there, commit it "
        "and update"
    )


def _newest(version: str, address: str, root: Path) -> tuple[str, str]:
    from packaging.version import InvalidVersion, Version

    if not version:
        return "", ".copier-answers.yml names no version, so nothing can be updated"
    releases = {}
    try:
        for tag in released_versions(address, root):
            with suppress(InvalidVersion):
                if not (release := Version(tag)).is_prerelease:
                    releases[release] = tag
    except OSError as error:
        return "", f"whether a newer version is out is unknown: {error}"
    if not releases:
        return "", "the template has no releases"
    newest = max(releases)
    with suppress(InvalidVersion):
        if newest <= Version(re.sub(r"-\d+-g\w+$", "", version)):
            return releases[newest], "that is the newest version"
    return releases[newest], f"{releases[newest]} is out; 'copier update' brings it"


def manifest(folder: Path, beside: Mapping[str, Path]) -> str:
    """Return the checksums of the template's files, in the format of ``sha256sum``.

    Args:
        folder: the tracking package.
        beside: the template's files elsewhere: their paths relative to ``folder``, and
            where to read them.
    """
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.py")}
    files |= beside
    return "".join(f"{_digest(files[name])}  {name}\n" for name in sorted(files))


def edited_files(folder: Path) -> list[str]:
    """Return the template's files that differ, are missing or have been added.

    Args:
        folder: the tracking package of a project.

    Returns:
        Paths relative to ``folder``; every file if the list of checksums is missing. A
        file outside of the package counts if its folder exists: an installed package
        has no ``conf/`` beside it.
    """
    listed = folder / MANIFEST
    lines = listed.read_text("utf-8").splitlines() if listed.is_file() else []
    known = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    known = {
        name: digest
        for name, digest in known.items()
        if not name.startswith("../") or (folder / name).parent.is_dir()
    }
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*.py")}
    return sorted(
        name for name in found | set(known) if known.get(name) != _digest(folder / name)
    )


def tracking_packages(root: Path) -> list[Path]:
    """Return the tracking packages of a project, found by their files."""
    return sorted(
        folder
        for folder in root.glob("src/*/tracking")
        if (folder / MANIFEST).is_file() or (folder / "template/drift.py").is_file()
    )


def obsolete_files(root: Path, obsolete: Mapping[str, str]) -> dict[str, str]:
    """Return the files that older versions have left, and what replaces each.

    Args:
        root: the project's root.
        obsolete: ``OBSOLETE`` of the project's own version.
    """
    return {
        path.relative_to(root).as_posix(): instead
        for pattern, instead in obsolete.items()
        for path in sorted(root.glob(pattern))
    }


def unmerged_files(root: Path) -> list[str]:
    """Return the files of a project with unresolved conflicts of an update.

    They are unmerged in git's index, contain conflict markers, or are hunks that could
    not be applied (``*.rej``). Whether a merge is in progress is not checked, since
    copier leaves none. A file that shows markers on purpose has the attribute
    ``shows-conflict-markers``.
    """
    # These options override the user's own settings of git.
    markers = [
        "-c",
        "grep.fullName=false",
        "grep",
        "--no-color",
        "-G",
        "-I",
        "-l",
        "-z",
    ]
    for marker in ("<<<<<<< ", "||||||| ", ">>>>>>> "):
        markers += ["-e", f"^{marker}"]
    markers += ["--", f":(exclude,attr:{SHOWS_MARKERS})"]
    rejected = ["-z", "--cached", "--others", "--exclude-standard", "--", "*.rej"]
    names = {entry.split("\t", 1)[1] for entry in _git(root, "ls-files", "-u", "-z")}
    names.update(_git(root, *markers))
    names.update(_git(root, "ls-files", *rejected))
    return sorted(names)


def answers(root: Path) -> dict[str, str]:
    """Return the template's address and version, and the package, from the answers."""
    file = root / ".copier-answers.yml"
    if not file.is_file():
        return {}
    found = re.findall(
        r"^(_commit|_src_path|project_slug|python_package): *(.+?) *$",
        file.read_text("utf-8"),
        re.M,
    )
    return {name: value.strip("'\"") for name, value in found}


def released_versions(address: str, root: Path) -> list[str]:
    """Return the tags of the template, without asking for a password.

    Args:
        address: as copier keeps it, maybe in a short form such as ``gh:``.
        root: the project's root, for a relative path.

    Raises:
        OSError: git is not installed, or the address does not answer within 5 seconds.
    """
    for alias, host in _ALIASES.items():
        if address.startswith(alias):
            address = f"{host}{address.removeprefix(alias).lstrip('/')}"
    address = os.path.expanduser(address.removeprefix("git+"))
    words = ["git", "ls-remote", "--tags", "--refs", "--", address]
    silent = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}
    try:
        done = subprocess.run(
            words,
            cwd=root,
            env={**os.environ, **silent},
            capture_output=True,
            text=True,
            check=True,
            timeout=5,
        )
    except subprocess.SubprocessError as error:
        raise OSError("the template's address does not answer") from error
    return re.findall(r"refs/tags/(\S+)", done.stdout)


def _digest(path: Path) -> str | None:
    """Hash a text file, whatever its line ends; None if it does not exist."""
    if not path.is_file():
        return None
    return sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def _git(root: Path, *words: str) -> Iterator[str]:
    command = ["git", *words]
    done = subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode > 1:  # 1: git grep has found nothing
        raise OSError(f"git {' '.join(words)}: {done.stderr.strip()}")
    yield from filter(None, done.stdout.split("\0"))
