"""What is drawn, in words: for those who cannot see it, and for whoever points at it."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from matplotlib.artist import Artist

_SAID: WeakKeyDictionary[Artist, tuple[str, ...]] = WeakKeyDictionary()


def say(artist: Artist, words: Sequence[str]) -> None:
    """Give words to a figure (one), a bar (one) or a collection of points (one each)."""
    _SAID[artist] = tuple(words)


def said(artist: Artist) -> tuple[str, ...]:
    """The words of an artist; none if it was given none."""
    return _SAID.get(artist, ())
