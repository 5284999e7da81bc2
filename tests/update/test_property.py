"""Random edits times random releases: an update loses nothing.

``make updates`` tries 500 and keeps the figures.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from kedro.config import OmegaConfigLoader
from pathspec import PathSpec

from hooks import (
    mlflow_config,
    obsolete_files,
    secret_files,
    template_owned_files,
    unmerged_files,
    utf8_files,
)
from hooks.lost_lines import lost_lines
from hooks.merge_config import main as merge_config
from hooks.migrations.rename_key import renamed
from tests.releases import Project, Template, git
from tests.render.test_ownership import CLASSES
from tests.update.edits import (
    LINKED_OUT,
    MLFLOW_YML,
    NEW,
    OLD,
    PACKAGE,
    PACKAGE_RENAMED,
    PROJECT_EDITS,
    RENAME,
    RENAMED,
    RETIRED,
    SECRETS,
    SOURCE,
    TEMPLATE_CHANGES,
    WHOLE,
    Edit,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

UPDATES = int(os.environ.get("UPDATES", "4"))
SHARES = int(os.environ.get("UPDATES_SHARES", "1"))
"""Worker processes among which the updates are divided."""

FIGURES = os.environ.get("UPDATES_FIGURES")
"""A folder for the figures of each share."""

RUN_EVERY = 50
"""A whole ``kedro run`` takes seconds; the other updates load the configuration."""

ANSWERS = {"environments": {"staging": None, "prod": "https://mlflow.example.com"}}
MISSING = object()


class Laboratory:
    """A template that gets a release for each try, and the project that follows it.

    Attributes:
        made: the project on the first release by the folder of its package, which people
            may have renamed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.template = Template(folder / "template")
        self.template.write(f"{SOURCE}/{RETIRED}", '"""Retired."""\n')
        self.release([], "v0.1.0")
        self.made = {
            package: self._copy("made", package, "v0.1.0")
            for package in (PACKAGE, RENAMED)
        }
        self.releases = 0
        moved = self.project([PACKAGE_RENAMED]).files()
        _is_as_fresh(moved, self.made[RENAMED].files())

    def release(self, changes: Sequence[Edit], version: str = "") -> str:
        """Release changes of the first version, with what 'make generated' writes."""
        if not version:
            git(self.template.path, "checkout", "-q", "--force", "v0.1.0")
            git(self.template.path, "clean", "-qfd")
            version = f"v0.2.{self.releases}"
            self.releases += 1
        for change in changes:
            change.apply(self.template)
        write = (
            "from scripts.generate import *; from tracking.template.drift import MANIFEST\n"
            "SCHEMA.write_text(schema()); (TRACKING / MANIFEST).write_text(checksums())"
        )
        env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        command = [sys.executable, "-c", write]
        subprocess.run(command, cwd=self.template.path, env=env, check=True)
        self.template.release(version)
        return version

    def project(self, edits: Sequence[Edit]) -> Project:
        path = self.folder / "project"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.made[PACKAGE].path, path)
        project = Project(path)
        for edit in sorted(edits, key=lambda edit: edit is PACKAGE_RENAMED):
            edit.apply(project)
        project.commit()
        return project

    def fresh(self, package: str, version: str) -> dict[str, bytes]:
        """Return the files of a new project."""
        return self._copy("fresh", package, version).files()

    def _copy(self, name: str, package: str, version: str) -> Project:
        path = self.folder / name / package
        shutil.rmtree(path, ignore_errors=True)
        answers = {**ANSWERS, "python_package": Path(package).name}
        made = Project.copy(self.template, path, version, **answers)
        for secret, text in SECRETS.items():
            made.write(secret, text)
        assert made.changed == set(), "git ignores the secrets"
        return made


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    return Laboratory(tmp_path_factory.mktemp("laboratory"))


PLACES = {change.place for change in TEMPLATE_CHANGES}
CONTESTED = [edit for edit in PROJECT_EDITS if edit.place in PLACES]


def some(edits: st.SearchStrategy[Edit], least: int) -> st.SearchStrategy[list[Edit]]:
    return st.lists(edits, min_size=least, max_size=least + 5, unique_by=id)


UNTOUCHED: st.SearchStrategy[list[Edit]] = st.just([])
EDITED = some(
    st.sampled_from(CONTESTED)
    | st.sampled_from(PROJECT_EDITS)
    | st.sampled_from(WHOLE),
    3,
)
LINKS = st.lists(st.none() | st.sampled_from(LINKED_OUT), min_size=4, max_size=4)


