"""How long MLflow tries to reach a server that is not there."""

import logging
import os
from contextlib import AbstractContextManager

from ..terminal.log_filters import only
from .process_environment import EnvironmentOverride

SECONDS = 5


def fail_fast() -> EnvironmentOverride:
    """Let MLflow ask its server once, until the loan is given back.

    One try of five seconds instead of minutes, unless the user has set a variable of
    MLflow's.
    """
    variables = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(SECONDS),
    }
    return EnvironmentOverride(
        {k: v for k, v in variables.items() if k not in os.environ}
    )


def is_unreachable(error: BaseException) -> bool:
    """Whether an error says that MLflow has tried in vain to reach its server."""
    words = ("failed with exception", "failed with timeout exception")
    return "API request to" in str(error) and any(word in str(error) for word in words)


def one_warning(address: str) -> AbstractContextManager[None]:
    """Say once for each request that MLflow tries again; urllib3 says it each time.

    Args:
        address: the server's, for the sentence. What other requests meet is left alone.
    """

    def is_wanted(record: logging.LogRecord) -> bool:
        if not str(record.msg).startswith("Retrying (") or len(record.args or ()) != 3:
            return True
        retries, _, path = record.args  # type: ignore[misc]
        if "/api/2.0/mlflow" not in str(path):
            return True
        record.msg = "The MLflow server at %s does not answer; trying again for a while"
        record.args = (address,)
        return len(getattr(retries, "history", ())) <= 1

    return only("urllib3.connectionpool", is_wanted)
