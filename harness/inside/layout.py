"""Where everything is in the katas, `XX/YYYYYYYY/AVATAR/sandbox`, and which names are allowed.

XX and YYYYYYYY are the two parts of the kata's id. Beside the sandbox an avatar has:

- `.git`, the history of its accepted test events;
- `visible.json`, the record of what the player sent last;
- `layers` and `layers.json`, if its runs write into layers;
- `held`, while a head start has a copy of the sandbox;
- `incoming`, `staging` and `accepting.json`, only during a test event or after a crash.

The kata's folder has `increments.json`, the list of its accepted test events.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.inside.errors import UsageError

KATA_ID = re.compile(r"[0-9A-Z]{10}")
AVATAR_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
NAME_BYTES = 255
"""The longest name of a file that common Linux file systems allow."""
PATH_BYTES, PATH_PARTS = 3072, 256
"""The longest path of a visible file, in bytes and in parts.

It leaves 1 KiB of Linux's PATH_MAX for the folder of the katas.
"""

SANDBOX, HISTORY, VISIBLE, INCREMENTS = "sandbox", ".git", "visible.json", "increments.json"
LAYERS, LAYER_LIST = "layers", "layers.json"
STORE = ".harness-katas"
"""Marks a folder that holds katas, so that a tree around it is sent without it."""
INCOMING, STAGING, ACCEPTING, HELD = "incoming", "staging", "accepting.json", "held"


@dataclass(frozen=True, order=True)
class Avatar:
    """One player of one kata. Raises UsageError for an id or name that is not allowed."""

    kata: str = "0000000000"
    """Ten of 0-9 and A-Z."""
    name: str = "lion"
    """Up to 64 letters, digits, `-` and `_`; begins with a letter or digit."""

    def __post_init__(self) -> None:
        check_kata(self.kata)
        if not AVATAR_NAME.fullmatch(self.name):
            raise UsageError(
                f"{self.name!r} is not an avatar's name: use up to 64 letters, digits, - and _"
            )

    def __str__(self) -> str:
        return f"{self.kata}/{self.name}"


def check_kata(kata: str) -> None:
    """Raise UsageError unless this is a kata's id."""
    if not KATA_ID.fullmatch(kata):
        raise UsageError(f"{kata!r} is not a kata id: it must be 10 of 0-9 and A-Z")


def kata_folder(kata: str) -> str:
    """Return the kata's folder, relative to the katas."""
    return f"{kata[:2]}/{kata[2:]}"


def avatar_folder(avatar: Avatar) -> str:
    """Return the avatar's folder, relative to the katas."""
    return f"{kata_folder(avatar.kata)}/{avatar.name}"


def split_name(name: bytes) -> list[bytes]:
    """Split the name of a visible file into its parts.

    Raises UsageError for a name that escapes the sandbox, or that Linux does not allow.
    """
    parts = name.split(b"/")
    if name.startswith(b"/") or b".." in parts:
        raise UsageError(
            f"the file name {printable_name(name)} escapes its sandbox; names are relative to it"
        )
    if (
        b"" in parts
        or b"." in parts
        or b"\0" in name
        or any(len(part) > NAME_BYTES for part in parts)
    ):
        raise UsageError(
            f"{printable_name(name)} is not a file name: "
            f"each part has 1 to {NAME_BYTES} bytes and is not ."
        )
    if len(name) > PATH_BYTES or len(parts) > PATH_PARTS:
        raise UsageError(
            f"the file name {printable_name(name[:60])}... is too long: "
            f"at most {PATH_BYTES} bytes, {PATH_PARTS} parts"
        )
    return parts


_IGNORED_BY_HFS = dict.fromkeys(
    [*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF]
)
"""Characters that Apple's file system ignores in a name (git's utf8.c, next_hfs_char)."""

_SHORT = "|".join("gi7eba"[:kept] + f"~[1-9][0-9]{{{6 - kept}}}" for kept in range(7))
_MODULES = re.compile(rf"(?:\.gitmodules|gitmod~[1-4]|{_SHORT})[ .]*(?::.*)?", re.DOTALL)
"""`.gitmodules`, also by the short names that Windows makes of it."""


def is_git_folder(part: bytes) -> bool:
    """Return whether git takes this, or what follows a backslash in it, for its own folder.

    It does so on some file system, and does not clone a history with such a name (git-fsck(1),
    hasDotgit).
    """
    return any(
        piece.partition(":")[0].rstrip(" .") in (".git", "git~1") for piece in _as_elsewhere(part)
    )


def is_list_of_modules(part: bytes) -> bool:
    """Return whether git takes this for `.gitmodules` on some file system.

    Git does not clone a history in which that is a symlink (git-fsck(1), gitmodulesSymlink).
    """
    pieces = _as_elsewhere(part)
    return any(_MODULES.fullmatch("\\".join(pieces[at:])) for at in range(len(pieces)))


def _as_elsewhere(part: bytes) -> list[str]:
    """Return what a name means where some characters do not count and a backslash is a slash."""
    return part.decode(errors="ignore").translate(_IGNORED_BY_HFS).lower().split("\\")


def printable_name(name: bytes) -> str:
    """Return the name for a message: one line of valid text, whatever the name contains."""
    return repr(name.decode(errors="backslashreplace"))
