"""Run again what a run has recorded, in a worktree of its commit."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from kedro.framework.context import KedroContext
from kedro.framework.project import settings

from ..config.loading import mlflow_config
from ..errors import TrackingError
from ..outbox.folder import OUTBOXES, is_local
from ..redaction import HIDDEN
from ..run.resumed import RESUMED
from ..run.source import LOCK, PACKAGES, git, git_source, lock
from ..run.story import RERUN, RERUN_OF
from ..server.connection import Connection
from .context import connected, load_context
from .diff import Difference, difference
from .recorded import RecordedRun, fetched_runs, recorded_run

_BARE = re.compile(rf"(?m)^(\+.*: ){re.escape(HIDDEN)}$")
"""A hidden value of YAML, which would be no YAML without quotes."""


@dataclass
class Plan:
    """What a rerun does.

    Attributes:
        run: the recorded run.
        words: the command, ``kedro`` included.
        obstacles: why it cannot be run again.
        differences: what cannot be had as it was; the rerun goes on without.
        with_uv: whether uv makes an environment from the lock.
    """

    run: RecordedRun
    words: list[str]
    obstacles: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    with_uv: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "run_id": self.run.run_id,
            "commit": self.run.commit,
            "command": shlex.join(self.words),
            "patch": bool(self.run.patch),
            "lock": self.run.lock[0],
            "obstacles": self.obstacles,
            "differences": self.differences,
        }


def plan(project_path: Path, env: str, which: str) -> Plan:
    """Return what a rerun would do, without changing anything.

    Args:
        project_path: the project.
        env: the environment that has the run.
        which: the run, as ``run_id_of`` takes it.

    Raises:
        TrackingError: there is no such run, or the server does not answer.
    """
    (run,) = fetched_runs(load_context(project_path, env), which)
    return _plan(project_path, run)


def rerun(project_path: Path, env: str, planned: Plan) -> tuple[int, Difference]:
    """Run it again, and compare.

    Args:
        project_path: the project.
        env: the environment that has the run.
        planned: what to do; without obstacles.

    Returns:
        The exit code of ``kedro run``, and the comparison of the two runs.

    Raises:
        TrackingError: the server does not have the run yet, git refuses, or no new run is
            found.
    """
    if is_local(planned.run.run_id):
        raise TrackingError(
            f"The run {planned.run.run_id} is only on this machine; 'kedro mlflow sync' sends "
            "it, and then it can be run again."
        )
    run, began = planned.run, int(time.time() * 1000)
    context = load_context(project_path, env)
    with connected(context) as connection:
        store = connection.uri if connection.artifact_root else ""
    with _worktree(project_path, run) as folder:
        _link_what_git_ignores(project_path, folder, run)
        if store:  # a relative address would be in the worktree
            _point_at(store, folder, _environment_of(planned.words, env))
        code = _replay(folder, planned)
    with connected(context) as connection:
        again = recorded_run(connection, project_path, _new_run(connection, run, began))
    return code, difference(run, again)


def missing_for_rerun(context: KedroContext) -> list[str]:
    """Return what a rerun of a run that started now would be without."""
    record = mlflow_config(context).tracking.record
    source = git_source(context.project_path)
    if source is None:
        return ["the code, since the project is in no git repository with a commit"]
    found = []
    if source.untracked:
        found.append(f"files that git does not track: {_some(source.untracked)}")
    if source.changed and not record.patch:
        found.append("uncommitted changes, since tracking.record.patch is false")
    elif source.changed and len(patch := source.patch()) > record.max_bytes:
        found.append("uncommitted changes, which exceed tracking.record.max_bytes")
    elif source.changed and HIDDEN in patch:
        found.append("secrets in uncommitted changes")
    if not record.lock and not (source.root / LOCK).is_file():
        found.append("the packages, since tracking.record.lock is false")
    if not record.inputs:
        found.append("digests of the data, since tracking.record.inputs is false")
    return found


# --- Plan ---------------------------------------------------------------------


def _plan(project_path: Path, run: RecordedRun) -> Plan:
    command = run.tags.get("kedro_command", "")
    planned = Plan(run, _with_versions(shlex.split(command), run))
    planned.obstacles = list(_obstacles(project_path, run, command))
    if not planned.obstacles:
        planned.differences = [
            *_code_differences(run),
            *data_differences(project_path, run),
            *_package_differences(project_path, planned),
        ]
    return planned


def _obstacles(project_path: Path, run: RecordedRun, command: str) -> Iterator[str]:
    if not command.startswith("kedro run"):
        yield "it was not started by 'kedro run': it has no tag kedro_command"
    if HIDDEN in command:
        yield f"a parameter of its command is hidden: {command}"
    if not run.commit:
        yield "it has no commit: its project was in no git repository"
        return
    if git(project_path, "cat-file", "-e", run.commit + "^{commit}") is None:
        yield (
            f"the repository does not have its commit {run.commit[:12]}; "
            "'git fetch' may bring it"
        )
    has_changes = run.tags.get("git.dirty") == "true" and not run.patch
    if has_changes and not run.tags.get("git.untracked"):
        yield "it had uncommitted changes, and there is no patch of them"


def _code_differences(run: RecordedRun) -> Iterator[str]:
    if names := run.tags.get("git.untracked"):
        yield f"files that git did not track are not there: {names}"
    if lines := run.tags.get(RESUMED):
        yield f"it was resumed, and the code may have changed: {lines}"
    if HIDDEN in run.patch:
        yield f"a secret in its patch reads {HIDDEN}"


def data_differences(project_path: Path, run: RecordedRun) -> Iterator[str]:
    """Compare the files of inputs with what is recorded, without reading them."""
    from ..datasets.inputs import local_metadata

    for name, each in run.inputs.items():
        path = project_path / each.uri
        if not each.uri or "://" in each.uri or each.made_of in ("git", ""):
            continue  # the commit has it, or it is compared afterwards
        if not path.exists():
            yield f"the input '{name}' is gone: {each.uri}"
            continue
        made_of, digest = local_metadata(path)
        is_comparable = made_of.split()[0] == each.made_of.split()[0]
        if is_comparable and digest != each.digest:
            yield f"the input '{name}' has changed: {each.uri}"


def _package_differences(project_path: Path, planned: Plan) -> Iterator[str]:
    name, text = planned.run.lock
    if not text:
        yield "nothing pins its packages; those of this environment are used"
        return
    file = project_path / LOCK
    if name == LOCK:
        if file.is_file() and file.read_text("utf-8") == text:
            return
        planned.with_uv = shutil.which("uv") is not None
        if not planned.with_uv:
            yield f"its {LOCK} is another one, and uv is not installed"
        return
    _, now = _installed(project_path)
    if changed := sorted(set(text.splitlines()) ^ set(now.splitlines())):
        packages = dict.fromkeys(line.partition("==")[0] for line in changed)
        yield f"other packages are installed: {_some(tuple(packages))}"


def _installed(project_path: Path) -> tuple[str, str]:
    name, text = lock(project_path, None)
    return (name, text) if name == PACKAGES else ("", "")


def _with_versions(words: list[str], run: RecordedRun) -> list[str]:
    """Add the versions that Kedro has resolved to those that the command names."""
    found = {name: each.version for name, each in run.inputs.items() if each.version}
    if not found:
        return words
    option = "--load-versions"
    if option in words:
        at = words.index(option)
        given = dict(pair.split(":", 1) for pair in words[at + 1].split(","))
        found, words = {**found, **given}, words[:at] + words[at + 2 :]
    return [*words, option, ",".join(f"{k}:{v}" for k, v in found.items())]


# --- Run ----------------------------------------------------------------------


@contextmanager
def _worktree(project_path: Path, run: RecordedRun) -> Iterator[Path]:
    """Check out a run's commit with its patch; yield the project's folder there."""
    root = Path(_git(project_path, "rev-parse", "--show-toplevel").strip())
    with TemporaryDirectory(prefix="kedro-mlflow-rerun-") as temporary:
        top = Path(temporary, root.name)
        _git(root, "worktree", "add", "--detach", str(top), run.commit)
        try:
            if run.patch:
                file = Path(temporary, "changes.patch")
                patch = _applicable(run.patch, top)
                file.write_bytes(patch.encode("utf-8", "surrogateescape"))
                _git(top, "apply", "--whitespace=nowarn", str(file))
            folder = top / project_path.resolve().relative_to(root.resolve())
            if run.lock[0] == LOCK:
                (folder / LOCK).write_text(run.lock[1], "utf-8")
            yield folder
        finally:
            _git(root, "worktree", "remove", "--force", str(top))


def _applicable(patch: str, top: Path) -> str:
    """Return a patch with the lines of the commit as they are there, secrets included.

    What was hidden in the lines that the patch adds stays so, in quotes in YAML.
    """
    found, old, at = [], [""], 0
    is_header = True
    for line in patch.split("\n"):
        if line.startswith("diff --git "):
            is_header = True
        elif is_header and line.startswith("--- a/"):
            text = (top / line[6:]).read_text("utf-8", "surrogateescape")
            old = text.split("\n")
        elif hunk := re.match(r"@@ -(\d+)", line):
            is_header, at = False, int(hunk[1]) - 1
        elif not is_header and line[:1] in ("-", " ") and at < len(old):
            found.append(line[0] + old[at] if HIDDEN in line else line)
            at += 1
            continue
        found.append(line)
    return _BARE.sub(rf"\1'{HIDDEN}'", "\n".join(found))


def _git(folder: Path, *words: str) -> str:
    """Return what git prints.

    Raises:
        TrackingError: git fails.
    """
    command = ["git", *words]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise TrackingError(f"git {words[0]} fails: {done.stderr.strip()}")
    return done.stdout


def _link_what_git_ignores(project_path: Path, folder: Path, run: RecordedRun) -> None:
    """Let the worktree find what only the project's folder has: settings and data."""
    conf = (project_path / str(settings.CONF_SOURCE)).glob("*/**/*")
    data = [project_path / each.uri for each in run.inputs.values() if each.uri]
    outbox = project_path / OUTBOXES
    outbox.mkdir(parents=True, exist_ok=True)
    ignored = [file for file in conf if file.is_file() and _is_ignored(file)]
    for source in (*ignored, *data, outbox):
        if source.exists() and source.is_relative_to(project_path):
            target = folder / source.relative_to(project_path)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(source.resolve(), source.is_dir())


