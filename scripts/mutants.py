"""``make mutants``: change the tracking code a little, again and again, and test it.

A change that no test notices survives: its line is not tested, or is not needed. mutmut
makes the changes. Its own runner does not suit, since what runs is a rendered project's
copy of the code: here, a changed file takes its place in a clone of the repository, and
in the project that most tests copy. Imports and that project are made once; each mutant
gets a fork, so this needs a system that has them. A timeout counts as noticed.
"""

import argparse
import difflib
import gc
import importlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import libcst
import pytest
from libcst.metadata import MetadataWrapper
from mutmut.mutation.file_mutation import MutationVisitor
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode
from rich.console import Console
from rich.table import Table

REPOSITORY = Path(__file__).parents[1]
TRACKING = Path("src/{{ python_package }}/tracking")
_FIRST = "run/test_lifecycle.py::test_run_is_finished_with_its_parameters_and_tags"
TESTS = {
    "run/kedro_run.py": [
        _FIRST,
        "run/test_lifecycle.py::test_sub_runs_of_nodes_are_children_in_the_same_experiment",
        "run/test_lifecycle.py::test_node_that_leaves_the_process_fails_the_run_and_not_the_next",
        "run/test_lifecycle.py::test_disabled_pipeline_leaves_no_trace_and_still_works",
        "run/test_children.py::test_session_in_a_node_is_a_child_of_its_run",
        "run/test_children.py::test_failing_session_in_a_node_fails_its_own_run",
        "run/test_isolation.py",
    ],
    "run/killed.py": [
        _FIRST,
        "outbox/test_left.py",
        "outbox/test_killed.py",
    ],
    "run/left.py": [
        _FIRST,
        "outbox/test_sync.py::test_next_run_sends_what_waits",
        "outbox/test_sync.py::test_mistyped_address_can_be_corrected",
        "outbox/test_killed.py",
        "outbox/test_away.py::test_time_in_which_earlier_runs_are_sent_is_not_the_runs_own",
        "run/test_tasks.py::test_task_without_a_server_is_recorded_and_finish_sends_it",
        "run/test_tasks.py::test_killed_task_is_noticed_and_its_retry_counts_once",
    ],
    "run/opening.py": [
        _FIRST,
        "run/test_lifecycle.py",
        "run/test_experiment.py",
        "run/test_isolation.py::test_refused_join_leaves_nothing_behind",
        "run/test_children.py::test_session_in_a_node_is_a_child_of_its_run",
        "outbox/test_away.py::test_run_without_a_server_is_recorded_whole",
        "outbox/test_away.py::test_never_is_an_error_at_the_start",
        "outbox/test_away.py::test_always_asks_for_nothing_and_warns_of_nothing",
        "outbox/test_sync.py::test_creation_without_an_answer_creates_one_run",
        "run/test_on_termination.py::test_run_whose_creation_is_not_answered_is_ended",
        "run/test_tasks.py",
        "commands/test_resume.py::test_changed_parameter_stops_it_before_anything_changes",
    ],
    "run/handle.py": [
        _FIRST,
        "run/test_lifecycle.py",
        "run/test_isolation.py",
        "run/test_children.py",
        "test_runner.py",
        "run/test_story.py::test_workers_record_the_same",
        "outbox/test_killed.py::test_workers_of_a_killed_run_end",
        "outbox/test_away.py::test_workers_write_to_the_outbox_too",
    ],
    "run/lifecycle.py": [
        _FIRST,
        "run/test_messages.py",
        "run/test_isolation.py",
        "run/test_lifecycle.py",
        "run/test_on_termination.py",
        "run/test_story.py",
        "run/test_children.py",
        "outbox/test_away.py",
        "run/test_tasks.py",
    ],
    "outbox/release.py": [
        _FIRST,
        "outbox/test_left.py",
        "outbox/test_disk.py",
        "outbox/test_sync.py::test_two_at_once_send_everything_once",
        "outbox/test_away.py::test_server_that_goes_away_stops_no_node_and_sync_sends_the_rest",
    ],
    "outbox/sender.py": [
        _FIRST,
        "outbox/test_away.py",
        "outbox/test_refused.py",
        "outbox/test_faults.py",
        "outbox/test_limit.py",
        "outbox/test_sync.py",
    ],
}
"""The tests of a file, in ``tests/tracking``: the quickest first, since one is enough."""

