"""``mlflow.yml``: its keys, how it is read, and how it is written."""
