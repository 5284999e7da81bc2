"""Continue a run that has failed, with the nodes that are left."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from kedro.framework.cli.project import run as kedro_run
from kedro.framework.context import KedroContext
from kedro.framework.project import pipelines
from kedro.io.core import is_parameter
from kedro.pipeline import Pipeline

from ..config.loading import RESUME
from ..datasets.kept import Kept
from ..errors import TrackingError
from ..outbox.folder import RUN_KEY
from ..redaction import HIDDEN
from ..run.left import left_sent
from ..run.source import git_source
from ..run.story import ERROR
from ..server.connection import Connection
from .context import connected, experiment_of, load_context
from .nodes_of_run import Ran, nodes_of
from .recorded import RecordedRun, recorded_run
from .rerun import data_differences
from .runs import recorded_here
from .which_run import newest_run, run_of, short

if TYPE_CHECKING:
    from kedro.pipeline.node import Node
    from mlflow.entities import Run

_FAILED = (
    "attributes.status != 'FINISHED' and attributes.status != 'RUNNING' "
    "and attributes.status != 'SCHEDULED' and tags.kedro_command LIKE 'kedro run%'"
)
_NOT_ALONG = ("MLFLOW_RUN_ID", "KEDRO_MLFLOW_RUN_KEY", "KEDRO_MLFLOW_DISABLED")


@dataclass
class Continuation:
    """What a resumed run does.

    Attributes:
        run_id: the run that goes on.
        name: its name.
        words: the command, ``kedro`` included.
        left: nodes that failed or did not run, in the order of the pipeline.
        again: nodes that run again, and which of their outputs is not there any more.
        taken_over: what is taken from the nodes that ran, and the node that made it.
        models: nodes among these that have logged or registered models, and their names.
        differences: what is not as it was.
    """

    run_id: str
    name: str
    words: list[str]
    left: list[str]
    again: dict[str, str]
    taken_over: dict[str, str]
    models: dict[str, list[str]]
    differences: list[str] = field(default_factory=list)

    def refuse_retraining(self) -> None:
        """Refuse to make a model a second time.

        Raises:
            TrackingError: it would be made.
        """
        if made := "; ".join(f"{n}: {', '.join(m)}" for n, m in self.models.items()):
            raise TrackingError(
                f"Nodes that have logged a model would run again ({made}). --retrain lets "
                "them, and the run has both models then."
            )


def continuation(project_path: Path, env: str, which: str | None) -> Continuation:
    """Return how a run goes on, once what earlier runs have left is sent.

    Args:
        project_path: the project.
        env: the environment that has the run.
        which: the run, as ``run_id_of`` takes it; None for the last that has failed.

    Raises:
        TrackingError: there is no such run, nothing is left of it, or nobody knows what.
    """
    context = load_context(project_path, env)
    with connected(context) as connection:
        left_sent(connection, context)
        run = _run(which, connection, context)
        _refuse(run, connection, context)
        ran = nodes_of(run, connection)
        recorded = recorded_run(connection, project_path, run.info.run_id)
    if not ran:
        _refuse_without_timeline(run)
    words = shlex.split(run.data.tags["kedro_command"])
    options = kedro_run.make_context("run", words[2:]).params
    env = run.data.tags.get("kedro.env", env)
    context = load_context(project_path, env, options["params"])
    pipeline = _pipeline(options)
    if not options["env"]:
        words += ["--env", env]
    planned = _continuation(run, context, pipeline, words, ran)
    planned.differences = [
        *_code_differences(project_path, recorded),
        *data_differences(project_path, recorded),
    ]
    names = {node.name for node in pipeline.nodes}
    if gone := ", ".join(sorted(ran.keys() - names)):
        planned.differences.append(f"the pipeline has no {gone} any more")
    return planned


def resume(project_path: Path, env: str, planned: Continuation) -> int:
    """Run what is left.

    Args:
        project_path: the project.
        env: the environment that has the run.
        planned: what to do.

    Returns:
        The exit code of ``kedro run``.
    """
    variables = {k: v for k, v in os.environ.items() if k not in _NOT_ALONG}
    process = subprocess.Popen(
        [sys.executable, "-m", "kedro", *planned.words[1:]],
        cwd=project_path,
        env={**variables, RESUME: planned.run_id},
    )
    code = None
    while code is None:
        with suppress(KeyboardInterrupt):  # which the run has got, too, and ends with
            code = process.wait()
    if code == 0:
        _forget_error(project_path, env, planned.run_id)
    return code


def _forget_error(project_path: Path, env: str, run_id: str) -> None:
    """Delete the tag of a failed run; without a server, it stays."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    with suppress(TrackingError, MlflowException):
        with connected(load_context(project_path, env)) as connection:
            client = MlflowClient(connection.uri)
            if client.get_run(run_id).info.status == "FINISHED":
                client.delete_tag(run_id, ERROR)


# --- Which run ----------------------------------------------------------------


def _run(which: str | None, connection: Connection, context: KedroContext) -> "Run":
    if which is not None:
        return run_of(which, connection, context)
    if run := newest_run(connection, context, _FAILED):
        return _outermost(run, connection)
    name = experiment_of(context)
    raise TrackingError(
        f"No run of the experiment '{name}' at {connection.display_uri} has failed, so there "
        "is none to resume. 'kedro mlflow runs' lists the latest ones."
    )


