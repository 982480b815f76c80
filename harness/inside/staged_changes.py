"""Applies staged changes to a sandbox; each step can be repeated after a crash.

The cost depends on what changed, not on the size of the sandbox. No path is followed beyond the
folders that really exist.
"""

from __future__ import annotations

import os
import stat

from harness.inside import ownership
from harness.inside.changes import Changes
from harness.inside.errors import KatasError
from harness.inside.layout import printable_name, split_name
from harness.inside.sandbox_folders import Folders, remove_entry, sandbox_folders


def check_staged(sandbox: str, staging: str, changes: Changes) -> None:
    """Raise KatasError unless the changes can be carried out.

    Everything that was to be brought back must be staged, no path may leave the sandbox, and no
    entry that changes may have a flag that forbids changing it.
    """
    folder_paths = [folder.path for folder in changes.folders]
    for path in (*changes.gone, *(path for path in folder_paths if path != b".")):
        split_name(path)
    with sandbox_folders(sandbox) as folders:
        for path in (*changes.gone, *changes.brought, *folder_paths):
            _check_flags(folders, path)
    if not changes.brought:
        return
    with sandbox_folders(staging) as staged:
        for path in changes.brought:
            if _kind(staged, split_name(path)) in (0, stat.S_IFDIR):
                raise KatasError(f"{printable_name(path)} was to be brought back, but is missing")


def _check_flags(folders: Folders, path: bytes) -> None:
    """Raise KatasError if the kernel forbids changing this entry although its mode allows it.

    For root, who needs no mode, any refusal counts.
    """
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
    """Make the sandbox what the run left. Raises OSError; the next call then does the rest."""
    with ownership.changing(sandbox, None), sandbox_folders(sandbox) as folders:
        for path in changes.gone:
            *parts, last = path.split(b"/")
            if (folder := folders.find(parts)) is not None:
                remove_entry(folder, last)
        for made in changes.folders:
            if made.path != b".":
                _make(folders, made.path.split(b"/"))
        if changes.brought and os.path.isdir(staging):
            with sandbox_folders(staging) as staged:
                for path in changes.brought:
                    _bring(staged, folders, path.split(b"/"))
        for made in reversed(changes.folders):
            folder = folders.make([] if made.path == b"." else made.path.split(b"/"))
            os.fchmod(folder, made.mode)
            os.utime(folder, ns=(made.mtime_ns, made.mtime_ns))


def _make(folders: Folders, parts: list[bytes]) -> None:
    if _kind(folders, parts) != stat.S_IFDIR:
        *above, last = parts
        folder = folders.make(above)
        remove_entry(folder, last)
        os.mkdir(last, 0o700, dir_fd=folder)


def _bring(staged: Folders, folders: Folders, parts: list[bytes]) -> None:
    *above, last = parts
    if not _kind(staged, parts):
        # It was brought before a crash.
        return
    source, target = staged.find(above), folders.make(above)
    remove_entry(target, last, only_folders=True)
    os.rename(last, last, src_dir_fd=source, dst_dir_fd=target)


def _kind(folders: Folders, parts: list[bytes]) -> int:
    """Return the file type of a path, as in `st_mode`; 0 if nothing is there."""
    *above, last = parts
    if (folder := folders.find(above)) is None:
        return 0
    try:
        return stat.S_IFMT(os.lstat(last, dir_fd=folder).st_mode)
    except FileNotFoundError:
        return 0
