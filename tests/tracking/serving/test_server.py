"""A served pipeline answers: by HTTP, for a file, in a process without the project."""

import importlib
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

import pandas as pd
import pytest

from tests.scoring_client import ask_in_every_way, scoring_server
from tests.tracking.serving.conftest import Scored

pytestmark = pytest.mark.slow  # run by 'make test-slow'


ELSEWHERE = """
import sys
from concurrent.futures import ThreadPoolExecutor
import mlflow, pandas

model = mlflow.pyfunc.load_model(sys.argv[1])
import scored, scored.scoring

assert scored.__file__.startswith(sys.argv[1]), scored.__file__
loaded = set(sys.modules)
assert not loaded & {"kedro.framework.session", "scored.tracking.hook", "scored.settings"}
rows = pandas.DataFrame({"x": [float(n) for n in range(100)], "word": ["a"] * 100})
with ThreadPoolExecutor(16) as pool:
    answers = list(pool.map(
        lambda n: model.predict(rows, params={"factor": float(n)})["score"][3], range(64)
    ))
assert answers == [6.0 * n + 1100 for n in range(64)], answers
"""


def test_it_answers_by_http(scored: Scored, tmp_path: Path) -> None:
    kedro_command = str(Path(sys.executable).parent / "kedro")
    words = (kedro_command, "mlflow", "serve", scored.models()[-1].model_id)
    with scoring_server(tmp_path, *words, cwd=scored.path) as address:
        row = {"x": 1, "word": "a"}
        one, other = ask_in_every_way(address, row, {"factor": 2.0})
        assert one == {"score": pytest.approx(1102.0), "count": 1, "word": "a"}
        assert other["score"] == pytest.approx(1104.0)
    log = (tmp_path / "server.log").read_text()
    assert f"curl {address}/invocations" in log
    assert "Traceback" not in log


def test_it_answers_in_a_process_without_the_project(
    scored: Scored, tmp_path: Path
) -> None:
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    model = str(scored.folder(scored.models()[-1]))
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, model],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_node_that_fails_is_named_and_shows_no_data(
    scored: Scored, tmp_path: Path
) -> None:
    model = importlib.import_module("scored.tracking.serving.model")
    errors = importlib.import_module("scored.tracking.errors")
    fail = importlib.import_module("scored.scoring").fail
    steps = [model.Step("judge", fail, "rows", "out")]
    served = model.PipelineModel("scoring", steps, "rows", "out", {}, {}, "DataFrame")
    rows = pd.DataFrame({"word": ["of a patient"]})
    with pytest.raises(errors.TrackingError) as failed:
        served.predict(rows)
    assert "the node 'judge' raised ValueError in scoring.py, line" in str(failed.value)
    assert "patient" not in "".join(traceback.format_exception(failed.value))


def test_predict_and_package(scored: Scored, tmp_path: Path) -> None:
    first = scored.runs()[-1]
    file = tmp_path / "new.csv"
    file.write_text("x,word\n1,a\n2,b\n")
    done = scored.kedro("predict", str(file), first.info.run_id, "--name", "scoring")
    assert done.exit_code == 0, done.stderr
    scores = [each["score"] for each in json.loads(done.stdout)["predictions"]]
    assert scores == pytest.approx([1102.0, 1204.0])
    file.write_text("y\n1\n")
    done = scored.kedro("predict", str(file), first.info.run_id)
    assert done.exit_code == 1
    assert "missing inputs" in done.stderr
    assert "Traceback" not in done.stderr

    done = scored.kedro("package", first.info.run_id, "--pipeline", "scoring")
    assert done.exit_code == 1
    assert "'parts', which is in no run, but in a Partitioned" in done.stderr
    before = scored.client.get_run(first.info.run_id).info
    done = scored.kedro("package", first.info.run_id, "--pipeline", "fitted")
    assert done.exit_code == 0, done.stderr
    made = scored.client.get_logged_model(done.stdout.split("models:/")[1].strip())
    assert made.source_run_id == first.info.run_id
    assert made.tags["kedro.pipeline"] == "scoring"
    after = scored.client.get_run(first.info.run_id).info
    assert (after.status, after.end_time) == (before.status, before.end_time)