_MADE_ONCE = ("rendered", "empty_store")  # fixtures, which return paths
_TIMEOUT, _FACTOR = 60, 4  # seconds for a mutant, and for each second of the real code
_PASSED, _FAILED, _INTERRUPTED = 0, 1, 2  # pytest's exit codes; 2 if an import fails
console = Console(soft_wrap=True, highlight=False)


class Mutant(NamedTuple):
    """A changed text of a file.

    Attributes:
        number: among all mutants of the file.
        code: the changed text.
        diff: from the real one.
    """

    number: int
    code: str
    diff: str


class MadeOnce:
    """A plugin for pytest: what the real code's tests have made serves all others.

    Args:
        file: where those tests write what they have made and imported.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.paths: dict[str, str] = {}

    def read(self) -> list[str]:
        """Use what was made from now on; return the modules that were imported."""
        modules: list[str]
        self.paths, modules = json.loads(self._file.read_text("utf-8"))
        return modules

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Path | None:
        if not (made := self.paths.get(fixturedef.argname)):
            return None
        fixturedef.cached_result = Path(made), fixturedef.cache_key(request), None
        return Path(made)

    def pytest_fixture_post_finalizer(self, fixturedef: Any) -> None:
        if fixturedef.argname in _MADE_ONCE and fixturedef.cached_result:
            self.paths[fixturedef.argname] = str(fixturedef.cached_result[0])

    def pytest_unconfigure(self) -> None:
        if not self._file.exists():
            ours = re.compile(
                r"(tests|tracking|tracked|scripts|conftest|__\w+__)(\.|$)"
            )
            modules = [name for name in list(sys.modules) if not ours.match(name)]
            self._file.write_text(json.dumps([self.paths, modules]), "utf-8")


def mutants(code: str) -> list[Mutant]:
    """Return all mutants of a text that are inside functions, in mutmut's order."""
    nothing = IgnoredCode(set(), set(), set())
    visitor = MutationVisitor(mutation_operators, nothing)
    module = MetadataWrapper(libcst.parse_module(code)).visit(visitor)
    found = []
    for each in visitor.mutations:
        if each.contained_by_top_level_function:
            new = module.deep_replace(each.original_node, each.mutated_node).code
            lines = code.splitlines(), new.splitlines()
            diff = "\n".join(list(difflib.unified_diff(*lines, n=1, lineterm=""))[2:])
            found.append(Mutant(len(found), new, diff))
    return found


