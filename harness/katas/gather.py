"""Chooses the files of a folder that are sent as visible files."""

from __future__ import annotations

import contextlib
import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from errno import EACCES, ELOOP, ENOENT, ENOTDIR
from pathlib import Path

from harness.inside.descent import Way, enter
from harness.inside.errors import UsageError
from harness.inside.layout import (
    PATH_PARTS,
    STORE,
    is_git_folder,
    is_list_of_modules,
    printable_name,
    split_name,
)
from harness.katas.git_index import GIT, Tracked, top_of_repository
from harness.katas.ignored import GITIGNORE, Ignored, given
from harness.katas.players_folder import PlayersFolder, identity_of

_IGNORED, _EXCLUDED = GITIGNORE, "--exclude"
"""Reasons for leaving a name out: a pattern of .gitignore, or of --exclude."""
BY_PATTERN = (_IGNORED, _EXCLUDED)
"""The reasons that do not depend on what is there: the player still has the file."""
_REPOSITORY, _KATAS = "a repository of its own", "katas of the harness"
"""Reasons for leaving a folder out."""
_REFUSED = "git clones no history with such a name"
"""Reason for leaving out what git takes for something of its own."""
_POINTS_OUT, _SPECIAL = "points out of the tree", "neither file, folder nor symlink"
"""Reasons for leaving out a symlink, or another entry that is not a file or folder."""

_FOLLOWED = 40
"""How many symlinks the kernel follows at most."""

_SHOWN = 3
"""How many names are shown for each reason."""


