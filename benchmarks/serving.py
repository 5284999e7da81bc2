"""Serve one pipeline with this template and with kedro-mlflow: ``make serving``.

Both train the sample's classifier and serve the same two functions, in one environment with
kedro-mlflow 2.0.3 and the newest MLflow that it allows. Writes ``docs/performance.md``.
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import pandas as pd
import requests
from copier import run_copy

from tests.scoring_client import ask, scoring_server

from .contestants import OURS, RIVAL, TEMPLATE

PAGE = TEMPLATE / "docs/performance.md"
PACKAGE = "measured"
INSTALLED = [
    "kedro-mlflow==2.0.3", "mlflow<3.13", "kedro-datasets>=9,<10", "matplotlib", "pandas",
    "scikit-learn", "pydantic", "uv",
]  # fmt: skip
PENGUIN = {
    "bill_length_mm": 39.1,
    "bill_depth_mm": 18.7,
    "flipper_length_mm": 181.0,
    "body_mass_g": 3750.0,
}
# What a user writes to have the pipeline as a model, beside the two pipelines themselves.
THEIRS_IN_CODE = """\
from kedro_mlflow.pipeline import pipeline_ml_factory

def register_pipelines():
    return {{
        "__default__": pipeline_ml_factory(
            training=TRAINING,
            inference=INFERENCE,
            input_name="penguins",
            log_model_kwargs={{
                "name": "penguin_model",
                "signature": "auto",
                "pip_requirements": ["kedro-mlflow==2.0.3", "kedro-datasets", "{package}"],
            }},
        )
    }}
"""
THEIRS_IN_CATALOG = """\
classifier:
  type: pickle.PickleDataset
  filepath: data/06_models/classifier.pkl
"""
OURS_WRITTEN = (
    1 + 1 + 3
)  # import and node in inference/pipeline.py, three in catalog.yml
REGISTRY = """\
from kedro.pipeline import Pipeline, node

from .inference import clean, name_species
from .nodes import split, train

CLEAN = node(clean, "penguins", "clean_penguins", name="clean")
TRAINING = Pipeline(
    [
        CLEAN,
        node(
            split,
            ["clean_penguins", "params:split"],
            ["x_train", "x_test", "y_train", "y_test"],
            name="split",
        ),
        node(
            train, ["x_train", "y_train", "params:classifier"], "classifier", name="train"
        ),
    ]
)
INFERENCE = Pipeline(
    [
        CLEAN,
        node(
            name_species,
            ["classifier", "clean_penguins", "params:min_probability"],
            "species",
            name="name_species",
        ),
    ]
)

"""
PROBE = """
import importlib, json, sys, time, warnings
from statistics import median
import pandas, sklearn.linear_model, mlflow.pyfunc

warnings.filterwarnings("ignore")
path, penguin, data, functions = sys.argv[1], json.loads(sys.argv[2]), *sys.argv[3:]
start = time.process_time()
model = mlflow.pyfunc.load_model(path)
load = time.process_time() - start
module = importlib.import_module(functions)
columns = model.metadata.get_input_schema().input_names()
table = pandas.read_csv(data)
classifier = module and (
    model._model_impl.artifacts["classifier"]
    if hasattr(model._model_impl, "artifacts")
    else model.unwrap_python_model().loaded_catalog.load("classifier")
)
full = pandas.concat([table] * 300, ignore_index=True)[:100_000][columns]
one = table.head(1).assign(**penguin)[columns]

def milliseconds(work, count):
    work()
    found = []
    for _ in range(count):
        start = time.process_time()
        work()
        found.append(1000 * (time.process_time() - start))
    return median(found)

def by_hand(rows):
    return module.name_species(classifier, module.clean(rows), 0.5)

