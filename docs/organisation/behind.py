# /// script
# dependencies = ["mlflow-skinny>=3.10,<4", "packaging"]
# ///
"""List the projects whose last run was not on the newest version of the template."""

import os
import sys
from urllib.parse import urlsplit

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")

try:
    import mlflow
    from mlflow.entities import Experiment, Run
    from mlflow.exceptions import MlflowException
    from packaging.version import InvalidVersion, Version
except ImportError as error:
    sys.exit(f"{error}. 'uv run behind.py' installs MLflow's client for this script.")

if len(sys.argv) != 3:
    sys.exit("Give two words: behind.py https://mlflow.example.com v0.3.0")
tracking_uri, newest = sys.argv[1:]
mlflow.set_tracking_uri(tracking_uri)
client = mlflow.MlflowClient()


def last_runs(experiment: Experiment) -> dict[str, Run]:
    """Return the last run of each project, among the experiment's last 1000 runs.

    Nested runs have no tags of the template. Several projects in one experiment are told
    apart by the tag ``template.project``, where their runs have it.
    """
    found: dict[str, Run] = {}
    for run in client.search_runs([experiment.experiment_id], max_results=1000):
        if "mlflow.parentRunId" not in run.data.tags:
            found.setdefault(
                run.data.tags.get("template.project", experiment.name), run
            )
    return found


def state(version: str) -> str:
    try:
        found, target = Version(version.split("-", maxsplit=1)[0]), Version(newest)
    except InvalidVersion:
        return "unknown"
    return "behind" if found < target else "ahead" if found > target else "current"


try:
    experiments = mlflow.search_experiments()
except MlflowException as error:
    sys.exit(
        f"{urlsplit(tracking_uri).hostname} gives no experiments ({error.error_code}). Is "
        "it an MLflow server, is it up, and does MLFLOW_TRACKING_TOKEN log in to it?"
    )
for experiment in experiments:
    for project, run in last_runs(experiment).items():
        version = run.data.tags.get("template.version", "no version")
        edited = run.data.tags.get("template.edited", "nothing")
        if state(version) != "current" or edited != "nothing":
            print(f"{project}: {version}, {state(version)}, edited: {edited}")
