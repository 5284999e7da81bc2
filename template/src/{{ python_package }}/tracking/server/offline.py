"""Whether a run may be recorded without its server."""

import os
from typing import Literal, cast, get_args

from ..config.options import ServerOptions
from ..errors import TrackingError

Offline = Literal["fallback", "never", "always"]


def offline_mode(options: ServerOptions) -> Offline:
    """Return ``server.offline``, or ``KEDRO_MLFLOW_OFFLINE``, which has precedence.

    Raises:
        TrackingError: the variable has another value.
    """
    value = os.environ.get("KEDRO_MLFLOW_OFFLINE") or options.offline
    for mode in get_args(Offline):
        if value == mode:
            return cast("Offline", mode)
    raise TrackingError(
        f"The variable KEDRO_MLFLOW_OFFLINE is '{value}'; use fallback, never or always."
    )
