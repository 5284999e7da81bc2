"""How long MLflow tries to reach a server that is not there."""

import os

from .credentials import Loan

SECONDS = 5


def impatient() -> Loan:
    """Let MLflow ask its server once, until the loan is given back.

    One try of five seconds instead of minutes, unless the user has set a variable of
    MLflow's.
    """
    variables = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(SECONDS),
    }
    return Loan({k: v for k, v in variables.items() if k not in os.environ})


def is_gone(error: BaseException) -> bool:
    """Whether an error says that MLflow has tried in vain to reach its server."""
    words = ("failed with exception", "failed with timeout exception")
    return "API request to" in str(error) and any(word in str(error) for word in words)