def _is_ignored(file: Path) -> bool:
    return git(file.parent, "check-ignore", "--quiet", file.name) is not None


def _point_at(store: str, folder: Path, env: str) -> None:
    """Let the worktree log to a store, without a change that git sees."""
    file = folder / str(settings.CONF_SOURCE) / env / "mlflow.yml"
    content = yaml.safe_load(file.read_text("utf-8")) if file.exists() else None
    content = content or {}
    server = {**(content.get("server") or {}), "mlflow_tracking_uri": store}
    file.unlink(missing_ok=True)  # which may be a link
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump({**content, "server": server}), "utf-8")
    git(folder, "update-index", "--skip-worktree", str(file))


def _environment_of(words: list[str], default: str) -> str:
    return words[words.index("--env") + 1] if "--env" in words else default


def _replay(folder: Path, planned: Plan) -> int:
    kedro = [sys.executable, "-m", "kedro"]
    if planned.with_uv:
        kedro = ["uv", "run", "--frozen", "kedro"]
    variables = {**os.environ, RERUN: planned.run.run_id}
    return subprocess.run(
        [*kedro, *planned.words[1:]],
        cwd=folder,
        env=variables,
        stdout=sys.stderr,  # stdout is for the result
        check=False,
    ).returncode


def _new_run(connection: Connection, run: RecordedRun, began: int) -> str:
    """Return the id of the run that was just made, tagged with the recorded one."""
    from mlflow import MlflowClient

    client = MlflowClient(connection.uri)
    found = client.search_runs(
        [run.experiment_id],
        f"attributes.start_time >= {began}",
        order_by=["attributes.start_time DESC"],
    )
    for new in found:
        tags = new.data.tags
        if tags.get(RERUN_OF) == run.run_id or tags.get("git.commit") == run.commit:
            new_id = str(new.info.run_id)
            if RERUN_OF not in tags:  # code of before there was this tag
                client.set_tag(new_id, RERUN_OF, run.run_id)
            return new_id
    raise TrackingError(
        "No new run is there: 'kedro run' has failed before it could start one."
    )


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
