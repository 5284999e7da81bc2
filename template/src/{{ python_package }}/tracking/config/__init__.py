"""``mlflow.yml``: what it may say, read, and written."""
