"""What people do to the files of a project, and maintainers to the template's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from hooks.document import Entry, UnreadableError
from hooks.read_yaml import read_yaml
from tests.releases import Repository, git

PACKAGE = "src/penguin_classifier"
SOURCE = "template/src/{{ python_package }}"
BASE = "template/conf/base/mlflow.yml.jinja"
CI = "template/{% if ci == 'github' %}.github{% endif %}/workflows/ci.yml.jinja"
MLFLOW_YML = "conf/base/mlflow.yml"
RETIRED = "tracking/terminal/retired.py"
"""A module of the first release that nothing imports."""

OLD, NEW = "tracking.params.long_params_strategy", "tracking.params.too_long"


@dataclass(frozen=True)
class Edit:
    """A change that somebody makes.

    Attributes:
        name: what is done, as hypothesis shows it.
        apply: makes it; does nothing where an earlier edit has left no place for it.
        place: the file and the part of it, empty for all of it; None when it is no part
            that can be named, such as the layout of a whole file.
    """

    name: str
    apply: Callable[[Repository], object]
    place: tuple[str, str] | None = None

    def __repr__(self) -> str:
        return self.name


def swap(file: str, old: str, new: str, part: str = "") -> Edit:
    """Replace a text where it is there."""

    def apply(repository: Repository) -> None:
        if (repository.path / file).exists():
            text = repository.read(file)
            repository.write(file, text.replace(old, new, 1))

    return Edit(f"{Path(file).name}: {old!r} → {new!r}", apply, (file, part or old))


def rewrite(file: str, name: str, change: Callable[[str], str]) -> Edit:
    """Change a whole file's text where the file is there."""

    def apply(repository: Repository) -> None:
        if (repository.path / file).exists():
            repository.write(file, change(repository.read(file)))

    return Edit(f"{file}: {name}", apply)


def delete(path: str) -> Edit:
    def apply(repository: Repository) -> None:
        if (repository.path / path).exists():
            repository.remove(path)

    return Edit(f"delete {path}", apply)


def create(path: str, text: str) -> Edit:
    return Edit(f"create {path}", lambda repository: repository.write(path, text))


# --- The project's side ------------------------------------------------------

VALUES = {
    "server.mlflow_tracking_uri": ["runs", "https://mlflow.example.com"],
    "server.mlflow_registry_uri": ["sqlite:///registry.db"],
    "server.credentials": ["dev"],
    "server.request_header_provider.pass_context": ["true"],
    "tracking.disable_tracking.pipelines": ["[debug, 'plots']", "\n      - debug"],
    "tracking.disable_tracking.disable_autologging": ["false"],
    "tracking.experiment.name": ["penguins", "pets", "${oc.env:HOME}"],
    "tracking.experiment.create": ["false"],
    "tracking.experiment.create_experiment_kwargs.tags": ["{team: pets}"],
    "tracking.experiment.restore_if_deleted": ["false"],
    "tracking.run.name": ["'mine'", "${km.random_name:}  # as we like it"],
    "tracking.run.nested": ["false"],
    "tracking.params.dict_params.flatten": ["true"],
    "tracking.params.dict_params.recursive": ["false"],
    "tracking.params.dict_params.sep": ["'-'", "/"],
    "tracking.params.long_params_strategy": ["tag", "truncate"],
    "ui.port": ["5050"],
    "ui.host": ["0.0.0.0  # for the whole office", "example.com"],
}


def _in_section(text: str, key: str, change: Callable[[dict, str], None]) -> str:
    """Change the entries among which a dotted key stands."""
    try:
        document = read_yaml(text)
    except UnreadableError:
        return text  # somebody has left conflict markers in it
    *section, name = key.split(".")
    entries: dict[str, Entry] | None = document.entries
    for part in section:
        entries = entries[part].entries if entries and part in entries else None
    if entries and name in entries:
        change(entries, name)
    return str(document)