print(json.dumps({
    "load": load,
    "one": milliseconds(lambda: model.predict(one), 200),
    "one_by_hand": milliseconds(lambda: by_hand(one), 200),
    "many": milliseconds(lambda: model.predict(full), 7),
    "many_by_hand": milliseconds(lambda: by_hand(full), 7),
    "columns": len(columns),
}))
"""


def main() -> None:
    """Train, load and call both, and write the table."""
    with TemporaryDirectory() as folder:
        python = _environment(Path(folder))
        found = {
            OURS: _measured(python, *_ours(python, Path(folder))),
            RIVAL: _measured(python, *_theirs(python, Path(folder))),
        }
    rows = [
        ("load, after `import mlflow` (s of the processor)", "load", 2),
        ("one row in Python (ms of the processor)", "one", 1),
        ("the same over its functions by hand", "over", 1),
        ("one row by HTTP (ms)", "http", 1),
        ("100,000 rows in Python : by hand", "ratio", 2),
        ("columns that the signature asks for", "columns", 0),
        ("size of the model (kB)", "size", 0),
        ("of which the project's code", "code", 0),
        ("lines that a user writes", "lines", 0),
    ]
    table = [f"| what | {OURS} | {RIVAL} |", "| --- | --- | --- |"]
    for title, key, digits in rows:
        cells = [f"{found[name][key]:.{digits}f}" for name in (OURS, RIVAL)]
        table.append(f"| {title} | {' | '.join(cells)} |")
    print("\n".join(table))
    body = "\n".join(["<!-- serving -->", *table, "<!-- served -->"])
    page = PAGE.read_text("utf-8")
    pattern = "<!-- serving -->.*<!-- served -->"
    PAGE.write_text(re.sub(pattern, lambda _: body, page, flags=re.S), "utf-8")


def _environment(folder: Path) -> Path:
    uv = Path(sys.executable).parent / "uv"
    _call(uv, "venv", "--quiet", "--python", sys.executable, "venv", cwd=folder)
    python = folder / "venv/bin/python"
    words = ["pip", "install", "--quiet", "--python", str(python), *INSTALLED]
    _call(uv, *words, cwd=folder)
    return python


def _render(project: Path) -> Path:
    run_copy(
        str(TEMPLATE),
        project,
        data={"project_name": PACKAGE},
        defaults=True,
        quiet=True,
        vcs_ref="HEAD",
    )
    return project


def _ours(python: Path, folder: Path) -> tuple[Path, str, int]:
    project = _render(folder / "ours")
    _call(python.with_name("kedro"), "run", cwd=project)
    functions = f"{PACKAGE}.pipelines.inference.nodes"
    return _model(project, "tracking.serving"), functions, OURS_WRITTEN


def _theirs(python: Path, folder: Path) -> tuple[Path, str, int]:
    words = ["--name", PACKAGE, "--tools", "none", "--example", "n"]
    _call(python.with_name("kedro"), "new", *words, cwd=folder)
    project, ours = folder / PACKAGE, folder / "ours"
    source, pipelines = project / "src" / PACKAGE, ours / "src" / PACKAGE / "pipelines"
    inference = (pipelines / "inference/nodes.py").read_text("utf-8")
    (source / "inference.py").write_text(inference, "utf-8")
    nodes = (pipelines / "penguins/nodes.py").read_text("utf-8")
    nodes = nodes.replace("from ..inference.nodes", "from .inference")
    (source / "nodes.py").write_text(nodes, "utf-8")
    code = THEIRS_IN_CODE.format(package=PACKAGE)
    (source / "pipeline_registry.py").write_text(REGISTRY + code, "utf-8")
    catalog = (
        "penguins: {type: pandas.CSVDataset, filepath: data/01_raw/penguins.csv}\n"
    )
    base = project / "conf/base"
    (base / "catalog.yml").write_text(catalog + THEIRS_IN_CATALOG, "utf-8")
    for name in ("parameters_penguins.yml", "parameters_inference.yml"):
        (base / name).write_bytes((ours / "conf/base" / name).read_bytes())
    raw = "data/01_raw/penguins.csv"
    (project / raw).parent.mkdir(parents=True, exist_ok=True)
    (project / raw).write_bytes((ours / raw).read_bytes())
    uri = "server: {mlflow_tracking_uri: 'sqlite:///mlflow.db'}\n"
    (project / "conf/local/mlflow.yml").write_text(uri, "utf-8")
    _call(python.with_name("kedro"), "run", cwd=project)
    lines = (code + THEIRS_IN_CATALOG).count("\n")
    # Where it is served, the project has to be installed: the model has no code.
    uv = python.with_name("uv")
    _call(
        uv, "pip", "install", "-q", "--python", python, "--no-deps", project, cwd=folder
    )
    return _model(project, "PythonModel|python_model"), f"{PACKAGE}.inference", lines


def _model(project: Path, kind: str) -> Path:
    files = [*project.rglob("MLmodel")]
    (found,) = [f.parent for f in files if re.search(kind, f.read_text("utf-8"))]
    return found


def _measured(
    python: Path, model: Path, functions: str, lines: int
) -> dict[str, float]:
    elsewhere = model.parent
    data = next(parent for parent in model.parents if (parent / "data/01_raw").exists())
    table = str(data / "data/01_raw/penguins.csv")
    words = [
        str(python),
        "-c",
        PROBE,
        str(model),
        json.dumps(PENGUIN),
        table,
        functions,
    ]
    _call(*words, cwd=elsewhere)  # compiles what is imported
    found = dict(json.loads(_call(*words, cwd=elsewhere).splitlines()[-1]))
    serve = [python.with_name("mlflow"), "models", "serve", "--model-uri", model]
    env = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}"}
    server = [str(word) for word in (*serve, "--env-manager", "local")]
    row = _row(table)
    with scoring_server(elsewhere, *server, env=env) as address:
        found["http"] = median(_milliseconds(address, row) for _ in range(200))
    found["over"] = found["one"] - found["one_by_hand"]
    found["ratio"] = found["many"] / found["many_by_hand"]
    files = [
        f for f in model.rglob("*") if f.is_file() and "__pycache__" not in f.parts
    ]
    found["size"] = sum(f.stat().st_size for f in files) / 1000
    code = [f for f in files if f.is_relative_to(model / "code")]
    found["code"] = sum(f.stat().st_size for f in code) / 1000
    return {**found, "lines": lines}


def _row(table: str) -> dict[str, object]:
    """Return a whole row: kedro-mlflow's signature asks for the label, too."""
    first = pd.read_csv(table).head(1).to_json(orient="records")
    return dict(json.loads(first)[0])


def _milliseconds(address: str, row: dict[str, object]) -> float:
    start = time.perf_counter()
    answer: requests.Response = ask(address, [row])
    taken = 1000 * (time.perf_counter() - start)
    assert answer.ok, answer.text
    return taken


def _call(*words: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        words,
        cwd=cwd,
        env={**os.environ, "DO_NOT_TRACK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{words[:3]}: {(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
