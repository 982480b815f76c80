"""The errors of the harness::

    HarnessError                 base of all; str() is one line: what is wrong and what to do next
    ├── UsageError               the caller's input is wrong; nothing was changed
    │   ├── NoSuchAvatar         the katas do not hold this avatar or kata
    │   └── BuildFailed          the tree does not build with bare make; a note has make's output
    ├── TreeError                a source tree is not available (download, checksum, disk)
    ├── EngineError              no engine answers, or it refused or died
    │   ├── ImageError           the image is missing, or lacks what a run needs
    │   └── StreamCut            a stream ended before its end marker; what arrived is discarded
    └── KatasError               the katas cannot be read or written (space, permission, damage)
        └── Busy                 another process held a lock for longer than the caller could wait

The command line prints the line and exits with status 2. Inside a test event, EngineError and Busy
are not raised: the outcome of the run is `faulty`, and the line is its reason.
"""

from __future__ import annotations

from collections.abc import Iterable


class HarnessError(Exception):
    """Base of every error that the harness raises on purpose."""


class UsageError(HarnessError):
    """The caller's input is wrong; nothing was changed."""


class NoSuchAvatar(UsageError):
    """The katas do not hold this avatar or kata."""


class BuildFailed(UsageError):
    """The tree does not build with bare make either; a note (PEP 678) has make's output."""


class TreeError(HarnessError):
    """A source tree is not available."""


class EngineError(HarnessError):
    """No engine answers, or it refused or died."""


class ImageError(EngineError):
    """The image is missing, or lacks what a run needs."""


class StreamCut(EngineError):
    """A stream ended before its end marker."""


class KatasError(HarnessError):
    """The katas cannot be read or written."""


class Busy(KatasError):
    """Another process still held the lock when the time was up."""


def not_among(what: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a name that is none of those known: `what` it is to name.

    It suggests the known name that is most like it, and lists all of them.

    >>> str(not_among("engine", "dokcer", ["docker", "local"]))
    'there is no engine dokcer; did you mean docker? There are: docker, local'
    """
    known = list(known)
    close = closest(name, known)
    there_are = f"did you mean {close}? There" if close else "there"
    return UsageError(f"there is no {what} {name}; {there_are} are: {', '.join(known)}")


def closest(name: str, known: Iterable[str]) -> str:
    """Return the known name that this one looks like a slip of. Empty: it looks like none."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for a slip

    return next(iter(get_close_matches(name, list(known), n=1)), "")
