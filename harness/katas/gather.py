"""Chooses the files of a folder that are sent as visible files."""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from errno import EACCES, EFBIG, EINVAL, ENOENT, ENOTDIR
from io import BytesIO
from pathlib import Path

from dulwich.ignore import IgnoreFilter, IgnoreFilterManager, read_ignore_patterns

from harness.inside.errors import UsageError
from harness.inside.layout import STORE, is_git_folder, is_list_of_modules, printable_name
from harness.katas.git_index import GIT, Tracked, read_regular, top_of_repository

_IGNORED, _EXCLUDED = ".gitignore", "--exclude"
"""Reasons for leaving a name out: a pattern of .gitignore, or of --exclude."""
BY_PATTERN = (_IGNORED, _EXCLUDED)
"""The reasons that do not depend on what is there: the player still has the file."""
_REPOSITORY, _KATAS = "a repository of its own", "katas of the harness"
"""Reasons for leaving a folder out."""
_REFUSED = "git clones no history with such a name"
"""Reason for leaving out what git takes for something of its own."""
_POINTS_OUT, _SPECIAL = "points out of the tree", "neither file, folder nor symlink"
"""Reasons for leaving out a symlink, or another entry that is not a file or folder."""

_STAR = b"[^/]*"
"""What dulwich makes of a `*`."""

_MANY = 4
"""So many `**/` may a pattern have: each multiplies the time that a deep path takes."""

_PATTERN_BYTES = 16 << 20
"""Bytes of a .gitignore at most."""

_SHOWN = 3
"""How many names are shown for each reason."""


class _Ignored(IgnoreFilterManager):
    """What the .gitignore of each folder names, from the top of the git repository down.

    A folder or a named pipe called .gitignore is skipped; reading a pipe would block.
    """

    def __init__(self, top: bytes, below: bytes) -> None:
        """Read the .gitignore files from `top` down.

        `below` is the path from there to the folder that is sent; empty if they are the same.
        """
        super().__init__(os.fsdecode(top), [], ignorecase=False)
        self._prefix = os.fsdecode(below + b"/") if below else ""
        if self._prefix and super().is_ignored(self._prefix):
            # Somebody plays in a folder that their repository ignores: only its own files count.
            super().__init__(
                os.path.join(os.fsdecode(top), os.fsdecode(below)), [], ignorecase=False
            )
            self._prefix = ""

    def names(self, path: str) -> bool:
        """Return whether this path, below the folder that is sent, is ignored."""
        return bool(self.is_ignored(self._prefix + path))

    def _load_path(self, path: str) -> IgnoreFilter | None:
        """Read one .gitignore, without the byte order mark that some editors begin it with."""
        if path in self._path_filters:
            return self._path_filters[path]
        text = _text_of(os.path.join(self._top_path, path, _IGNORED))
        lines = BytesIO(text.removeprefix(codecs.BOM_UTF8))
        patterns = in_linear_time(IgnoreFilter(read_ignore_patterns(lines))) if text else None
        self._path_filters[path] = patterns
        return patterns


def in_linear_time(patterns: IgnoreFilter) -> IgnoreFilter:
    """Have each pattern tried in a time that grows with the name's length, not with a power of it.

    A `*` that another one follows in the same part of the path takes the shortest match of what
    stands between the two, and no other is tried: any later one leaves less for the rest. Python's
    own fnmatch does the same. Raises UsageError for a pattern with many `**/`.
    """
    for pattern in patterns._patterns:
        if pattern.pattern.count(b"**/") > _MANY:
            name = printable_name(pattern.pattern)
            raise UsageError(f"{name} is a pattern that takes too long to try; simplify it")
        pattern._re = re.compile(_atomic(pattern._re.pattern))
        pattern._name_re = re.compile(_atomic(pattern._name_re.pattern))
    return patterns


def _atomic(expression: bytes) -> bytes:
    """Make each `[^/]*` of dulwich's expressions atomic, with what follows it up to the next."""
    first, *rest = expression.split(_STAR)
    parts = [first]
    for place, fixed in enumerate(rest):
        if place == len(rest) - 1 or b"/" in fixed:
            parts.append(_STAR + fixed)
        elif fixed:  # two stars side by side are one
            parts.append(b"(?>[^/]*?%b)" % fixed)
    return b"".join(parts)


def _text_of(path: str) -> bytes:
    """Return what a file holds; nothing for a symlink, as git does, and for what holds no text."""
    try:
        return read_regular(path, _PATTERN_BYTES)
    except OSError as error:
        if error.errno in (ENOENT, ENOTDIR, EINVAL):
            return b""
        if error.errno == EFBIG:
            raise UsageError(
                f"{path} has more than {_PATTERN_BYTES >> 20} MiB; that is no list of patterns"
            ) from error
        raise