def _set(value: str) -> Callable[[dict[str, Entry], str], None]:
    def change(entries: dict[str, Entry], name: str) -> None:
        indent = " " * entries[name].column
        text = f"{indent}{name}: {value}\n"
        entries[name] = replace(entries[name], text=text, entries=None)

    return change


def _drop(entries: dict[str, Entry], name: str) -> None:
    del entries[name]


def _comment_out(entries: dict[str, Entry], name: str) -> None:
    entry = entries[name]
    lines = entry.body.splitlines(keepends=True)
    entries[name] = replace(
        entry, text="".join(f"# {line}" for line in lines), entries=None
    )


def _remark(entries: dict[str, Entry], name: str) -> None:
    entry = entries[name]
    entries[name] = replace(entry, lead=f"{entry.lead}{' ' * entry.column}# ours\n")


def _first(entries: dict[str, Entry], name: str) -> None:
    moved = {name: entries[name], **entries}
    entries.clear()
    entries.update(moved)


def _on_key(
    key: str, name: str, change: Callable[[dict[str, Entry], str], None]
) -> Edit:
    edit = rewrite(MLFLOW_YML, f"{key} {name}", lambda t: _in_section(t, key, change))
    return replace(edit, place=(MLFLOW_YML, key))


def _reformatted(text: str) -> str:
    try:
        return yaml.safe_dump(yaml.safe_load(text), sort_keys=False, indent=4)
    except yaml.YAMLError:
        return text


def _as_uv_writes(text: str) -> str:
    """Add a requirement as ``uv add`` does, which takes the blank lines of the list."""
    listed = re.search(r"^dependencies = \[\n(.*?)^\]\n", text, re.M | re.S)
    if not listed:
        return text
    lines = re.sub(r"\n\n+", "\n", listed[1])
    return text.replace(listed[1], f'{lines}    "altair>=5",\n')


def _in_flow_style(text: str) -> str:
    try:
        return yaml.safe_dump(yaml.safe_load(text), default_flow_style=True, width=80)
    except yaml.YAMLError:
        return text


def _formatted(text: str) -> str:
    """Format Python with another quote and length than the template's."""
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--quiet"]
    command += ["--config", "format.quote-style='single'", "--line-length", "60", "-"]
    done = subprocess.run(
        command, input=text, capture_output=True, encoding="utf-8", check=False
    )
    return text if done.returncode else done.stdout


MARKERS = "<<<<<<< before updating\n{}\n=======\n>>>>>>> after updating\n"

