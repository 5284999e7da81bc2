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
import yaml
from libcst.metadata import MetadataWrapper
from mutmut.mutation.file_mutation import MutationVisitor
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode
from rich.console import Console
from rich.table import Table

REPOSITORY = Path(__file__).parents[1]
TRACKING = Path("src/{{ python_package }}/tracking")
TESTS = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text("utf-8"))

_MADE_ONCE = ("rendered", "empty_store", "server")  # fixtures; two of them are paths
_TIMEOUT, _FACTOR = 30, 2  # seconds for a mutant, and for each second of the real code
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
        self.values: dict[str, str] = {}

    def read(self) -> list[str]:
        """Use what was made from now on; return the modules that were imported."""
        modules: list[str]
        self.values, modules = json.loads(self._file.read_text("utf-8"))
        return modules

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Path | str | None:
        name = fixturedef.argname
        made = self.values.get(name)
        if made is None and name == "tmp_path" and self.values:
            # On a server that all share, experiments are called like this folder.
            words = re.sub(r"\W", "_", request.node.name)[:30]
            made = tempfile.mkdtemp(prefix=f"{words}_")
        if made is None:
            return None
        value = made if name == "server" else Path(made)
        fixturedef.cached_result = value, fixturedef.cache_key(request), None
        return value

    def pytest_fixture_post_finalizer(self, fixturedef: Any) -> None:
        if fixturedef.argname in _MADE_ONCE and fixturedef.cached_result:
            self.values[fixturedef.argname] = str(fixturedef.cached_result[0])

    def pytest_unconfigure(self) -> None:
        if not self._file.exists():
            ours = r"(tests|tracking|tracked|scripts|conftest|__\w+__)(\.|$)"
            modules = [name for name in list(sys.modules) if not re.match(ours, name)]
            self._file.write_text(json.dumps([self.values, modules]), "utf-8")


def mutants(code: str) -> list[Mutant]:
    """Return all mutants of a text that are inside functions, in mutmut's order."""
    nothing = IgnoredCode(set(), set(), set())
    visitor = MutationVisitor(mutation_operators, nothing)
    module = MetadataWrapper(libcst.parse_module(code)).visit(visitor)
    found: list[Mutant] = []
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
        self._server: Any = None
        self._file, self.code = file, self._places[0].read_text("utf-8")

    def __enter__(self) -> "Trial":
        """Test the real code; keep what its tests have imported and made.

        Raises:
            SystemExit: the tests fail.
        """
        began = time.monotonic()
        self._refuse(self._test("real"))
        self._timeout = _TIMEOUT + _FACTOR * (time.monotonic() - began)
        for module in self._made.read():
            with suppress(Exception):  # some can be imported from others only
                importlib.import_module(module)
        gc.freeze()  # a fork need not look at what stays
        made = self._made.values
        self._places.append(Path(made["rendered"], "src/tracked/tracking", self._file))
        if "server" in made:
            self._serve(Path(made["empty_store"]))
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Test the real code as all mutants were tested; stop the server.

        Raises:
            SystemExit: the tests fail, so that what they have noticed may be no mutant.
        """
        try:
            if kind is None:
                self._refuse(self.noticed_by(Mutant(-1, self.code, "")))
        finally:
            if self._server:
                self._server.close()

    def _refuse(self, failed: str) -> None:
        if failed:
            log = self._log.read_text("utf-8")
            sys.exit(f"{self._file} fails unchanged: {failed}\n{log}")

    def _serve(self, store: Path) -> None:
        from tests.mlflow_server import MlflowServer

        folder = self._folder / "server"
        folder.mkdir()
        shutil.copy(store, folder / "mlflow.db")
        self._server = MlflowServer(folder)
        self._made.values["server"] = self._server.uri

    def noticed_by(self, mutant: Mutant) -> str:
        """Return the first test that fails with a mutant; empty for a survivor."""
        self._write(mutant.code, mutant.number)
        return self._test("mutant")

    def _write(self, code: str, number: int) -> None:
        for place in self._places:
            place.write_text(code, "utf-8")
            # Python compiles a file again if its time, in whole seconds, has changed.
            os.utime(place, (10**9 + number,) * 2)

    def _test(self, base: str) -> str:
        """Return the first test that fails, or else how the tests ended; empty if all pass."""
        if (code := self._pytest(base)) == 0:
            return ""
        failed = r"^(?:FAILED|ERROR) (?:\S*/)?(\S+)"
        found = re.search(failed, self._log.read_text("utf-8"), re.MULTILINE)
        return found[1] if found else f"exit code {code}"

    def _pytest(self, base: str) -> int | str:
        """Run the tests in a fork; end it, and all that it has started, afterwards."""
        if (child := os.fork()) == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.chdir(self._clone)
            shutil.rmtree(self._folder / "tmp", ignore_errors=True)
            (self._folder / "tmp").mkdir(exist_ok=True)
            os.environ["TMPDIR"] = tempfile.tempdir = str(self._folder / "tmp")
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
    parser.add_argument(
        "--tests", nargs="*", help="other ones than those of mutants.yml"
    )
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # which ends the fork, too
    os.environ["DO_NOT_TRACK"] = "1"
    table, survivors = Table("file", "mutants", "tried", "noticed", "survived"), []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        there = clone(Path(folder, "repository"))
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        sys.path[:] = [str(there), *(p for p in sys.path if p != str(REPOSITORY))]
        for file in asked.files or TESTS:
            tests = asked.tests or TESTS[file]
            place = Path(folder, Path(file).stem)
            with Trial(file, tests, there, place) as trial:
                found = mutants(trial.code)
                wanted = asked.numbers or range(len(found))
                chosen = [found[number] for number in wanted]
                if asked.sample:
                    random.Random(asked.seed).shuffle(chosen)  # noqa: S311
                    chosen = chosen[asked.skip : asked.skip + asked.sample]
                left = []
                for count, mutant in enumerate(chosen, 1):
                    began = time.monotonic()
                    result = trial.noticed_by(mutant)
                    seconds = f"{time.monotonic() - began:.0f} s"
                    words = f"{file} {mutant.number}", result or "SURVIVED", seconds
                    console.print(f"{count}/{len(chosen)}", *words, markup=False)
                    if not result:
                        left.append((f"{file} {mutant.number}", mutant.diff))
            counts = len(found), len(chosen), len(chosen) - len(left), len(left)
            table.add_row(file, *map(str, counts))
            survivors += left
    console.print(table)
    for name, diff in survivors:
        console.print(f"\n{name}\n{diff}", markup=False)


if __name__ == "__main__":
    main()
