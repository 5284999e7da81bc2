"""The three that are compared: an environment and a project for each."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml
from copier import run_copy

TEMPLATE = Path(__file__).parents[1]
PACKAGE = "measured"
BARE, OURS, RIVAL = "bare Kedro", "this template", "kedro-mlflow"

_INSTALLED = {
    BARE: [
        "kedro",
        "kedro-datasets",
        "mlflow",
    ],  # Kedro's start depends on what is there
    OURS: [],  # what its own pyproject.toml says
    RIVAL: ["kedro", "kedro-datasets", "kedro-mlflow==2.0.3", "mlflow"],
}
METRIC = {
    OURS: f"{PACKAGE}.tracking.MlflowMetricDataset",
    RIVAL: "kedro_mlflow.io.metrics.MlflowMetricDataset",
}
ARTIFACT = {
    OURS: f"{PACKAGE}.tracking.MlflowArtifactDataset",
    RIVAL: "kedro_mlflow.io.artifacts.MlflowArtifactDataset",
}
_REGISTRY = '''"""A pipeline of {nodes} nodes that do nothing but return."""

from kedro.pipeline import Pipeline, node


def work(*parameters):
    return 1.0, {{"a": 1}}


def register_pipelines():
    return {{
        "__default__": Pipeline(
            [
                node(
                    work,
                    [f"params:p{{n}}_{{i}}" for i in range({params})],
                    [f"metric_{{n}}", f"artifact_{{n}}"],
                    name=f"node_{{n}}",
                )
                for n in range({nodes})
            ]
        )
    }}
'''


@dataclass(frozen=True)
class Contestant:
    """A project in an environment of its own.

    Attributes:
        name: of the contestant.
        project: its folder, with the environment in ``.venv``.
    """

    name: str
    project: Path

    def kedro(self, *words: str) -> None:
        """Run a command of Kedro to its end.

        Raises:
            RuntimeError: it failed; holds the end of what it printed.
        """
        env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # what is compiled once stays so
        done = subprocess.run(
            [self.project / ".venv/bin/kedro", *words],
            cwd=self.project,
            env={**env, "DO_NOT_TRACK": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{self.name}: {(done.stdout + done.stderr)[-500:]}")

    def tracks_to(self, uri: str, disabled: bool = False) -> None:
        """Say in ``mlflow.yml`` where runs go."""
        disable = {"pipelines": ["__default__"]} if disabled else {}
        content = {
            "server": {"mlflow_tracking_uri": uri},
            "tracking": {"disable_tracking": disable},
        }
        if self.name != BARE:
            _write(self.project / "conf/local/mlflow.yml", yaml.safe_dump(content))

    def has_pipeline(self, nodes: int, params: int) -> None:
        """Write the pipeline, its parameters and its catalog."""
        source = self.project / "src" / PACKAGE
        text = _REGISTRY.format(nodes=nodes, params=params)
        _write(source / "pipeline_registry.py", text)
        names = [f"p{n}_{i}" for n in range(nodes) for i in range(params)]
        base = self.project / "conf/base"
        _write(base / "parameters.yml", yaml.safe_dump(dict.fromkeys(names, 1)))
        catalog = {}
        for n in range(nodes):
            file = {"type": "json.JSONDataset", "filepath": f"data/{n}.json"}
            artifact = {"type": ARTIFACT.get(self.name), "dataset": file}
            catalog[f"artifact_{n}"] = file if self.name == BARE else artifact
            catalog[f"metric_{n}"] = {"type": METRIC.get(self.name, "MemoryDataset")}
        _write(base / "catalog.yml", yaml.safe_dump(catalog))

    def size(self) -> float:
        """Give the size of the environment on disk, in megabytes."""
        files = (self.project / ".venv").rglob("*")
        return sum(f.stat().st_size for f in files if f.is_file()) / 1e6


def build(name: str, folder: Path, **answers: object) -> Contestant:
    """Make a contestant's project and install it; the answers are for our template."""
    project = folder / name.replace(" ", "-")
    if name == OURS:
        _render(project, **answers)
    else:
        words = ["--name", PACKAGE, "--tools", "none", "--example", "n"]
        _call(Path(sys.executable).parent / "kedro", "new", *words, cwd=folder)
        (folder / PACKAGE).rename(project)
    uv = Path(sys.executable).parent / "uv"
    _call(uv, "venv", "--quiet", "--python", sys.executable, ".venv", cwd=project)
    wanted = _INSTALLED[name] or ["-e", ".", "kedro-datasets"]
    python = project / ".venv/bin/python"
    _call(uv, "pip", "install", "--quiet", "--python", python, *wanted, cwd=project)
    return Contestant(name, project)


def _render(project: Path, **answers: object) -> None:
    answers = {"project_name": PACKAGE, "sample_pipeline": False, **answers}
    run_copy(
        str(TEMPLATE), project, data=answers, defaults=True, quiet=True, vcs_ref="HEAD"
    )


def _call(*words: str | Path, cwd: Path) -> None:
    env = {**os.environ, "DO_NOT_TRACK": "1"}
    subprocess.run(words, cwd=cwd, env=env, check=True, capture_output=True)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
