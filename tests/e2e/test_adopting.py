"""A project that is there takes the template, by the commands of docs/adopting.md."""

import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent, indent

import mlflow
import pytest

from tests.conftest import TEMPLATE
from tests.e2e.newcomer import environment
from tests.releases import Project, Template, git

pytestmark = pytest.mark.slow  # run by 'make test-slow'


BIN = Path(sys.executable).parent
PAGE = (TEMPLATE / "docs/adopting.md").read_text("utf-8")
COPY, UNDO, DEPENDENCIES, PLUGIN, TRY = re.findall(r"```sh\n(.*?)```", PAGE, re.S)
REGISTRY_FILE = "src/old_project/pipeline_registry.py"
REGISTRY = """
from kedro.pipeline import Pipeline, node

def register_pipelines():
    return {"__default__": Pipeline([node(lambda a: a, "params:a", "score", name="a")])}
"""
MOVING = (TEMPLATE / "docs/moving-from-kedro-mlflow.md").read_text("utf-8")
BEFORE, AFTER = (
    indent(dedent(block), "    ")
    for block in re.findall(r"```python\n(.*?)```", MOVING, re.S)
)
(MODEL,) = re.findall(r"```yaml\n(.*?)```", MOVING, re.S)
SCORING = """
import pandas as pd


def train(rows):
    return {"slope": rows["y"].sum() / rows["x"].sum()}


def score(rows, line):
    return rows["x"] * line["slope"]
"""
PIPELINES_AS_MODELS = f"""
from kedro.pipeline import Pipeline, node

from .scoring import score, train


def register_pipelines():
    pipelines = {{}}
    training = Pipeline(
        [
            node(lambda a: a, "params:a", "score", name="a"),
            node(train, "rows", "line", name="train"),
        ]
    )
    inference = Pipeline([node(score, ["rows", "line"], "scores", name="score")])
{BEFORE}
    return pipelines
"""
SETTINGS = """

class Audit:
    pass


HOOKS = (Audit(),)
"""


