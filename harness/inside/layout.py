"""Where things lie in the katas: katas/XX/YYYYYYYY/AVATAR/sandbox, and which names are let in.

Beside the sandbox an avatar has `.git`, the history of its accepted test events, and `visible.json`, the
names of its visible files; and, as long as the sandbox is what a head start has a copy of, `held`. `incoming`,
`staging` and `accepting.json` exist only while a test event is under way, or after a crash of one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.inside.errors import UsageError

KATA_ID = re.compile(r"[0-9A-Z]{10}")
AVATAR_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
NAME_BYTES = 255
"""The longest name of a file on any Linux file system that matters."""
PATH_BYTES, PATH_PARTS = 3072, 256
"""The longest and the deepest name of a visible file: 1 KiB of Linux's PATH_MAX is left for the folder of the
katas."""

SANDBOX, HISTORY, VISIBLE, INCREMENTS = "sandbox", ".git", "visible.json", "increments.json"
LAYERS, LAYER_LIST = "layers", "layers.json"
STORE = ".harness-katas"
"""Marks a folder that holds katas, so that a tree that it lies in is sent without it."""
INCOMING, STAGING, ACCEPTING, HELD = "incoming", "staging", "accepting.json", "held"


@dataclass(frozen=True, order=True)
class Avatar:
    """One player of one kata; raises UsageError for an id or name that the layout has no place for."""

    kata: str = "0000000000"
    name: str = "lion"

    def __post_init__(self) -> None:
        check_kata(self.kata)
        if not AVATAR_NAME.fullmatch(self.name):
            raise UsageError(
                f"{self.name!r} is no name for an avatar: letters, digits, - and _, at most 64"
            )

    def __str__(self) -> str:
        return f"{self.kata}/{self.name}"


def check_kata(kata: str) -> None:
    """Raise UsageError unless this is a kata's id."""
    if not KATA_ID.fullmatch(kata):
        raise UsageError(f"{kata!r} is no kata id: it must be 10 of 0-9 and A-Z")


def kata_folder(kata: str) -> str:
    """Relative to the katas."""
    return f"{kata[:2]}/{kata[2:]}"


def avatar_folder(avatar: Avatar) -> str:
    """Relative to the katas."""
    return f"{kata_folder(avatar.kata)}/{avatar.name}"


def split_name(name: bytes) -> list[bytes]:
    """The parts of a visible file's name; raises UsageError for one that escapes, or that no Linux has."""
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
            f"{printable_name(name)} is no file name: each part has 1 to {NAME_BYTES} bytes and is not ."
        )
    if len(name) > PATH_BYTES or len(parts) > PATH_PARTS:
        raise UsageError(
            f"the file name {printable_name(name[:60])}... is too long: at most {PATH_BYTES} bytes, {PATH_PARTS} parts"
        )
    return parts


IGNORED_BY_HFS = dict.fromkeys(
    [*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF]
)
"""What Apple's file system overlooks in a name (git's utf8.c, next_hfs_char)."""


def is_git_folder(part: bytes) -> bool:
    """Whether git takes it for its own folder, on any file system: it clones no history with such a name (git-fsck(1),
    hasDotgit).
    """
    text = part.decode(errors="ignore").translate(IGNORED_BY_HFS).lower()
    return text.partition(":")[0].rstrip(" .") in (".git", "git~1")


def printable_name(name: bytes) -> str:
    """For a message, which is one line of proper text whatever the name is made of."""
    return repr(name.decode(errors="backslashreplace"))
