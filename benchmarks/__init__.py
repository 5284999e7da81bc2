"""The cost of tracking, side by side: bare Kedro, this template, kedro-mlflow."""
