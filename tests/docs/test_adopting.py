"""Commands of docs/adopting.md for projects of older versions of Kedro."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import TEMPLATE, Render

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGE = (TEMPLATE / "docs/adopting.md").read_text("utf-8")


@pytest.mark.parametrize("kedro", ["kedro~=0.19.12", "kedro[jupyter] == 0.19.9"])
def test_requirements_of_kedro_0_19_do_not_take_kedro_back(
    render: Render, kedro: str
) -> None:
    project = render()
    lines = [kedro, "kedro-datasets[pandas-csvdataset]>=3.0", "kedro_viz>=6.7", "tqdm"]
    (project / "requirements.txt").write_text("\n".join(lines) + "\n", "utf-8")
    (command,) = re.findall(r"^.*uv add -r.*$", PAGE, re.M)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "UV_FROZEN": "1"}
    subprocess.run(["bash", "-c", command], cwd=project, env=env, check=True)
    text = (project / "pyproject.toml").read_text("utf-8")
    added = set(tomllib.loads(text)["project"]["dependencies"])
    assert {"kedro>=1.2,<2", "kedro-viz>=6.7", "tqdm", lines[1]} <= added
    assert len([line for line in added if re.match(r"kedro\b[^-]", line)]) == 1
