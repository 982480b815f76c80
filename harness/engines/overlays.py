"""The options of an overlay mount, and the kernel that it needs, for all engines."""

from __future__ import annotations

import re

from harness.engines.spec import Overlay
from harness.inside.errors import EngineError

LEAST_KERNEL = (5, 11)
"""The first Linux with `userxattr`, which stores an overlay's marks where an unprivileged keeper
can read them.
"""

PAGE = 4096
"""Bytes of a page: the kernel takes the options of a mount in one."""

FLAGS = "userxattr,volatile,index=on"
"""`volatile`: unmounting does not sync the disk, which would wait for all writes on it. `index=on`:
hard links stay linked; an unprivileged mounter does not get it, see `harness.inside.hard_links`.
"""


def overlay_refusal(kernel: str) -> str:
    """Say why this kernel release cannot mount an overlay that a keeper can read. Empty: it can."""
    numbers = re.match(r"(\d+)\.(\d+)", kernel)
    if numbers and tuple(map(int, numbers.groups())) >= LEAST_KERNEL:
        return ""
    least = ".".join(map(str, LEAST_KERNEL))
    return (
        f"an overlay that a keeper can read needs Linux {least}, and this is {kernel}; "
        "take katas-data-container instead"
    )


def overlay_options(root: str, mount: Overlay) -> str:
    """Return the mount options, for a volume in the folder `root`.

    Raises EngineError if the kernel would misread them.
    """
    if re.search(r"[,:\\]", root):
        raise EngineError(
            f"the volume's folder {root} has a comma, colon or backslash in its name; "
            "overlay mounts cannot take it"
        )
    lower = ":".join(f"{root}/{layer}" for layer in mount.lower)
    options = f"lowerdir={lower},upperdir={root}/{mount.upper},workdir={root}/{mount.work},{FLAGS}"
    if len(options) >= PAGE:
        raise EngineError(f"{len(mount.lower)} layers in {root} are too many for one mount")
    return options