_changed = [
    _on_key(key, f"= {value!r}", _set(value)) for key in VALUES for value in VALUES[key]
]
_keys = [
    _on_key(key, name, change)
    for key in (*VALUES, "ui", "tracking.params.dict_params", "tracking.experiment")
    for name, change in (
        ("removed", _drop),
        ("commented out", _comment_out),
        ("with a remark", _remark),
        ("first", _first),
    )
]
_layout = [
    rewrite(MLFLOW_YML, "reformatted", _reformatted),
    rewrite(MLFLOW_YML, "no blank lines", lambda t: re.sub(r"\n\n+", "\n", t)),
    rewrite(MLFLOW_YML, "in flow style", _in_flow_style),
    rewrite(f"{PACKAGE}/settings.py", "formatted", _formatted),
    rewrite(f"{PACKAGE}/cli.py", "formatted", _formatted),
    rewrite(
        MLFLOW_YML, "CRLF", lambda t: t.replace("\r\n", "\n").replace("\n", "\r\n")
    ),
    rewrite("pyproject.toml", "as uv add writes it", _as_uv_writes),
    rewrite("pyproject.toml", "no blank lines", lambda t: re.sub(r"\n\n+", "\n", t)),
    rewrite(".gitignore", "sorted", lambda t: "\n".join(sorted(t.split("\n"))) + "\n"),
    rewrite(MLFLOW_YML, "markers left", lambda t: t + MARKERS.format("# a: 1")),
    rewrite(".gitignore", "markers left", lambda t: t + MARKERS.format("*.a")),
    rewrite("conf/README.md", "markers left", lambda t: MARKERS.format("a") + t),
]
_environments = [
    create(
        "conf/staging/mlflow.yml",
        "# Ours.\nserver:\n    mlflow_tracking_uri: https://staging.example.com\n"
        "tracking:\n    params:\n        long_params_strategy: tag\n",
    ),
    swap("conf/prod/mlflow.yml", "https://mlflow", "https://tracking"),
    rewrite("conf/prod/mlflow.yml", "more", lambda t: t + "\nui:\n  port: 7000\n"),
    create("conf/prod/mlflow.yml", "tracking: {params: {long_params_strategy: tag}}\n"),
    create("conf/dev/mlflow.yml", "tracking: {run: {name: dev}}\n"),
]
_settings = f"{PACKAGE}/settings.py"
_others = [
    swap(
        "pyproject.toml", '"scikit-learn>=1.5",', '"scikit-learn>=1.5",\n    "polars",'
    ),
    swap("pyproject.toml", "line-length = 88", "line-length = 100", "line-length"),
    swap("pyproject.toml", '    "ipython>=8.10",\n\n', "", "ipython"),
    swap("pyproject.toml", '"-ra"', '"-ra --strict-markers"', "addopts"),
    swap("pyproject.toml", '"mlflow>=3.10,<4"', '"mlflow>=3.12,<4"', "mlflow"),
    rewrite("pyproject.toml", "a table", lambda t: t + "\n[tool.ours]\nx = 1\n"),
    swap(_settings, "(MlflowHook(),)", "(MlflowHook(), *())", "HOOKS"),
    swap(_settings, '"local"', '"staging"', "default_run_env"),
    swap(
        _settings,
        '{"mlflow": "soft"}',
        '{"mlflow": "soft", "parameters": "soft"}',
        "merge_strategy",
    ),
    swap(".github/workflows/ci.yml", "ubuntu-latest", "self-hosted", "runs-on"),
    swap(".github/workflows/ci.yml", "run: pytest", "run: pytest --cov", "pytest"),
    rewrite(".gitignore", "a line", lambda t: t + "*.parquet\n"),
    swap("conf/README.md", "# Configuration", "# How we configure", "title"),
    swap(f"{PACKAGE}/cli.py", "Commands of this", "Our commands of this", "docstring"),
    swap(
        f"{PACKAGE}/tracking/run/tags.py",
        '"""What a run',
        '"""Ours: what a run',
        "first",
    ),
    swap(f"{PACKAGE}/{RETIRED}", "Retired.", "Ours: retired, but useful.", "docstring"),
    swap("AGENTS.md", "# For coding assistants", "# For robots", "title"),
    swap("README.md", "# Penguin Classifier", "# Which penguin?", "title"),
    swap(
        "conf/base/catalog.yml", "accuracy:", "x:\n  type: MemoryDataset\n\naccuracy:"
    ),
]
_deleted = [
    delete("conf/README.md"),
    delete("conf/staging/mlflow.yml"),
    delete(".github"),
    delete("notebooks"),
    delete("data/02_intermediate"),
    delete("tests/pipelines"),
    delete(f"{PACKAGE}/request_headers.py"),
]


def _rename_sample(repository: Repository) -> None:
    folder = repository.path / PACKAGE / "pipelines"
    if (folder / "penguins").exists():
        shutil.move(folder / "penguins", folder / "seals")
        parameters = repository.path / "conf/base"
        shutil.move(
            parameters / "parameters_penguins.yml", parameters / "parameters_seals.yml"
        )


