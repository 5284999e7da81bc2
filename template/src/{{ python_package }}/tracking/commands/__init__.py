"""``kedro mlflow …``."""