class Gathering:
    """The entries of one folder: those that are sent, and those that are left out, by reason.

    Whoever owns the folder may swap anything in it for a symlink meanwhile. So the walk goes by
    open folders, and what a symlink leads to is judged by the symlinks that were met.
    """

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
        With `gitignore`, the .gitignore files of the folder apply. Raises OSError, and UsageError
        for a pattern that names nothing, and for a folder that is `/` or holds katas itself.
        """
        self._top = os.fsencode(os.path.realpath(folder))
        self._way = Way(enter(self._top, None))
        try:
            self.folder = PlayersFolder(self._top, identity_of(os.fstat(self._way.here)))
            self._stores = set(_identities(stores))
            if self._top == b"/":
                raise UsageError("/ is the whole machine; give the folder of one project")
            if self.folder.identity in self._stores or self._is_marked("."):
                raise UsageError(
                    f"{folder} is a folder of katas, which would be sent with each press; "
                    "keep the katas elsewhere, or give another folder to play"
                )
            top = top_of_repository(self._top) or self._top
            below = os.path.relpath(self._top, top) if top != self._top else b""
            self._ignored = Ignored(top, below) if gitignore else None
            self._tracked = Tracked()
            if gitignore:
                self._tracked.add(top, below)
            self._excluded = given(exclude, self._top)
        except BaseException:
            self._way.close()
            raise
        self.left_out: dict[str, list[bytes]] = defaultdict(list)
        self.folders: set[bytes] = set()
        self._found: dict[bytes, os.stat_result] = {}
        # Folders in which nothing was found that is sent, but for symlinks.
        self._empty: dict[bytes, os.stat_result] = {}
        # What the symlinks hold, and those of them that are sent unless they lead out.
        self._texts: dict[bytes, bytes] = {}
        self._links: dict[bytes, os.stat_result] = {}

    def entries(self) -> dict[bytes, os.stat_result]:
        """Return the lstat of each file, symlink and empty folder that is sent, by name; once.

        Raises OSError, with the whole path, and UsageError.
        """
        way = self._way
        try:
            self._scan(b"")
            while way.waiting or way.up() is not None:
                if way.waiting:
                    self._enter(way.waiting.pop())
        finally:
            way.close()
        for name, status in self._links.items():
            if self._leads_out(name):
                self.left_out[_POINTS_OUT].append(name)
            else:
                self._found[name] = status
                self._empty.pop(os.path.dirname(name), None)
        return self._found | self._empty

    def _enter(self, last: str) -> None:
        name = os.fsencode("/".join((*self._way.names, last)))
        # Nothing of it could be sent if it were too long.
        split_name(name)
        try:
            below = enter(last, self._way.here)
        except OSError as error:
            if error.errno in (ENOENT, ENOTDIR, ELOOP):
                # The folder was removed meanwhile, or something else is in its place.
                return
            raise self._at(name, error) from error
        self._way.down(last, below)
        self._scan(name)

    def _scan(self, here: bytes) -> None:
        """Take in what is in the folder that the way leads to, whose path this is."""
        folder, prefix, sent = self._way.here, here + b"/" if here else b"", 0
        try:
            with os.scandir(folder) as scan:
                items = sorted(scan, key=lambda item: item.name)
            if self._ignored:
                self._ignored.enter(len(self._way.names), here, folder)
                if here and any(item.name == ".git" for item in items):
                    self._tracked.add(os.path.join(self._top, here), b"", here)
            for item in items:
                name = prefix + os.fsencode(item.name)
                try:
                    status = item.stat(follow_symlinks=False)
                    sent += self._take(name, item.name, status)
                except FileNotFoundError:
                    # The file was removed meanwhile, as editors do with swap files.
                    continue
            if here and not sent:
                self._empty[here] = os.fstat(folder)
        except OSError as error:
            raise self._at(here, error) from error

    def _take(self, name: bytes, last: str, status: os.stat_result) -> bool:
        """Take in an entry of the folder that the way leads to; return whether it is surely sent.

        Raises FileNotFoundError if it is gone, OSError and UsageError.
        """
        if is_folder := stat.S_ISDIR(status.st_mode):
            self.folders.add(name)
        if is_link := stat.S_ISLNK(status.st_mode):
            try:
                self._texts[name] = os.fsencode(os.readlink(last, dir_fd=self._way.here))
            except OSError as error:
                raise FileNotFoundError from error
        why = self._why_not(name, last, status)
        if why is not None:
            if why:
                self.left_out[why].append(name + b"/" if is_folder else name)
            return False
        if is_link:
            self._links[name] = status
            return False
        if is_folder:
            self._way.waiting.append(last)
        else:
            self._found[name] = status
        return True

    def _why_not(self, name: bytes, last: str, status: os.stat_result) -> str | None:
        """Return why an entry is not sent; None if it is. Where a symlink leads, is told later.

        The reason is empty for the folder's own .git, which nobody expects to be sent. Raises
        PermissionError if this process may not read it.
        """
        is_folder, is_link = stat.S_ISDIR(status.st_mode), stat.S_ISLNK(status.st_mode)
        part = os.fsencode(last)
        if is_git_folder(part) or (is_link and is_list_of_modules(part)):
            return "" if name == GIT else _REPOSITORY if part == GIT else _REFUSED
        if self._excluded.excludes(name, is_folder=is_folder):
            return _EXCLUDED
        if is_folder and (identity_of(status) in self._stores or self._is_marked(last)):
            return _KATAS
        if (
            self._ignored
            and self._ignored.names(name, is_folder=is_folder)
            and name not in self._tracked
        ):
            return _IGNORED
        if not (is_folder or is_link or stat.S_ISREG(status.st_mode)):
            return _SPECIAL
        if not is_link and not os.access(last, os.R_OK, dir_fd=self._way.here):
            raise self._at(name, PermissionError(EACCES, os.strerror(EACCES)))
        return None

    def _is_marked(self, last: str) -> bool:
        """Return whether a folder in that of the way holds katas; not more is learned of it."""
        try:
            os.stat(f"{last}/{STORE}", dir_fd=self._way.here, follow_symlinks=False)
        except OSError:
            return False
        return True

    def _leads_out(self, link: bytes) -> bool:
        """Return whether a symlink leads out of the tree, be it on the way back into it."""
        here, followed = link.split(b"/")[:-1], 0
        parts = [os.path.basename(link)]
        while parts:
            part = parts.pop()
            if part == b"..":
                if not here:
                    return True
                here.pop()
            elif part not in (b"", b"."):
                here.append(part)
                text = self._texts.get(b"/".join(here))
                if text is not None:
                    followed += 1
                    here.pop()
                    parts += reversed(text.split(b"/"))
                    if text.startswith(b"/"):
                        return True
                if followed > _FOLLOWED or len(here) > PATH_PARTS:
                    # It leads nowhere.
                    return False
        return False

    def _at(self, name: bytes, error: OSError) -> OSError:
        """Return an error with the whole path, unless it has one."""
        path = error.filename
        if not path or not os.path.isabs(path):
            path = os.fsdecode(os.path.join(self._top, name))
        return OSError(error.errno, error.strerror, path)


def _identities(stores: Iterable[Path]) -> Iterator[tuple[int, int]]:
    for store in stores:
        with contextlib.suppress(OSError):
            yield identity_of(os.stat(store))


def left_out_line(left_out: Mapping[str, Iterable[bytes]]) -> str:
    """Return one line that says what was left out and why; empty if nothing was."""
    parts = []
    for why, names in left_out.items():
        first = [printable_name(name)[1:-1] for name in list(names)[:_SHOWN]]
        more = len(list(names)) - len(first)
        parts.append(", ".join(first) + (f" and {more} more" if more else "") + f" ({why})")
    return f"left out: {'; '.join(parts)}" if parts else ""