@pytest.mark.parametrize("number", range(SHARES))
def test_nothing_is_lost(laboratory: Laboratory, number: int) -> None:
    @seed(number)
    @given(
        changes=some(st.sampled_from(TEMPLATE_CHANGES), 2),
        projects=st.tuples(UNTOUCHED | EDITED, EDITED, EDITED, EDITED),
        links=LINKS,
    )
    @settings(
        max_examples=UPDATES // SHARES // 4,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # a try takes seconds, and is as short as its lists
        suppress_health_check=list(HealthCheck),
    )
    def nothing_is_lost(
        changes: list[Edit],
        projects: tuple[list[Edit], ...],
        links: list[str | None],
    ) -> None:
        version = laboratory.release(changes)
        fresh: dict[str, dict[str, bytes]] = {}
        for edits, link in zip(projects, links, strict=True):
            figures["tried"] += 1
            figures["lost"] += 1  # until it is proven that nothing is
            project = laboratory.project(edits)
            package = RENAMED if PACKAGE_RENAMED in edits else PACKAGE
            if package not in fresh:
                fresh[package] = laboratory.fresh(package, version)
            if link and _moved_out(project, link):
                _is_refused(project, version, RENAME in changes)
                figures["refused"] += 1
                _moved_back(project, link)
            made = laboratory.made[package]
            outcome = _update(project, made, version, fresh[package], edits, changes)
            if figures["tried"] % RUN_EVERY == 2 and not _marked_before(edits):
                _runs(project)
                figures["ran"] += 1
            figures["lost"] -= 1
            figures[outcome] += 1

    figures = Counter[str]()
    try:
        nothing_is_lost()
    finally:
        if FIGURES:
            Path(FIGURES, f"{number}.json").write_text(json.dumps(figures), "utf-8")
    assert figures["lost"] == 0
    assert figures["tried"] >= UPDATES // SHARES


def _moved_out(project: Project, name: str) -> bool:
    """Move a folder beside the project, and leave a link to it."""
    folder, outside = project.path / name, Path(f"{project.path}-disk")
    if not folder.is_dir() or folder.is_symlink():
        return False  # edited away
    shutil.rmtree(outside, ignore_errors=True)
    shutil.move(folder, outside)
    os.symlink(outside, folder)
    project.commit()
    return True


def _moved_back(project: Project, name: str) -> None:
    (project.path / name).unlink()
    shutil.move(Path(f"{project.path}-disk"), project.path / name)
    git(project.path, "reset", "-q", "HEAD^")
    git(project.path, "checkout", "-q", ".")
    assert project.changed == set()


def _is_refused(project: Project, version: str, unsafe: bool) -> None:
    """An update stops with a sentence, before anything is touched."""
    before, changed = _files(project), project.changed
    with pytest.raises(Exception, match="is a link to a place outside of the project"):
        project.update(unsafe=unsafe, vcs_ref=version)
    assert (_files(project), project.changed) == (before, changed)


def _files(project: Project) -> dict[str, bytes]:
    """Return all files; of a link, where it leads."""
    links = {
        path.relative_to(project.path).as_posix(): os.fsencode(os.readlink(path))
        for path in project.path.rglob("*")
        if path.is_symlink()
    }
    return project.files() | links


def _update(
    project: Project,
    made: Project,
    version: str,
    fresh: dict[str, bytes],
    edits: list[Edit],
    changes: list[Edit],
) -> str:
    """Update a project and look for everything that its owner has written.

    Args:
        project: the edited project.
        made: the same before it was edited.
        version: the release.
        fresh: the files of a new project of that release.
        edits: what its owner has done.
        changes: what the maintainer has done.
    """
    before, old = _files(project), made.files()
    project.update(unsafe=RENAME in changes, vcs_ref=version)
    updated = _files(project)
    lost: dict[str, set[str]] = {}
    for name in sorted(set(before) | set(old)):
        sides = (files.get(name) for files in (old, before, fresh, updated))
        if missing := _missing(name, *sides, renames=RENAME in changes):
            lost[name] = missing
    if not edits:
        _is_as_fresh(updated, fresh)
    conflicted = project.unmerged
    for name in conflicted:
        _both_have_changed(name, edits, changes)
    with _working_in(project):
        merge_config([])
    _guard_names(project, made, lost)
    _keeps_every_key(project, before, old, fresh, RENAME in changes)
    left = project.unmerged
    _hooks_run(project, edits)
    _keep_ours(project)
    _loads(project, edits)
    return "conflicted" if left else "settled" if conflicted else "clean"


def _guard_names(project: Project, made: Project, lost: dict[str, set[str]]) -> None:
    """What an update has taken, the guard names."""
    named = lost_lines(project.path, made.path, "HEAD")
    for name, lines in lost.items():
        parts = {part for line in lines for part in re.split(r"\s(?=#)", line)}
        left = {part.strip() for part in parts} - {*named.get(name, []), ""}
        assert not left, f"{name}: {sorted(left)} is gone, and nobody says so"