def _outermost(run: "Run", connection: Connection) -> "Run":
    """Return the run whose node has started a failed one, if that has failed, too."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    with suppress(MlflowException):  # it was deleted for good
        while parent := run.data.tags.get("mlflow.parentRunId"):
            outer = MlflowClient(connection.uri).get_run(parent)
            if outer.info.status not in ("FAILED", "KILLED"):
                break
            run = outer
    return run


def _refuse(run: "Run", connection: Connection, context: KedroContext) -> None:
    """Refuse a run that cannot go on.

    Raises:
        TrackingError: it cannot.
    """
    tags, run_id = run.data.tags, short(run.info.run_id)
    command = tags.get("kedro_command", "")
    name = experiment_of(context)
    problem = ""
    if any(
        r.run_id == run.info.run_id for r in recorded_here(context, connection, name)
    ):
        problem = (
            "waits on this machine for its server, or is under way. 'kedro mlflow sync' "
            "sends what waits; resume it then"
        )
    elif run.info.status == "FINISHED":
        problem = (
            f"has finished: nothing is left of it. 'kedro mlflow rerun {run_id}' runs all "
            "of it again"
        )
    elif run.info.status == "RUNNING":
        problem = "is under way; 'kedro mlflow runs --watch' shows when it ends"
    elif RUN_KEY in tags:
        problem = (
            "belongs to a workflow of several tasks: let its engine try the failed ones "
            "again"
        )
    elif not command.startswith("kedro run"):
        problem = "was not started by 'kedro run': it has no tag kedro_command"
    elif HIDDEN in command:
        problem = f"has a hidden parameter in its command: {command}"
    if problem:
        raise TrackingError(f"{_title(run)} {problem}.")


def _refuse_without_timeline(run: "Run") -> NoReturn:
    raise TrackingError(
        f"{_title(run)} has no timeline of its nodes: none has begun, or "
        "tracking.record.timeline in mlflow.yml was false. 'kedro mlflow rerun "
        f"{short(run.info.run_id)}' runs all of them."
    )


def _title(run: "Run") -> str:
    return f"The run {run.info.run_name} ({short(run.info.run_id)})"


# --- What is left -------------------------------------------------------------


def _pipeline(options: Mapping[str, Any]) -> Pipeline:
    """Return what a command runs, as Kedro's session does.

    Raises:
        TrackingError: there is no such pipeline or node any more.
    """
    named = options.get("pipelines") or [options["pipeline"] or "__default__"]
    try:
        whole = sum((pipelines[name] for name in named), Pipeline([]))
        return whole.filter(
            tags=options["tags"],
            from_nodes=options["from_nodes"],
            to_nodes=options["to_nodes"],
            node_names=options["node_names"],
            from_inputs=options["from_inputs"],
            to_outputs=options["to_outputs"],
            node_namespaces=options["namespaces"],
        )
    except (KeyError, ValueError) as error:
        raise TrackingError(
            f"The command of the run does not fit the project's pipelines any more: {error}"
        ) from None


def _continuation(
    run: "Run",
    context: KedroContext,
    pipeline: Pipeline,
    words: list[str],
    ran: Mapping[str, Ran],
) -> Continuation:
    kept = Kept(context, run.data.tags)
    left = {node for node in pipeline.nodes if not _is_done(node, ran)}
    if not left:
        raise TrackingError(
            f"{_title(run)} is {run.info.status}, but all its nodes have run; nothing is "
            "left of it."
        )
    makers = {name: node for node in pipeline.nodes for name in node.outputs}
    again: dict[str, str] = {}
    taken_over: dict[str, str] = {}
    todo = list(left)
    while todo:
        for name in todo.pop().inputs:
            maker = makers.get(name)
            if is_parameter(name) or maker is None or maker in left:
                continue
            if kept.has(name, ran[maker.name].end):
                taken_over[name] = maker.name
            elif maker.name not in again:
                again[maker.name] = name
                todo.append(maker)
    runs = [n for n in pipeline.nodes if n in left or n.name in again]
    made = {name for node in runs for name in node.outputs}
    taken_over = {k: v for k, v in taken_over.items() if k not in made}
    return Continuation(
        run.info.run_id,
        run.info.run_name or run.info.run_id,
        _command(words, runs, taken_over.keys() & kept.versions.keys(), kept),
        [node.name for node in pipeline.nodes if node in left],
        {node.name: again[node.name] for node in runs if node.name in again},
        taken_over,
        {
            n.name: ran[n.name].models
            for n in runs
            if n.name in ran and ran[n.name].models
        },
    )


def _is_done(node: "Node", ran: Mapping[str, Ran]) -> bool:
    return node.name in ran and ran[node.name].is_done


def _command(
    words: list[str], runs: "Iterable[Node]", versioned: Iterable[str], kept: Kept
) -> list[str]:
    """Return the command with the nodes that run, and the versions that they load."""
    options = {"--nodes": ",".join(node.name for node in runs)}
    if versions := {name: kept.versions[name] for name in sorted(versioned)}:
        given = dict(_option(words, "--load-versions"))
        both = {**given, **versions}
        options["--load-versions"] = ",".join(f"{k}:{v}" for k, v in both.items())
    words = list(words)
    for option, value in options.items():
        if option in words:
            at = words.index(option)
            del words[at : at + 2]
        words += [option, value]
    return words


def _option(words: list[str], option: str) -> Iterator[list[str]]:
    if option in words:
        for pair in words[words.index(option) + 1].split(","):
            yield pair.split(":", 1)


def _code_differences(project_path: Path, run: RecordedRun) -> Iterator[str]:
    source = git_source(project_path)
    before, commit = run.commit, source.commit if source else ""
    if before != commit:
        yield (
            f"the code was that of commit {before[:12] or 'none'}, and now is that of "
            f"{commit[:12] or 'none'}"
        )
    patch = source.patch() if source and source.changed else ""
    if (before, run.patch) != (commit, patch) and (run.patch or patch):
        then = "changes that were" if run.patch else "no changes that were"
        now = "others" if run.patch and patch else "some" if patch else "none"
        yield f"the code had {then} not committed, and now has {now}"
