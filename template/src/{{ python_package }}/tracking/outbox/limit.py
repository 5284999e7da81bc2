"""How many bytes of files may wait on this machine."""

import logging
import os
from pathlib import Path

from ..terminal.humanize import size
from .delivery import Refused
from .journal import Record

_WARN_AT = 0.8  # of the limit
_MEASURE_EVERY = 0.1  # of the limit: walking through a folder takes time

_logger = logging.getLogger(__name__)


class SizeLimit:
    """Limits the size of all outboxes of a project.

    What other processes write and what is sent meanwhile is noticed when the outboxes
    are measured again, after each tenth of the limit.

    Args:
        outboxes: the folder of all outboxes.
        limit: in bytes.
    """

    def __init__(self, outboxes: Path, limit: float) -> None:
        self._outboxes, self.limit = outboxes, limit
        self._used = self._since = float("inf")
        self._has_warned = False

    def refused(self, record: Record) -> Refused:
        """Return the record of a file for which there is no room."""
        reason = (
            f"{_short(self._outboxes)} may hold {size(int(self.limit))}, and the server is "
            "away, so they are not logged. 'kedro mlflow sync' makes room when it answers; "
            "or raise server.outbox_limit in mlflow.yml; then run again."
        )
        return Refused(record, reason, "There is no room for")

    def has_room(self, number: int) -> bool:
        """Whether a file fits; it counts from then on.

        Args:
            number: its size in bytes.
        """
        if self._since + number > _MEASURE_EVERY * self.limit:
            self._used, self._since = float(_size(self._outboxes)), 0.0
        used = self._used + self._since + number
        if used > self.limit:
            self._since = float("inf")  # measure again the next time
            return False
        self._since += number
        if used > _WARN_AT * self.limit and not self._has_warned:
            self._has_warned = True
            _logger.warning(
                "%s of files wait for the server in %s; the limit is %s, which is "
                "server.outbox_limit of mlflow.yml.",
                size(int(used)),
                _short(self._outboxes),
                size(int(self.limit)),
            )
        return True


def _short(outboxes: Path) -> str:
    return "/".join(outboxes.parts[-2:])  # within the project


def _size(folder: Path) -> int:
    """Return the size of all files below a folder, in bytes."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(place, name)).st_size
            except FileNotFoundError:  # it has just been sent
                continue
    return total