def _package_renamed(repository: Repository) -> None:
    """Rename the package, also where ``check --template`` says so."""
    git(repository.path, "add", "--all")
    shutil.move(repository.path / PACKAGE, repository.path / RENAMED)
    git(repository.path, "add", "--all")
    for name in git(repository.path, "ls-files", "-z").split("\0"):
        file = repository.path / name
        templates = f"{RENAMED}/tracking/" in name or name == "conf/mlflow.schema.json"
        if file.is_file() and not file.is_symlink() and not templates:
            old, new = Path(PACKAGE).name.encode(), Path(RENAMED).name.encode()
            file.write_bytes(file.read_bytes().replace(old, new))


RENAMED = "src/seals"
PACKAGE_RENAMED = Edit("rename the package", _package_renamed)


def _linked(path: str, to: str) -> Edit:
    """Move a file or a folder to another place in the project, and link to it."""

    def apply(repository: Repository) -> None:
        old, new = repository.path / path, repository.path / to
        if old.exists() and not old.is_symlink() and not new.exists():
            shutil.move(old, new)
            os.symlink(os.path.relpath(new, old.parent), old)

    return Edit(f"{path} is a link to {to}", apply, (path, ""))


def _style(style: str) -> Edit:
    return Edit(
        f"merge.conflictStyle = {style}",
        lambda repository: git(repository.path, "config", "merge.conflictStyle", style),
    )


LINKED_OUT = ["data", "data/01_raw", "notebooks", "tests", "conf/local", "conf/prod"]
"""Folders that people move to another disk, at which copier would stop."""

WHOLE = [
    PACKAGE_RENAMED,
    _style("diff3"),
    _style("zdiff3"),
    _linked("notebooks", "cells"),
    _linked("data/01_raw", "data/store"),
    _linked("AGENTS.md", "CLAUDE.md"),
    _linked("conf/prod/mlflow.yml", "conf/prod/ours.yml"),
]
"""What is done to a project and not to a part of a file."""

PROJECT_EDITS = [
    *WHOLE,
    *_changed,
    *_keys,
    *_layout,
    *_environments,
    *_others,
    *_deleted,
    Edit("rename the sample pipeline", _rename_sample),
]

SECRETS = {
    "conf/local/credentials.yml": "mlflow:\n  MLFLOW_TRACKING_PASSWORD: hunter2\n",
    "conf/local/mlflow.yml": "ui:\n  port: 5999\n",
    "conf/base/credentials.yml": "db: hunter2\n",
    ".env": "MLFLOW_TRACKING_TOKEN=hunter2\n",
}
"""Files that git ignores; every project of the property test has them."""

# --- The template's side -----------------------------------------------------


def _default(key: str, above: str, old: str, new: str) -> Edit:
    """Change the default of a key, found by the comment above it."""
    line = old.rpartition(":")[0]
    edit = swap(BASE, f"{above}\n{old}", f"{above}\n{line}: {new}")
    return replace(edit, name=f"template: {key} = {new}", place=(MLFLOW_YML, key))


def _new_key(repository: Repository) -> None:
    config = f"{SOURCE}/tracking/config/options.py"
    after = (
        '    """The id of a run to continue. Null: every kedro run is a new one."""\n'
    )
    repository.replace(config, after, f"{after}\n    note: str | None = None\n")
    comment = "    # Its name. Null: the names of"
    repository.replace(BASE, comment, f"    # A note.\n    note: null\n\n{comment}")


def _rename_key(repository: Repository) -> None:
    for name in (
        BASE,
        f"{SOURCE}/tracking/config/options.py",
        f"{SOURCE}/tracking/run/parameters.py",
    ):
        text = repository.read(name)
        repository.write(
            name, text.replace(OLD.rpartition(".")[2], NEW.rpartition(".")[2])
        )
    command = [
        "{{ _copier_python }}",
        "{{ _copier_conf.src_path }}/hooks/migrations",
        "rename-key",
        OLD,
        NEW,
    ]
    migrations = {"_migrations": [{"version": "v0.2.0", "command": command}]}
    copier = repository.read("copier.yml")
    repository.write("copier.yml", f"{copier}\n{yaml.safe_dump(migrations)}")


