"""Times are formatted for people."""

from datetime import datetime, timedelta, timezone

import pytest
from tracking.terminal.humanize import ago, duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3599.6, "1 h 0 min"),
        (90061, "25 h 1 min"),
    ],
)
def test_duration(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "0 s ago"),  # the server's clock is ahead
        (59, "59 s ago"),
        (60, "1 min ago"),
        (3600, "1 h ago"),
        (86399, "23 h ago"),
        (86400, "1 d ago"),
        (7 * 86400, "2026-02-22"),
    ],
)
def test_ago(seconds: int, said: str) -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
    assert ago(now - timedelta(seconds=seconds), now) == said