class Gathering:
    """The entries of one folder: those that are sent, and those that are left out, by reason."""

    def __init__(
        self,
        folder: Path,
        exclude: Iterable[str] = (),
        stores: Iterable[Path] = (),
        *,
        gitignore: bool = True,
    ) -> None:
        """Prepare to gather this folder.

        `exclude` holds patterns in the syntax of .gitignore, and `stores` folders that hold katas.
        With `gitignore`, the .gitignore files of the folder apply. Raises UsageError for an empty
        pattern, and for a folder that is `/` or holds katas itself.
        """
        self._folder = os.fsencode(folder)
        self._top = os.path.realpath(self._folder)
        self._stores = {os.fsencode(os.path.realpath(store)) for store in stores}
        if self._top == b"/":
            raise UsageError("/ is the whole machine; give the folder of one project")
        if self._holds_katas(self._top):
            raise UsageError(
                f"{folder} is a folder of katas, which would be sent with each press; "
                "keep the katas elsewhere, or give another folder to play"
            )
        top = top_of_repository(self._top) or self._top
        below = os.path.relpath(self._top, top) if top != self._top else b""
        self._ignored = _Ignored(top, below) if gitignore else None
        self._tracked = Tracked()
        if gitignore:
            self._tracked.add(top, below)
        patterns = [pattern for pattern in exclude if pattern.strip()]
        if len(patterns) != len([*exclude]):
            raise UsageError("a pattern to exclude is empty; name files as .gitignore does")
        self._excluded = in_linear_time(
            IgnoreFilter([os.fsencode(pattern) for pattern in patterns])
        )
        self.left_out: dict[str, list[bytes]] = defaultdict(list)
        self.folders: set[bytes] = set()

    def entries(self) -> Iterator[tuple[bytes, os.stat_result]]:
        """Yield name and lstat of each file, symlink and empty folder that is sent.

        Raises OSError and UsageError.
        """
        waiting = [b""]
        while waiting:
            here = waiting.pop()
            sent = 0
            try:
                with os.scandir(os.path.join(self._folder, here)) as scan:
                    items = sorted(scan, key=lambda item: item.name)
            except FileNotFoundError:
                # The folder was removed meanwhile.
                continue
            if here and self._ignored and any(item.name == GIT for item in items):
                self._tracked.add(os.path.join(self._top, here), b"", here)
            for item in items:
                name = os.path.join(here, item.name)
                try:
                    status = item.stat(follow_symlinks=False)
                except FileNotFoundError:
                    # The file was removed meanwhile, as editors do with swap files.
                    continue
                if stat.S_ISDIR(status.st_mode):
                    self.folders.add(name)
                why = self._why_not(name, item.path, status)
                if why is not None:
                    if why:
                        self.left_out[why].append(
                            name + (b"/" if stat.S_ISDIR(status.st_mode) else b"")
                        )
                    continue
                sent += 1
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(name)
                else:
                    yield name, status
            if here and not sent:
                yield here, os.lstat(os.path.join(self._folder, here))

    def _why_not(self, name: bytes, path: bytes, status: os.stat_result) -> str | None:
        """Return why an entry is not sent; None if it is sent.

        The reason is empty for the folder's own .git, which nobody expects to be sent.
        """
        is_folder = stat.S_ISDIR(status.st_mode)
        last = os.path.basename(name)
        if is_git_folder(last):
            return "" if name == GIT else _REPOSITORY if last == GIT else _REFUSED
        if is_list_of_modules(last) and stat.S_ISLNK(status.st_mode):
            return _REFUSED
        text = os.fsdecode(name) + ("/" if is_folder else "")
        if self._excluded.is_ignored(text):
            return _EXCLUDED
        if is_folder and self._holds_katas(path):
            return _KATAS
        if self._ignored and self._ignored.names(text) and name not in self._tracked:
            return _IGNORED
        return self._problem(path, status.st_mode)

    def _holds_katas(self, folder: bytes) -> bool:
        marked = os.path.lexists(os.path.join(folder, os.fsencode(STORE)))
        return marked or os.path.realpath(folder) in self._stores

    def _problem(self, path: bytes, mode: int) -> str | None:
        """Return why an entry cannot be sent; None if it can.

        Raises PermissionError if this process may not read it.
        """
        if stat.S_ISLNK(mode):
            return None if self._stays_inside(path) else _POINTS_OUT
        if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
            return _SPECIAL
        if not os.access(path, os.R_OK):
            raise PermissionError(EACCES, os.strerror(EACCES), path)
        return None

    def _stays_inside(self, link: bytes) -> bool:
        if os.readlink(link).startswith(b"/"):
            return False
        target = os.path.realpath(link)
        return target == self._top or target.startswith(self._top + b"/")


def left_out_line(left_out: Mapping[str, Iterable[bytes]]) -> str:
    """Return one line that says what was left out and why; empty if nothing was."""
    parts = []
    for why, names in left_out.items():
        first = [printable_name(name)[1:-1] for name in list(names)[:_SHOWN]]
        more = len(list(names)) - len(first)
        parts.append(", ".join(first) + (f" and {more} more" if more else "") + f" ({why})")
    return f"left out: {'; '.join(parts)}" if parts else ""
