"""Formats for figures that people read."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = {
    "year": 31_557_600,
    "month": 2_629_800,
    "day": 86_400,
    "hour": 3600,
    "minute": 60,
    "second": 1,
}
"""Seconds in each, the largest first; years and months are averages."""


def seconds(value: float | None) -> str:
    """Format seconds with about three significant digits.

    >>> seconds(0.0771), seconds(3.4249), seconds(None)
    ('77 ms', '3.42 s', '-')
    """
    if value is None:
        return "-"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def size(value: int | None) -> str:
    """Format bytes in decimal units.

    >>> size(1_640_000), size(852_000), size(0)
    ('1.64 MB', '852 kB', '0')
    """
    if value is None:
        return "-"
    if value == 0:
        return "0"
    return f"{value / 1e3:.0f} kB" if value < 1e6 else f"{value / 1e6:.2f} MB"


def ago(time: str, now: datetime | None = None) -> str:
    """Say in the largest fitting unit how long ago an ISO 8601 time was; `now` is for tests.

    >>> ago("2016-11-01T12:00:00+00:00", datetime(2016, 11, 4, 13, tzinfo=UTC))
    '3 days ago'
    >>> ago("2016-11-01T12:00:00+00:00", datetime(2016, 11, 1, 12, 1, 30, tzinfo=UTC))
    '1 minute ago'
    """
    past = ((now or datetime.now(UTC)) - datetime.fromisoformat(time)).total_seconds()
    for name, length in _UNITS.items():
        if past >= length:
            count = int(past // length)
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "a moment ago"
