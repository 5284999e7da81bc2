"""Valid and invalid addresses of MLflow servers; four places apply the same rule."""

RIGHT = [
    "http://localhost:5000",
    "https://mlflow.example.com",
    "https://mlflow.example.com:8443/team/a",
    "file:///data/mlruns",
    "sqlite:///runs.db",
    "sqlite:////data/x.db",
    "sqlite+pysqlite:///runs.db",
    "postgresql://host/db",
    "postgresql+psycopg2://host/db",
    "mysql+pymysql://host/db",
    "mssql+pyodbc://host/db",
    "databricks",
    "databricks://profile",
    "databricks-uc",
    "databricks-uc://profile",
    "uc",
    "uc:http://localhost:8080",
    "azureml://eastus.api.azureml.ms/mlflow/v1.0",
    "arn:aws:sagemaker:us-east-1:111122223333:mlflow-tracking-server/x",
    "mlruns",
    "store/runs",
    "./x",
    "../x",
    "~/runs",
    "/data/mlruns",
    "C:/x",
    "data.v2/runs",
    "./mlflow.example.com",
]

WRONG = [
    ("localhost:5055", "did you mean http://localhost:5055?"),
    ("localhost", "did you mean http://localhost?"),
    ("127.0.0.1:5000", "did you mean http://127.0.0.1:5000?"),
    ("10.0.0.5", "did you mean https://10.0.0.5?"),
    ("mlflow.example.com", "did you mean https://mlflow.example.com?"),
    ("mlflow.example.com/team", "did you mean https://mlflow.example.com/team?"),
    ("mlflow:5000", "did you mean https://mlflow:5000?"),
]

WRONG_SCHEMES = [
    ("htp://x", "did you mean http://x?"),
    ("postgres://db/x", "did you mean postgresql://db/x?"),
    ("https//mlflow.example.com", "did you mean https://mlflow.example.com?"),
    ("https:/mlflow.example.com", "did you mean https://mlflow.example.com?"),
    ("https://", "write https://"),
    ("sqlite://runs.db", "write sqlite:///"),
]
