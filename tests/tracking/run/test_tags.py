"""A run's tags show its origin, and how to run it again."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from kedro.framework.cli.project import run as kedro_run
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner, ThreadRunner
from mlflow.entities import Run
from tracking.redaction import SECRET_NAMES
from tracking.run.tags import kedro_command

from tests.tracking.conftest import Project


class Parallel(SequentialRunner):
    """A user's own runner."""


REGISTRY = """
from kedro.pipeline import Pipeline, node

def same(x):
    return x

def register_pipelines():
    first = Pipeline([
        node(same, "params:a", "x", name="first", tags=["quick"]),
        node(same, "x", "y", name="second-node", tags=["quick", "two-words"]),
    ])
    other = Pipeline([
        node(same, "params:text", "z", tags=["quick"]),
        node(same, "z", None, name="last"),
    ])
    return {"one": first, "other": other, "__default__": first + other}
"""


RUNNER = """
from kedro.runner import SequentialRunner

class OneByOne(SequentialRunner):
    pass
"""


RUNNER_PARAMS = "--runner ThreadRunner --runner-params max_workers=2,is_async=true"
HAS_RUNNER_PARAMS = any(option.name == "runner_params" for option in kedro_run.params)


def run_in_shell(project: Project, command: str) -> tuple[list[str], Run]:
    bin_folder = Path(sys.executable).parent
    done = subprocess.run(
        f"PATH={bin_folder}:$PATH COLUMNS=400 {command}",
        cwd=project.path,
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    names = re.findall(r"Completed node: (.*?)\s*\n", done.stdout + done.stderr)
    return names, project.runs()[-1]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param("", marks=pytest.mark.slow),
        pytest.param(
            "--pipelines one,other --runner ThreadRunner", marks=pytest.mark.slow
        ),
        pytest.param(
            "--nodes first,second-node --params text='2024'", marks=pytest.mark.slow
        ),
        pytest.param(
            "--from-nodes second-node --pipelines one --to-nodes second-node",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "--runner tracked.runners.OneByOne --conf-source conf --async",
            marks=pytest.mark.slow,
        ),
        '--params "a=2.5,text=\'it is \\"quoted\\" 100% & $HOME\',nested.deep=null"',
    ],
)
def test_kedro_command_replays_the_run(project: Project, options: str) -> None:
    replays(project, options, run_in_shell)


def replays(
    project: Project, options: str, run_kedro: Callable[..., tuple[list[str], Run]]
) -> None:
    project.write("src/tracked/pipeline_registry.py", REGISTRY)
    project.write("conf/base/parameters.yml", {"a": 1, "text": "words"})
    if "two-words" in options or "from-nodes" in options:
        project.write(
            "conf/base/catalog.yml",
            {"x": {"type": "json.JSONDataset", "filepath": "data/x.json"}},
        )
        project.write("data/x.json", "1")
    project.write("src/tracked/runners.py", RUNNER)
    nodes, run = run_kedro(project, f"kedro run {options}")
    again, replay = run_kedro(project, run.data.tags["kedro_command"])
    assert nodes
    assert sorted(again) == sorted(nodes)
    assert replay.info.run_id != run.info.run_id
    assert replay.data.params == run.data.params
    assert replay.data.tags["kedro_command"] == run.data.tags["kedro_command"]


def test_secrets_stay_out_of_the_command() -> None:
    run_params = {"runtime_params": {"db": {"password": "hunter2", "host": "h"}}}
    command = kedro_command(run_params, ["*password*"])
    assert "hunter2" not in command
    assert "db.host=h" in command


def test_secrets_stay_out_of_lists_and_values_of_the_command() -> None:
    params = {
        "hosts": [{"password": "hunter2", "name": "h"}],
        "uri": "https://me:hunter2@h",
        "deep": {"er": {"api-key": "hunter2"}},
    }
    command = kedro_command({"runtime_params": params}, SECRET_NAMES)
    assert "hunter2" not in command
    assert "https://me:***@h" in command
    assert '"name": "h"' in command


@pytest.mark.parametrize(
    ("runner", "words"),
    [
        (SequentialRunner(), []),
        (ThreadRunner(), ["--runner", "ThreadRunner"]),
        (Parallel(), ["--runner", f"{__name__}.Parallel"]),
    ],
)
def test_runner_of_a_session_is_named(runner: object, words: list[str]) -> None:
    assert kedro_command({"runner": str(runner)}, []).split()[2:] == words


def test_commit_and_dirty_tree_are_tags(project: Project) -> None:
    project.write("src/tracked/pipeline_registry.py", REGISTRY)
    project.write("conf/base/parameters.yml", {"a": 1, "text": "words"})
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=project.path, check=True)
    _, run = run_in_shell(project, "kedro run --pipelines one")
    assert re.fullmatch("[0-9a-f]{40}", run.data.tags["git.commit"])
    assert run.data.tags["git.dirty"] == "false"
    project.write("new.txt", "x")
    _, run = run_in_shell(project, "kedro run --pipelines one")
    assert run.data.tags["git.dirty"] == "true"


def test_tags_say_which_template_ran_and_what_the_project_has_edited(
    project: Project,
) -> None:
    project.write(".copier-answers.yml", "_commit: v0.3.0\n_src_path: gh:us/template\n")
    pipeline = Pipeline([node(lambda: 1, None, "x", name="one")])
    project.run(pipeline)
    untouched = project.only_run().data.tags
    assert untouched["template.version"] == "v0.3.0"
    assert "template.edited" not in untouched
    # The package as this process has imported it, maybe from an earlier test's project.
    tracking = Path(str(sys.modules["tracked.tracking"].__file__)).parent
    mine, auth = tracking / "mine.py", tracking / "server/auth.py"
    text = auth.read_text()
    try:
        mine.write_text("")
        auth.write_text("# ours\n" + text)
        project.run(pipeline)
    finally:
        mine.unlink()
        auth.write_text(text)
    assert project.runs()[-1].data.tags["template.edited"] == "mine.py, server/auth.py"
