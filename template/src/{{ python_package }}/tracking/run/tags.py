"""What a run records about its origin, as tags."""

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import yaml

from ..config.resolvers import random_name
from ..redaction import hide, without_secrets
from ..template.drift import answers, edited_files
from .source import Source

_DEFAULT = "__default__"
LONGEST = 5000  # of a tag's value, in servers older than MLflow 2.10

_OPTIONS = {
    "pipeline_names": "--pipelines",
    "tags": "--tags",
    "node_names": "--nodes",
    "from_nodes": "--from-nodes",
    "to_nodes": "--to-nodes",
    "from_inputs": "--from-inputs",
    "to_outputs": "--to-outputs",
    "namespaces": "--namespaces",
}


def run_tags(
    run_params: Mapping[str, Any],
    env: str,
    project_path: Path,
    source: Source | None,
    redact: Iterable[str],
) -> dict[str, str]:
    """Return the tags of a run, without a request to a server.

    Args:
        run_params: what Kedro passes to its hooks about the run.
        env: the Kedro environment.
        project_path: the project's root, for the template's version.
        source: the state of its repository.
        redact: names, with wildcards, of parameters whose values are hidden.
    """
    tags = {
        "kedro_command": kedro_command(run_params, redact),
        "kedro.run_id": run_params.get("run_id") or run_params.get("session_id"),
        "kedro.env": env,
        "kedro.version": run_params.get("kedro_version"),
        **(source.tags if source else {}),
        **_template(project_path),
    }
    return {k: without_secrets(str(v)) for k, v in tags.items() if v is not None}


def kedro_command(run_params: Mapping[str, Any], redact: Iterable[str]) -> str:
    """Return the command line that runs the same nodes with the same parameters.

    Kedro passes everything to its hooks except the runner's arguments and the source of
    the configuration. Those are taken from the command line, if it has started the run.
    """
    words = ["kedro", "run"]
    typed = _command_line()
    for key, option in _OPTIONS.items():
        if values := run_params.get(key):
            words += [option, ",".join(sorted(values))]  # Kedro shuffles some
    if env := run_params.get("env"):
        words += ["--env", env]
    if versions := run_params.get("load_versions"):
        words += ["--load-versions", ",".join(f"{k}:{v}" for k, v in versions.items())]
    if conf_source := typed.get("conf_source"):
        words += ["--conf-source", without_secrets(conf_source)]
    if (runner := _runner(run_params, typed)) != "SequentialRunner":
        words += ["--runner", runner]
    if typed.get("is_async"):
        words.append("--async")
    for option, params in (
        ("--runner-params", typed.get("runner_params")),
        ("--params", run_params.get("runtime_params")),
    ):
        if params:
            patterns = list(redact)
            shown = {key: hide(key, value, patterns) for key, value in params.items()}
            words += [option, ",".join(_assignments(shown))]
    if run_params.get("only_missing_outputs"):
        words.append("--only-missing-outputs")
    return shlex.join(words)


def _command_line() -> Mapping[str, Any]:
    """Return the options of ``kedro run``; empty for a session that code has opened."""
    command = click.get_current_context(silent=True)
    is_run = command is not None and "only_missing_outputs" in command.params
    return command.params if command is not None and is_run else {}


def _runner(run_params: Mapping[str, Any], typed: Mapping[str, Any]) -> str:
    if typed.get("runner"):
        return str(typed["runner"])
    # Kedro writes it as the default repr: <kedro.runner.thread_runner.ThreadRunner object …
    found = re.match(r"<([\w.]+) object", str(run_params.get("runner")))
    path = found[1] if found else "SequentialRunner"
    return path.rpartition(".")[2] if path.startswith("kedro.runner.") else path


def _assignments(params: Mapping[str, Any], prefix: str = "") -> Iterable[str]:
    for key, value in params.items():
        if isinstance(value, Mapping):
            yield from _assignments(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={_yaml_value(value)}"


def _yaml_value(value: Any) -> str:
    """Format a value so that Kedro, which parses it as YAML, reads the same value."""
    if isinstance(value, str):
        with suppress(yaml.YAMLError):
            if yaml.safe_load(value) == value:
                return value
    return json.dumps(value, default=str)


def _template(project_path: Path) -> dict[str, str]:
    """Return the project's name, the template's version, and its files that are edited."""
    answered = answers(project_path)
    tags = {"template.version": answered.get("_commit", "")}
    tags["template.project"] = answered.get("project_slug", "")
    tags["template.edited"] = ", ".join(edited_files(Path(__file__).parents[1]))
    return {name: value[:LONGEST] for name, value in tags.items() if value}


def run_name(run_params: Mapping[str, Any]) -> str:
    """Return the names of the pipelines; for the default one alone a random name."""
    names = pipeline_names(run_params)
    return random_name() if names == [_DEFAULT] else "+".join(names)


def pipeline_names(run_params: Mapping[str, Any]) -> list[str]:
    """Return the names of the pipelines that run, in alphabetical order."""
    name = run_params.get("pipeline_name") or _DEFAULT
    return sorted(run_params.get("pipeline_names") or [name])  # Kedro shuffles them