def _obsolete(repository: Repository) -> None:
    repository.remove("template/conf/README.md")
    end = "    {% endif %}\n"
    repository.replace("copier.yml", end, f"    conf/README.md\n{end}")
    empty = "OBSOLETE: Mapping[str, str] = {}"
    listed = empty.replace("{}", '{"conf/README.md": "the README says it"}')
    repository.replace(f"{SOURCE}/tracking/template/drift.py", empty, listed)


def _module_renamed(repository: Repository) -> None:
    run = repository.path / SOURCE / "tracking/run"
    (run / "tags.py").rename(run / "labels.py")
    for file in run.rglob("*.py"):
        text = file.read_text("utf-8")
        file.write_text(text.replace("from .tags import", "from .labels import"))


RENAME = Edit("template: a renamed key", _rename_key, (MLFLOW_YML, OLD))
TEMPLATE_CHANGES = [
    _default(
        "tracking.params.dict_params.sep",
        "# Separator between the keys.",
        "      sep: .",
        "_",
    ),
    _default(
        "tracking.run.nested",
        "# Whether nodes may open nested runs.",
        "    nested: true",
        "false",
    ),
    _default(
        "tracking.experiment.name",
        "# Its name. Null: the name of the Python package.",
        "    name: null",
        "pets",
    ),
    _default(
        "tracking.experiment.restore_if_deleted",
        "# Whether it is restored if it was deleted.",
        "    restore_if_deleted: true",
        "false",
    ),
    _default(
        "ui.port",
        "# Its port. Null: the first free one from 5000 upwards.",
        "  port: null",
        "5001",
    ),
    _default("ui.host", "# Its host. Null: localhost.", "  host: null", "127.0.0.1"),
    Edit("template: a new key", _new_key, (MLFLOW_YML, "tracking.run.note")),
    RENAME,
    swap(
        BASE,
        "# The experiment that the runs",
        "# Experiment to which the runs",
        "tracking.experiment",
    ),
    swap(BASE, "# Where 'kedro mlflow ui' listens", "# Where the UI listens", "ui"),
    swap(
        BASE,
        "# Null: the variable MLFLOW",
        "# null: the variable MLFLOW",
        "server.mlflow_tracking_uri",
    ),
    create("template/docs/tracking.md", "# Tracking\n"),
    create(f"{SOURCE}/tracking/more.py", '"""More."""\n'),
    create("template/conf/qa/mlflow.yml", "# What differs.\n\n# server:\n"),
    create("template/conf/dev/mlflow.yml", "# What differs.\n\nui:\n\n  port: 6000\n"),
    Edit("template: a removed file", _obsolete),
    Edit("template: a renamed module", _module_renamed),
    delete(f"{SOURCE}/{RETIRED}"),
    swap("template/AGENTS.md.jinja", "## Commands", "## What to type", "commands"),
    swap(
        f"{SOURCE}/tracking/run/tags.py",
        "import json",
        "# Fixed.\nimport json",
        "imports",
    ),
    swap(f"{SOURCE}/settings.py.jinja", "# Hooks of the project.", "# All hooks.", "c"),
    swap(f"{SOURCE}/cli.py", "import click", "# Commands.\nimport click", "imports"),
    swap("template/pyproject.toml.jinja", '"kedro>=1.2', '"kedro>=1.3', "kedro"),
    swap("template/pyproject.toml.jinja", '"mlflow>=3.10', '"mlflow>=3.11', "mlflow"),
    swap("template/pyproject.toml.jinja", '"pytest>=8"', '"pytest>=9"', "pytest"),
    swap(CI, "0e8  # v6.0.1", "0e9  # v6.1.0", "checkout"),
    swap("template/.gitignore.jinja", "# Editors", "*.swp\n\n# Editors", "editors"),
]
