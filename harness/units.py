"""Figures as people read them."""

from __future__ import annotations


def seconds(value: float | None) -> str:
    """A time with three digits that matter.

    >>> seconds(0.0771), seconds(3.4249), seconds(None)
    ('77 ms', '3.42 s', '-')
    """
    if value is None:
        return "-"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def size(value: int | None) -> str:
    """Bytes in decimal units, as disks and tar files are measured.

    >>> size(1_640_000), size(852_000), size(0)
    ('1.64 MB', '852 kB', '0')
    """
    if value is None:
        return "-"
    if value == 0:
        return "0"
    return f"{value / 1e3:.0f} kB" if value < 1e6 else f"{value / 1e6:.2f} MB"
