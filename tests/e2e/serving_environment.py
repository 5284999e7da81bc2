"""The sample's model in an environment of its own requirements: ``make test-serving``."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Render
from tests.e2e.newcomer import environment, runs, succeed
from tests.scoring_client import ask, ask_in_every_way, scoring_server

PENGUIN = {
    "bill_length_mm": 39.1,
    "bill_depth_mm": 18.7,
    "flipper_length_mm": 181,
    "body_mass_g": 3750,
}


@pytest.fixture(scope="module")
def model(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sample's model, far from its project."""
    project = render()
    succeed(project, "uv", "sync")
    succeed(project, "uv", "run", "kedro", "run")
    assert len(runs(project)) == 1
    (found,) = (
        file.parent
        for file in project.glob("mlruns/*/models/*/artifacts/MLmodel")
        if "tracking.serving" in file.read_text()
    )
    target = tmp_path_factory.mktemp("elsewhere") / "model"
    found.rename(target)
    return target


def test_it_serves_in_an_environment_of_its_requirements(
    model: Path, tmp_path: Path
) -> None:
    env = {**environment(), "MLFLOW_ENV_ROOT": str(tmp_path / "environments")}
    words = ("mlflow", "models", "serve", "--model-uri", str(model))
    with scoring_server(
        tmp_path, *words, "--env-manager", "uv", cwd=tmp_path, env=env
    ) as address:
        one, unsure = ask_in_every_way(address, PENGUIN, {"min_probability": 0.9999})
    assert one["species"] == "Adelie"
    assert unsure["species"] == "unknown"


def test_steps_of_its_dockerfile_work(model: Path, tmp_path: Path) -> None:
    """What needs an engine is left out: the base image, apt, nginx and the layers."""
    words = ["generate-dockerfile", "--model-uri", str(model), "-d", "image"]
    succeed(tmp_path, "mlflow", "models", *words, "--env-manager", "local")
    lines = (tmp_path / "image/Dockerfile").read_text().splitlines()
    (source,) = (line.split()[1] for line in lines if line.startswith("COPY"))
    image = tmp_path / "image" / source
    assert (image / "MLmodel").exists()

    succeed(tmp_path, "uv", "venv", "--seed", "python")
    bin_folder = tmp_path / "python/bin"
    (pip,) = (line for line in lines if line.startswith("RUN pip install"))
    succeed(tmp_path, str(bin_folder / "pip"), *pip.split()[2:])
    (install,) = (line for line in lines if "_install_pyfunc_deps" in line)
    code = re.findall('"(.+)"', install)[0].replace("/opt/ml/model", str(image))
    env = environment()
    env["PATH"] = f"{bin_folder}:{env['PATH']}"
    done = subprocess.run(
        [bin_folder / "python", "-c", code],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    words = [str(bin_folder / "mlflow"), "models", "serve", "--model-uri", str(image)]
    with scoring_server(
        tmp_path, *words, "--env-manager", "local", cwd=tmp_path, env=env
    ) as address:
        (answer,) = ask(address, [PENGUIN]).json()["predictions"]
    assert answer["species"] == "Adelie"