def _hooks_run(project: Project, edits: list[Edit]) -> None:
    """Run the hooks as a commit does; where nothing was edited, they pass."""
    with _working_in(project):
        names = [name for name in project.changed if Path(name).is_file()]
        obsolete_files.main()  # deletes what nobody has edited, as a commit does first
        hooks: list[Callable[[], int]] = [
            obsolete_files.main,
            template_owned_files.main,
            mlflow_config.main,
            lambda: unmerged_files.main(names),
            lambda: utf8_files.main(names),
            lambda: secret_files.main(names),
        ]
        ends = {hook: hook() for hook in hooks}
    assert edits or not any(ends.values()), ends


@contextmanager
def _working_in(project: Project) -> Iterator[None]:
    working = Path.cwd()
    os.chdir(project.path)
    try:
        yield
    finally:
        os.chdir(working)


def _missing(
    name: str,
    old: bytes | None,
    ours: bytes | None,
    theirs: bytes | None,
    after: bytes | None,
    *,
    renames: bool,
) -> set[str]:
    """Return the lines that a project had added to a file and that are not in it now."""
    if CLASSES["project_files"].match_file(name) or name in SECRETS:
        if not (name == "conf/local/mlflow.yml" and renames):
            assert after == ours, f"{name} is the project's"
        return set()
    if ours is None:
        assert after is None, f"{name} was deleted and is back"
        return set()
    if ours == old or name == ".copier-answers.yml":
        return set()
    lost = _lines(ours) - _lines(old or b"") - _lines(after or b"")
    if renames:  # its migration merges by key, and gives the key its new name
        short = OLD.rpartition(".")[2]
        lost = {line for line in lost if short not in line} - _lines(theirs or b"")
        if name == MLFLOW_YML:
            lost = {line for line in lost if line.startswith("# ours")}
    return lost


def _lines(text: bytes) -> set[str]:
    return {line.strip() for line in text.decode("utf-8").splitlines()} - {""}


def _is_as_fresh(found: dict[str, bytes], fresh: dict[str, bytes]) -> None:
    mine = PathSpec.from_lines("gitignore", CLASSES["project_files"].patterns)
    ignored = {*SECRETS, "conf/README.md"}

    def shared(files: dict[str, bytes]) -> dict[str, bytes]:
        return {
            name: text
            for name, text in files.items()
            if not mine.match_file(name) and name not in ignored
        }

    assert shared(found) == shared(fresh)


def _keeps_every_key(
    project: Project,
    before: dict[str, bytes],
    old: dict[str, bytes],
    fresh: dict[str, bytes],
    renames: bool,
) -> None:
    """Compare every key of every mlflow.yml with the three sides."""
    for name, ours in before.items():
        toml = name == "pyproject.toml"
        if not (toml or re.fullmatch(r"conf/\w+/mlflow\.yml", name)) or name in SECRETS:
            continue
        if b"<<<<<<<" in ours or (project.path / name).is_symlink():
            continue
        if ours.startswith(b"{") and name in project.unmerged:
            continue  # in flow style it has no line for each key: git's markers stay
        sides = [side.decode() for side in (old.get(name, b""), ours)]
        if renames and not toml:
            sides = [renamed(side, OLD, NEW) for side in sides]
        sides.append(fresh.get(name, b"").decode())
        text = project.read(name)
        sides += [_side(text, "ours"), _side(text, "theirs")]
        leaves_of = _leaves_of_toml if toml else _leaves_of
        _keeps_keys(name, *map(leaves_of, sides))


def _keeps_keys(
    name: str, base: dict, ours: dict, theirs: dict, mine: dict, yours: dict
) -> None:
    for side in (base, ours, theirs, mine, yours):
        for section in {k.rpartition(".")[0] for k in {*base, *ours, *theirs}}:
            if side.get(section, MISSING) is None:
                del side[section]  # emptied: the same as without it
    for key in {*base, *ours, *theirs, *mine, *yours}:
        b, o, t = (side.get(key, MISSING) for side in (base, ours, theirs))
        expected = {"ours": t if o == b else o, "theirs": o if t == b else t}
        if _below_a_removed_section(key, base, ours, theirs):
            continue
        found = {"ours": mine.get(key, MISSING), "theirs": yours.get(key, MISSING)}
        assert found["ours"] == expected["ours"], f"{name}: {key}"
        if o in (b, t) or t == b:  # no conflict, so no markers
            assert found["theirs"] == expected["ours"], f"{name}: {key}"


