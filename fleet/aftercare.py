"""What follows copier's update: the merge by key, the guard, the project's checks."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

from tracking.redaction import without_secrets
from tracking.template.drift import obsolete_files

from hooks.merge_config import main as merge_config
from hooks.obsolete_files import delete_unedited, obsolete_of
from hooks.old_render import RenderError, rendered
from hooks.update_guard import answers, taken_lines

from .git import git

SHOWN = 20
"""Lines that are shown of each failed hook, or part of a check."""

_PASSED = re.compile(r"^.*\.{3}.*(Passed|Skipped)\n", re.MULTILINE)  # pre-commit's
_PARTS = re.compile(
    r"^(?=.*\.{3}.*Failed$|=+ (?:FAILURES|ERRORS|short test summary info) =+$)",
    re.MULTILINE,
)  # of what pre-commit and pytest print

_OURS = ("VIRTUAL_ENV", "PYTHONPATH", "COPIER_CACHE_DIR")  # not for a check


def after_update(
    root: Path, checks: Sequence[str], timeout_minutes: float, log: Path
) -> Iterator[str]:
    """Merge by key, and yield a sentence for all that a person must look at.

    Args:
        root: the project, from the working directory, which is that of its repository.
        checks: commands that must succeed in it; not run while a conflict is left.
        timeout_minutes: how long one of them may take.
        log: the file to which a check that fails is added with all that it prints.
    """
    said = StringIO()
    with redirect_stderr(said):
        merge_config([])
    unmerged = git("ls-files", "--unmerged", "-z").split("\0")
    conflicts = sorted({line.split("\t", 1)[1] for line in unmerged if line})
    for name in conflicts:
        about = [s for s in said.getvalue().splitlines() if s.startswith(f"{name}: ")]
        yield from about or [f"{name}: both sides have changed it; see its markers."]
    try:
        with rendered(answers(root, "HEAD")) as old:
            delete_unedited(root, old)
            yield from taken_lines(root, old, "HEAD")
    except RenderError as error:
        yield f"Whether a line is lost is unknown, since {error}."
    for name, instead in obsolete_files(root, obsolete_of(root)).items():
        yield f"{name}: edited, and the template no longer has it; {instead}."
    if not conflicts:
        ends = (_failure(check, root, timeout_minutes, log) for check in checks)
        yield from filter(None, ends)


def _failure(check: str, root: Path, timeout_minutes: float, log: Path) -> str:
    """Run a check, and once more where it has failed and changed files.

    So does a person whose hooks have formatted what they are about to commit.
    """
    git("add", "--all")
    end, said = _run(check, root, timeout_minutes)
    if end and git("diff", "--name-only"):
        end, said = _run(check, root, timeout_minutes)
    if not end:
        return ""
    said = without_secrets(said)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{root.as_posix()}: '{check}' {end}:\n{said}\n")
    shown = "".join(f"\n    {line}" for line in _excerpt(said))
    return f"'{check}' {end}{':' if shown else '.'}{shown}"


def _excerpt(said: str) -> Iterator[str]:
    """Yield the lines about failures; long parts lose their middle."""
    first, *parts = _PARTS.split(_PASSED.sub("", f"{said}\n"))
    for part in parts or [first]:
        lines = [line for line in part.splitlines() if line.strip()]
        half = SHOWN // 2
        if len(lines) > SHOWN:
            lines[half:-half] = [f"({len(lines) - SHOWN} lines are left out)"]
        yield from lines


def _run(check: str, root: Path, timeout_minutes: float) -> tuple[str, str]:
    """Run a check; return how it has failed, empty where it has not, and its output."""
    env = {name: value for name, value in os.environ.items() if name not in _OURS}
    process = subprocess.Popen(  # noqa: S602 - fleet.yml has it as typed in a terminal
        check,
        shell=True,
        cwd=root,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # so that all it has started can be ended
    )
    try:
        said = process.communicate(timeout=timeout_minutes * 60)[0]
        end = f"has failed with exit code {process.returncode}"
    except subprocess.TimeoutExpired:
        _kill(process)
        said = process.communicate()[0]
        end = f"was stopped after {timeout_minutes:g} minutes (timeout_minutes)"
    except BaseException:  # Ctrl-C
        _kill(process)
        raise
    return "" if process.returncode == 0 else end, said


def _kill(process: subprocess.Popen[str]) -> None:
    """End a check with all that it has started."""
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
