"""What is drawn, in words, for readers who cannot see it and for tooltips."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from matplotlib.artist import Artist

_SAID: WeakKeyDictionary[Artist, tuple[str, ...]] = WeakKeyDictionary()


def say(artist: Artist, words: Sequence[str]) -> None:
    """Give words to an artist: one text for a figure or a bar, one for each of several points."""
    _SAID[artist] = tuple(words)


def said(artist: Artist) -> tuple[str, ...]:
    """Return the words of an artist, empty if it has none."""
    return _SAID.get(artist, ())