def _below_a_removed_section(key: str, base: dict, ours: dict, theirs: dict) -> bool:
    """Whether one side has removed a section in which the other has changed a key."""
    parts = key.split(".")
    for depth in range(1, len(parts)):
        prefix = ".".join(parts[:depth]) + "."
        sides = [
            {k: v for k, v in side.items() if k.startswith(prefix)}
            for side in (base, ours, theirs)
        ]
        if sides[0] and not all(sides[1:]) and sides[1] != sides[2]:
            return sides[0] not in sides[1:]
    return False


def _leaves_of(text: str) -> dict[str, Any]:
    return dict(_leaves(yaml.safe_load(text) or {}, ""))


def _leaves_of_toml(text: str) -> dict[str, Any]:
    """Take a list of requirements as a mapping by distribution."""
    content = tomllib.loads(text)
    project = content["project"]
    extras = project["optional-dependencies"]
    for holder, key in ((project, "dependencies"), *((extras, key) for key in extras)):
        named = {re.split(r"[^\w-]", item)[0]: item for item in holder[key]}
        assert len(named) == len(holder[key])
        holder[key] = named
    return dict(_leaves(content, ""))


def _leaves(content: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(content, dict) and content:
        for key, value in content.items():
            yield from _leaves(value, f"{path}.{key}" if path else key)
    else:
        yield path, content


def _side(text: str, side: str) -> str:
    keep = r"\1" if side == "ours" else r"\2"
    block = r"^<{7} [^\n]*\n(.*?)(?:^\|{7}.*?)?^={7}\r?\n(.*?)^>{7} [^\n]*\n"
    return re.sub(block, keep, text, flags=re.M | re.S)


def _keep_ours(project: Project) -> None:
    for name in project.unmerged:
        project.write(name, _side(project.read(name), "ours"))


def _both_have_changed(name: str, edits: list[Edit], changes: list[Edit]) -> None:
    """A conflict is of one part that both have changed, or of the whole layout.

    A key has its comment with it, and a section the keys below it.
    """
    name = name.replace(f"{RENAMED}/", f"{PACKAGE}/")
    source = name.replace("penguin_classifier", "{{ python_package }}")
    ours = {e.place for e in edits if not e.place or e.place[0] == name}
    theirs = {
        c.place
        for c in changes
        if not c.place or _rendered(c.place[0]) in (name, source)
    }
    met = any(
        not mine[1]
        or f"{mine[1]}.".startswith(f"{yours[1]}.")
        or f"{yours[1]}.".startswith(f"{mine[1]}.")
        for mine in ours
        for yours in theirs
        if mine and yours
    )
    assert met or None in ours or None in theirs, f"{name}: {edits} {changes}"


def _rendered(path: str) -> str:
    return re.sub("{%.*?%}|template/|.jinja", "", path)


def _marked_before(edits: list[Edit]) -> bool:
    return any("markers left" in edit.name for edit in edits)


def _loads(project: Project, edits: list[Edit]) -> None:
    """Read what a run reads, with the project's own tracking module."""
    tomllib.loads(project.read("pyproject.toml"))
    for path in project.path.rglob("src/**/*.py"):
        compile(path.read_text("utf-8"), str(path), "exec")
    if _marked_before(edits):
        return
    (package,) = project.path.glob("src/*/tracking/__init__.py")
    spec = importlib.util.spec_from_file_location("of_a_project", package)
    assert spec
    assert spec.loader
    sys.modules["of_a_project"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["of_a_project"])
    try:
        config = importlib.import_module("of_a_project.config.loading")
        for env in _environments(project):
            loader = OmegaConfigLoader(
                str(project.path / "conf"),
                env=env,
                base_env="base",
                default_run_env="local",
                merge_strategy={"mlflow": "soft"},
            )
            assert config.load_config(loader).tracking
    finally:
        for name in [name for name in sys.modules if name.startswith("of_a_project")]:
            del sys.modules[name]


def _environments(project: Project) -> set[str]:
    """Return those that its owner has kept: git keeps no folder without files."""
    kept = git(project.path, "ls-tree", "--name-only", "HEAD", "conf/").split()
    return {"local"} | {"staging", "prod"} & {Path(name).name for name in kept}


def _runs(project: Project) -> None:
    """Run it as its owner does, into a store of its own."""
    store = project.path / "mlruns"
    project.write(
        "conf/local/mlflow.yml", f"server: {{mlflow_tracking_uri: {store}}}\n"
    )
    env = {**os.environ, "KEDRO_MLFLOW_DISABLED": "false"}
    done = subprocess.run(
        [sys.executable, "-m", "kedro", "run", "--env", "local"],
        cwd=project.path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
