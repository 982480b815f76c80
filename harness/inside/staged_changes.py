"""Carrying out changes to a sandbox that were decided: each step can be repeated, so that whoever comes after a crash does
it all again. What it costs follows what changed, not the size of the sandbox.

No path is followed further than the folders that are really there.
"""

from __future__ import annotations

import os
import stat

from harness.inside.changes import Changes
from harness.inside.errors import KatasError
from harness.inside.layout import printable_name, split_name
from harness.inside.saving import Folders, remove_entry, sandbox_folders


def check_staged(sandbox: str, staging: str, changes: Changes) -> None:
    """Raise KatasError unless all that was to be brought has been, under names that stay in the sandbox, and nothing there
    has a flag that forbids to change it.
    """
    for path in (*changes.gone, *(each.path for each in changes.folders if each.path != b".")):
        split_name(path)
    with sandbox_folders(sandbox) as folders:
        for path in (*changes.gone, *changes.brought, *(each.path for each in changes.folders)):
            _check_flags(folders, path)
    if not changes.brought:
        return
    with sandbox_folders(staging) as staged:
        for path in changes.brought:
            if _kind(staged, split_name(path)) in (0, stat.S_IFDIR):
                raise KatasError(f"{printable_name(path)} was to be brought back, and was not")


def _check_flags(folders: Folders, path: bytes) -> None:
    """Only what the kernel refuses to root, or to an owner whom the mode permits it, is meant to stay as it is."""
    *above, last = path.split(b"/")
    if (folder := folders.find(above)) is None:
        return
    try:
        mode = os.lstat(last, dir_fd=folder).st_mode
    except FileNotFoundError:
        return
    if os.access(last, os.W_OK, dir_fd=folder, follow_symlinks=False):
        return
    if os.geteuid() == 0 or mode & stat.S_IWUSR:
        raise KatasError(
            f"{printable_name(path)} in the sandbox cannot be changed, whatever its mode; "
            "see lsattr(1) and the options of its mount"
        )


def carry_out(sandbox: str, staging: str, changes: Changes) -> None:
    """Make the sandbox what the run left. Raises OSError; what is not done yet is done by the next call."""
    with sandbox_folders(sandbox) as folders:
        for path in changes.gone:
            *parts, last = path.split(b"/")
            if (folder := folders.find(parts)) is not None:
                remove_entry(folder, last)
        for each in changes.folders:
            if each.path != b".":
                _make(folders, each.path.split(b"/"))
        if changes.brought and os.path.isdir(staging):
            with sandbox_folders(staging) as staged:
                for path in changes.brought:
                    _bring(staged, folders, path.split(b"/"))
        for each in reversed(changes.folders):
            folder = folders.make([] if each.path == b"." else each.path.split(b"/"))
            os.fchmod(folder, each.mode)
            os.utime(folder, ns=(each.mtime_ns, each.mtime_ns))


def _make(folders: Folders, parts: list[bytes]) -> None:
    if _kind(folders, parts) != stat.S_IFDIR:
        *above, last = parts
        folder = folders.make(above)
        remove_entry(folder, last)
        os.mkdir(last, 0o700, dir_fd=folder)


def _bring(staged: Folders, folders: Folders, parts: list[bytes]) -> None:
    *above, last = parts
    if not _kind(staged, parts):
        return  # it was brought before a crash
    source, target = staged.find(above), folders.make(above)
    remove_entry(target, last, only_folders=True)
    os.rename(last, last, src_dir_fd=source, dst_dir_fd=target)


def _kind(folders: Folders, parts: list[bytes]) -> int:
    """The type of what is there, as stat has it; 0 where there is nothing."""
    *above, last = parts
    if (folder := folders.find(above)) is None:
        return 0
    try:
        return stat.S_IFMT(os.lstat(last, dir_fd=folder).st_mode)
    except FileNotFoundError:
        return 0
