"""The error tree::

    HarnessError                 base of all; str() is one clear line: what is wrong and what to do next
    ├── UsageError               the caller's input is wrong; nothing was changed
    │   ├── NoSuchAvatar         the katas do not hold this avatar or kata
    │   └── BuildFailed          the tree does not build, with bare make neither: a note has what that printed
    ├── TreeError                a source tree cannot be had (download, checksum, disk)
    ├── EngineError              no engine answers, or it refused or died
    │   ├── ImageError           the image is missing, or lacks what a run needs
    │   └── StreamCut            a stream ended before its end marker: what arrived is never accepted
    └── KatasError               the katas cannot be read or written (no space, no permission, damaged)
        └── Busy                 somebody holds them, for longer than may be waited

The command line turns each of them into that one line and exit status 2. Inside a test event an `EngineError`
or a `Busy` is not raised: the outcome of the run is then `faulty` and the line is its reason.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class HarnessError(Exception):
    """Base of every error that the harness raises on purpose."""


class UsageError(HarnessError):
    """The caller's input is wrong; nothing was changed."""


class NoSuchAvatar(UsageError):
    """The katas do not hold this avatar or kata."""


class BuildFailed(UsageError):
    """The tree does not build, with bare make neither; a note (PEP 678) has what that printed."""


class TreeError(HarnessError):
    """A source tree cannot be had."""


class EngineError(HarnessError):
    """No engine answers, or it refused or died."""


class ImageError(EngineError):
    """The image is missing, or lacks what a run needs."""


class StreamCut(EngineError):
    """A stream ended before its end marker."""


class KatasError(HarnessError):
    """The katas cannot be read or written."""


class Busy(KatasError):
    """Somebody holds what was waited for, and still did when the time was up."""


@contextlib.contextmanager
def katas_errors(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise KatasError(f"{what}: {error.strerror or error}") from error
    except ValueError as error:
        raise KatasError(f"{what}: a file in it is damaged; put it back from a backup") from error
