"""Which runs a list shows, and in what order."""

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from ..errors import TrackingError

_COLUMN = re.compile(
    r"""(metric|param)\w*\.([`"]?)(.+?)\2(\s+(asc|desc))?\s*""", re.IGNORECASE
)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Filters:
    """What a run must be to be in a list, all of it; and the order of the list.

    Attributes:
        pipeline: one of its pipelines; empty for any.
        status: RUNNING, FINISHED, FAILED or KILLED; empty for any.
        since: when it started at the earliest; None for any time.
        where: a filter in MLflow's own words; empty for none.
        parent: the run of which it is a child, by its id; None for any.
        order_by: what the list is sorted by, in MLflow's own words; empty for the newest
            first.
    """

    pipeline: str = ""
    status: str = ""
    since: datetime | None = None
    where: str = ""
    parent: str | None = None
    order_by: str = ""

    def __bool__(self) -> bool:
        return replace(self, order_by="") != Filters()

    @property
    def need_server(self) -> bool:
        """Whether only a server can tell which runs these are."""
        return bool(self.where or self.order_by) or self.parent is not None

    @property
    def order(self) -> tuple[str, str]:
        """What the list is sorted by: ``metric`` or ``param``, and its name, or both empty."""
        found = _COLUMN.fullmatch(self.order_by)
        return (found[1].lower(), found[3]) if found else ("", "")

    @property
    def query(self) -> str:
        """The filter for MLflow's search; of pipelines it finds a few too many."""
        parts = [self.where] if self.where else []
        if self.parent is not None:
            parts.append(f"tags.`mlflow.parentRunId` = '{self.parent}'")
        if self.status:
            parts.append(f"attributes.status = '{self.status}'")
        if self.since:
            milliseconds = int(self.since.timestamp() * 1000)
            parts.append(f"attributes.start_time >= {milliseconds}")
        if (
            self.pipeline
            and self.pipeline != "__default__"
            and "'" not in self.pipeline
        ):
            parts.append(f"tags.kedro_command LIKE '%{self.pipeline}%'")
        return " and ".join(parts)

    def take(self, pipeline: str, status: str, started: datetime) -> bool:
        """Whether a run passes, as far as it is known without the server."""
        return (
            (not self.pipeline or self.pipeline in pipeline.split(","))
            and self.status in ("", status)
            and (self.since is None or self.since <= started)
        )


def point_in_time(text: str, now: datetime) -> datetime:
    """Return the time that ``--since`` means.

    Args:
        text: ``30m``, ``12h``, ``2d`` or ``1w`` ago; or a date, also with a time, in
            ISO 8601. Without a time zone, it is that of this machine.
        now: the time.

    Raises:
        TrackingError: it is neither.
    """
    if ago := re.fullmatch(r"(\d{1,6})([mhdw])", text):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        return datetime.fromisoformat(text).astimezone(timezone.utc)
    except ValueError:
        raise TrackingError(
            f"--since is '{text}', which is no time: use 30m, 12h, 2d or 1w for so long "
            "ago, or a date such as 2026-11-20 or 2026-11-20T14:30."
        ) from None