class Trial:
    """Tests of one file, on the real code and then on its mutants.

    Args:
        file: in ``tracking/``.
        tests: of the file.
        clone: of the repository.
        folder: for all that the tests write.
    """

    def __init__(self, file: str, tests: Sequence[str], clone: Path, folder: Path):
        folder.mkdir()
        self._tests = [str(clone / "tests/tracking" / test) for test in tests]
        self._clone, self._folder = clone, folder
        self._log = folder / "log"
        self._made = MadeOnce(folder / "made.json")
        self._places = [clone / "template" / TRACKING / file]
        self._timeout = float("inf")
        self._file, self.code = file, self._places[0].read_text("utf-8")

    def begin(self) -> None:
        """Test the real code; import what its tests have imported.

        Raises:
            SystemExit: they fail.
        """
        began = time.monotonic()
        if self._pytest("real") != _PASSED:
            sys.exit(
                f"The tests fail without a change:\n{self._log.read_text('utf-8')}"
            )
        self._timeout = _TIMEOUT + _FACTOR * (time.monotonic() - began)
        for module in self._made.read():
            with suppress(Exception):  # some can be imported from others only
                importlib.import_module(module)
        gc.freeze()  # a fork need not look at what stays
        project = Path(self._made.paths["rendered"])
        self._places.append(project / "src/tracked/tracking" / self._file)

    def noticed_by(self, mutant: Mutant) -> str:
        """Return the first test that fails with a mutant; empty for a survivor."""
        self._write(mutant.code, mutant.number)
        code = self._pytest("mutant")
        if code == _PASSED:
            return ""
        failed = re.search(
            r"^(?:FAILED|ERROR) (?:\S*/)?(\S+)", self._log.read_text(), re.M
        )
        return failed[1] if failed else f"exit code {code}"

    def restore(self) -> None:
        """Let the clone have the real code again."""
        self._write(self.code, -1)

    def _write(self, code: str, number: int) -> None:
        for place in self._places:
            place.write_text(code, "utf-8")
            # Python compiles a file again if its time, in whole seconds, has changed.
            os.utime(place, (10**9 + number,) * 2)

    def _pytest(self, base: str) -> int | str:
        """Run the tests in a fork; end it, and all that it has started, afterwards."""
        if (child := os.fork()) == 0:
            os.setsid()
            log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.chdir(self._clone)
            words = ["-x", "-n0", "-q", "-p", "no:cacheprovider", "--tb=short"]
            words += [f"--basetemp={self._folder / base}", *self._tests]
            code = pytest.main(words, plugins=[self._made])
            sys.stdout.flush()
            os._exit(code)
        end = time.monotonic() + self._timeout
        try:
            while time.monotonic() < end:
                done, status = os.waitpid(child, os.WNOHANG)
                if done:
                    return os.waitstatus_to_exitcode(status)
                time.sleep(0.05)
            return "timeout"
        finally:
            with suppress(ProcessLookupError, ChildProcessError):
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)


def clone(folder: Path) -> Path:
    """Clone the repository as its working tree is."""
    git = ["git", "-C", str(REPOSITORY)]
    subprocess.run([*git, "clone", "--quiet", REPOSITORY, folder], check=True)
    listed = [*git, "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    for name in subprocess.check_output(listed, text=True).split("\0")[:-1]:
        if (REPOSITORY / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    return folder


def main() -> None:
    """Try mutants; print a line for each, a table, and the diff of each survivor."""
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__)
    parser.add_argument("files", nargs="*", help="in tracking/, as run/left.py")
    parser.add_argument("--sample", type=int, help="so many of each file")
    parser.add_argument("--seed", type=int, default=20, help="of the sample")
    parser.add_argument("--skip", type=int, default=0, help="leave out its first ones")
    parser.add_argument(
        "--numbers", type=int, nargs="*", help="these ones, of one file"
    )
    parser.add_argument("--tests", nargs="*", help="others than those of the table")
    asked = parser.parse_args()
    os.environ["DO_NOT_TRACK"] = "1"
    table, survivors = Table("file", "mutants", "tried", "noticed", "survived"), []
    with tempfile.TemporaryDirectory() as folder:
        there = clone(Path(folder, "repository"))
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        sys.path[:] = [str(there), *(p for p in sys.path if p != str(REPOSITORY))]
        for file in asked.files or TESTS:
            tests = asked.tests or TESTS[file]
            trial = Trial(file, tests, there, Path(folder, Path(file).stem))
            found = mutants(trial.code)
            chosen = [found[number] for number in asked.numbers or range(len(found))]
            if asked.sample:
                random.Random(asked.seed).shuffle(chosen)  # noqa: S311
                chosen = chosen[asked.skip : asked.skip + asked.sample]
            trial.begin()
            left = []
            for number, mutant in enumerate(chosen, 1):
                began = time.monotonic()
                result = trial.noticed_by(mutant)
                seconds = f"{time.monotonic() - began:.0f} s"
                words = f"{file} {mutant.number}", result or "SURVIVED", seconds
                console.print(f"{number}/{len(chosen)}", *words, markup=False)
                if not result:
                    left.append((f"{file} {mutant.number}", mutant.diff))
            trial.restore()
            counts = len(found), len(chosen), len(chosen) - len(left), len(left)
            table.add_row(file, *map(str, counts))
            survivors += left
    console.print(table)
    for name, diff in survivors:
        console.print(f"\n{name}\n{diff}", markup=False)


if __name__ == "__main__":
    main()
