"""What the .gitignore files of a folder name, and those of the repository that it is in."""

from __future__ import annotations

import os
from collections.abc import Iterable
from errno import EFBIG, EINVAL, ENOENT, ENOTDIR

from harness.inside.errors import UsageError
from harness.inside.layout import printable_name
from harness.katas.git_index import exclude_file, read_regular
from harness.katas.patterns import Malformed, Pattern, Patterns, lines_of

GITIGNORE = ".gitignore"

_PATTERN_BYTES = 16 << 20
"""Bytes of a .gitignore at most."""

_Lists = list[tuple[int, Patterns]]
"""Lists of patterns, the last one first to be asked.

Each has the number of bytes before what it is asked of a path, which begins at the repository.
"""


class Ignored:
    """The patterns that hold in a folder, which is entered step by step.

    A .gitignore that is no file is skipped: reading a named pipe would block, and git, too, does
    not follow a symlink.
    """

    def __init__(self, top: bytes, below: bytes) -> None:
        """Read the patterns of the repository at `top`, and those on the way to the folder.

        `below` is the path from there to the folder; empty if they are the same. Raises OSError,
        and UsageError for a file of patterns that is too large.
        """
        self._prefix = below + b"/" if below else b""
        above: _Lists = []
        _add(above, 0, exclude_file(top), None)
        at = b""
        for part in below.split(b"/") if below else ():
            _add(above, len(at), os.path.join(top, at, os.fsencode(GITIGNORE)), None)
            folder = at + part
            if _excludes(above, folder, is_folder=True) or any(
                patterns.excludes_contents(folder[cut:]) for cut, patterns in above
            ):
                # Somebody plays in a folder that their repository ignores: only its own count.
                above = []
                break
            at = folder + b"/"
        self._above = above
        # Those that hold in each folder on the way down; None in one that is ignored itself.
        self._levels: list[_Lists | None] = []

    def enter(self, depth: int, path: bytes, folder: int) -> None:
        """Go into an open folder, so many levels below the first, whose path this is.

        All in it is ignored if the folder is, whatever its patterns say. Raises OSError and
        UsageError.
        """
        del self._levels[depth:]
        above = self._levels[-1] if depth else self._above
        if above is None or (depth and self.names(path, is_folder=True)):
            self._levels.append(None)
            return
        lists = [*above]
        cut = len(self._prefix) + (len(path) + 1 if path else 0)
        _add(lists, cut, GITIGNORE.encode(), folder, os.path.join(path, GITIGNORE.encode()))
        self._levels.append(lists)

    def names(self, path: bytes, *, is_folder: bool) -> bool:
        """Return whether what has this path, in the folder entered last, is ignored."""
        lists = self._levels[-1]
        return lists is None or _excludes(lists, self._prefix + path, is_folder=is_folder)


def given(exclude: Iterable[str], top: bytes) -> Patterns:
    """Return the patterns that a user gave to leave files of the folder `top` out.

    Raises UsageError for one that can name nothing, and says how to write it.
    """
    lines = [os.fsencode(pattern) for pattern in exclude]
    for line in lines:
        shown = printable_name(line)
        bare = line.removeprefix(b"!")
        if not bare.strip() or not bare.strip(b"/"):
            raise UsageError("a pattern to exclude is empty; name files as .gitignore does")
        try:
            Pattern(line)
        except Malformed as error:
            raise UsageError(
                f"{shown} is a pattern that names nothing, with an open [ or a backslash at its "
                "end; put a backslash before a [ that is meant as such"
            ) from error
        parts = bare.split(b"/")
        if b"." in parts or b".." in parts:
            inside = os.path.normpath(bare.lstrip(b"/"))
            outside = inside.split(b"/")[0] in (b".", b"..")
            hint = "a name in the folder" if outside else printable_name(b"/" + inside)
            raise UsageError(f"{shown} has . or .. in it, which no name is; give {hint}")
        first = os.path.join(top, parts[1]) if bare.startswith(b"/") else top
        if bare.startswith(top + b"/") and not os.path.lexists(first):
            hint = printable_name(bare[len(top) :])
            raise UsageError(f"{shown} is read from the folder on, not from /; give {hint}")
    return Patterns(lines)


def _excludes(lists: _Lists, path: bytes, *, is_folder: bool) -> bool:
    for cut, patterns in reversed(lists):
        excluded = patterns.excludes(path[cut:], is_folder=is_folder)
        if excluded is not None:
            return excluded
    return False


def _add(
    lists: _Lists, cut: int, path: bytes, parent: int | None, shown: bytes | None = None
) -> None:
    """Add the patterns of a file, if it has any. Raises OSError and UsageError."""
    try:
        text = read_regular(path, _PATTERN_BYTES, parent=parent)
    except OSError as error:
        if error.errno in (ENOENT, ENOTDIR, EINVAL):
            return
        name = os.fsdecode(path if shown is None else shown)
        if error.errno == EFBIG:
            raise UsageError(
                f"{name} has more than {_PATTERN_BYTES >> 20} MiB; that is no list of patterns"
            ) from error
        raise OSError(error.errno, error.strerror, name) from error
    if text:
        lists.append((cut, Patterns(lines_of(text))))
