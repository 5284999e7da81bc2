"""Format times and sizes for people."""

from datetime import datetime


def duration(seconds: float) -> str:
    """Format a duration as ``4.2 s``, ``3 min 20 s`` or ``2 h 5 min``."""
    if seconds < 59.95:  # never "60.0 s"
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{minutes} min {rest} s"


def ago(moment: datetime, now: datetime) -> str:
    """Format a time: ``5 min ago``, ``3 h ago``, ``2 d ago``; after a week a date."""
    seconds = max(0, (now - moment).total_seconds())
    for unit, length, most in (("s", 1, 60), ("min", 60, 60), ("h", 3600, 24)):
        if seconds < length * most:
            return f"{int(seconds / length)} {unit} ago"
    days = int(seconds / 86400)
    return f"{days} d ago" if days < 7 else moment.date().isoformat()


def size(number: int) -> str:
    """Format a number of bytes as ``812 B``, ``4.2 kB`` or ``1.3 GB``."""
    amount, units = float(number), ["B", "kB", "MB", "GB", "TB"]
    while amount >= 999.95 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    return f"{number} B" if units[0] == "B" else f"{amount:.1f} {units[0]}"
