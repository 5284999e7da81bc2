"""List the projects whose last run was on an older template than the newest version."""

import sys

import mlflow

tracking_uri, newest = sys.argv[1:]
client = mlflow.MlflowClient(tracking_uri)
for experiment in client.search_experiments():
    last = client.search_runs([experiment.experiment_id], max_results=1)
    for run in last:
        version = run.data.tags.get("template.version", "unknown")
        edited = run.data.tags.get("template.edited", "nothing")
        if version != newest or edited != "nothing":
            print(f"{experiment.name}: {version}, edited: {edited}")