def shell(folder: Path, commands: str, **answers: str) -> str:
    """Run commands of the page: what uv installs is installed here already."""
    for old, new in {"uv sync\n": "", "uv run ": "", "uvx ": "", **answers}.items():
        commands = commands.replace(old, new)
    done = subprocess.run(
        ["bash", "-e"],
        input=commands,
        cwd=folder,
        env={**environment(), "UV_FROZEN": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    made = Template(tmp_path_factory.mktemp("template") / "template")
    made.release("v0.1.0")
    return made


@pytest.fixture
def theirs(tmp_path: Path) -> Project:
    """A project of 'kedro new', with a pipeline, hooks and dependencies of its own."""
    shell(tmp_path, "kedro new --name 'Old Project' --tools none --example n")
    project = Project(tmp_path / "old-project")
    project.write("src/old_project/pipeline_registry.py", REGISTRY)
    project.write("conf/base/parameters.yml", "a: 3\n")
    project.write("README.md", "# Ours\n")
    settings = "src/old_project/settings.py"
    project.write(settings, project.read(settings) + SETTINGS)
    project.write("requirements.txt", project.read("requirements.txt") + "tqdm>=4\n")
    git(project.path, "init", "-q", "-b", "main")
    project.commit()
    return project


def take(project: Project, template: Template) -> None:
    """Copy, with Enter as the answer to every question."""
    answers = {"<url of this repository>": str(template.path)}
    shell(project.path, COPY, **answers, **{" copy ": " copy --defaults --overwrite "})
    settings = "src/old_project/settings.py"
    project.replace(settings, "HOOKS = (MlflowHook(),)", "")
    ours = SETTINGS.replace("Audit(),", "MlflowHook(), Audit()")
    project.write(settings, project.read(settings) + ours)


def only_run(project: Project) -> mlflow.entities.Run:
    store = f"sqlite:///{project.path.as_posix()}/mlruns/mlflow.db"
    client = mlflow.MlflowClient(store)
    experiment = client.get_experiment_by_name("old_project")
    assert experiment
    (run,) = client.search_runs([experiment.experiment_id])
    return run


def test_project_of_kedro_new_takes_the_template_and_its_updates(
    theirs: Project, template: Template
) -> None:
    before = theirs.files()
    take(theirs, template)
    touched = git(theirs.path, "diff", "--name-only").split()
    package = "src/old_project"
    assert touched == [".gitignore", "pyproject.toml", f"{package}/settings.py"]
    shell(theirs.path, UNDO)
    assert git(theirs.path, "status", "--porcelain") == ""
    assert {name: theirs.files()[name] for name in before} == before

    take(theirs, template)
    shell(theirs.path, DEPENDENCIES)
    assert '"tqdm>=4"' in theirs.read("pyproject.toml")
    theirs.write(
        "conf/base/catalog.yml",
        "score: {type: old_project.tracking.MlflowMetricDataset}\n",
    )
    assert "the first run creates" in shell(theirs.path, TRY)
    assert only_run(theirs).data.metrics == {"score": 3.0}

    template.replace("template/pyproject.toml.jinja", '"pytest>=8"', '"pytest>=9"')
    template.replace(
        "template/conf/base/mlflow.yml.jinja", "recursive: true", "recursive: false"
    )
    template.replace(
        "template/src/{{ python_package }}/settings.py.jinja",
        "# The folder",
        "# A folder",
    )
    template.release("v0.2.0")
    mine = theirs.files()
    theirs.update()
    assert theirs.unmerged == set()
    assert theirs.changed == {
        ".copier-answers.yml",
        "conf/base/mlflow.yml",
        "pyproject.toml",
        f"{package}/settings.py",
        f"{package}/tracking/template/version.txt",
        ".pre-commit-config.yaml",
    }
    assert '"tqdm>=4"' in theirs.read("pyproject.toml")
    assert "MlflowHook(), Audit()" in theirs.read(f"{package}/settings.py")
    assert theirs.files()["README.md"] == mine["README.md"] == b"# Ours\n"


def test_project_of_kedro_mlflow_moves_over(
    theirs: Project, template: Template
) -> None:
    name = "kedro_mlflow.io.metrics.MlflowMetricDataset"
    files = "data/rows.csv", "data/line.json"
    theirs.write(
        "conf/base/catalog.yml",
        f"score: {{type: {name}}}\n"
        f"rows: {{type: pandas.CSVDataset, filepath: {files[0]}}}\n"
        f"line: {{type: json.JSONDataset, filepath: {files[1]}}}\n",
    )
    theirs.write(files[0], "x,y,unused\n1.0,2.0,0\n2.0,4.0,0\n")
    theirs.write("src/old_project/scoring.py", SCORING)
    theirs.write(REGISTRY_FILE, PIPELINES_AS_MODELS)
    own = "tracking:\n  run:\n    name: as before\n"
    theirs.write("conf/base/mlflow.yml", own)
    theirs.write("requirements.txt", "kedro~=1.2\nkedro-mlflow>=2\n")
    theirs.commit()
    take(theirs, template)
    git(theirs.path, "restore", "conf/base/mlflow.yml")  # as the answer n
    shell(theirs.path, DEPENDENCIES)
    shell(theirs.path, PLUGIN, penguin_classifier="old_project")
    assert "kedro-mlflow" not in theirs.read("pyproject.toml")
    theirs.replace(REGISTRY_FILE, BEFORE, AFTER)
    catalog = theirs.read("conf/base/catalog.yml")
    model = dedent(MODEL).replace("<package>", "old_project")
    theirs.write("conf/base/catalog.yml", catalog + model)
    shell(theirs.path, TRY)
    run = only_run(theirs)
    assert run.info.run_name == "as before"
    theirs.write("new.json", '{"dataframe_records": [{"x": 5.0}]}')
    answer = shell(theirs.path, "kedro mlflow predict new.json 2>/dev/null")
    assert '"predictions": [10.0]' in answer or '[{"x": 10.0}]' in answer
    assert run.data.metrics == {"score": 3.0}


def test_nothing_is_written_over_without_an_answer(
    theirs: Project, template: Template
) -> None:
    done = subprocess.run(
        [BIN / "copier", "copy", "--defaults", str(template.path), "."],
        cwd=theirs.path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "overwrite" in done.stderr
    assert git(theirs.path, "diff", "--name-only") == ""
