"""What an overlay mount takes, whoever mounts it: the engine, or the local guest in a namespace of its own."""

from __future__ import annotations

import re

from harness.engines.spec import Overlay
from harness.inside.errors import EngineError

LEAST_KERNEL = (5, 11)
"""The first that keeps the marks of an overlay where a keeper, which is not privileged, can read them (`userxattr`)."""

PAGE = 4096
"""The kernel takes the options of a mount in one page."""

FLAGS = "userxattr,volatile,index=on"
"""Volatile: nothing is forced to the disk at the end, which would wait for everybody's writes. With an index, which a mounter
without privileges does not get, hard links stay: see `harness.inside.hard_links`.
"""


def overlay_refusal(kernel: str) -> str:
    """Why a kernel of this release cannot mount what a keeper can read; empty when it can."""
    numbers = re.match(r"(\d+)\.(\d+)", kernel)
    if numbers and tuple(map(int, numbers.groups())) >= LEAST_KERNEL:
        return ""
    least = ".".join(map(str, LEAST_KERNEL))
    return f"an overlay that a keeper can read takes Linux {least}, and this is {kernel}; take katas-data-container instead"


def overlay_options(root: str, mount: Overlay) -> str:
    """The options of the mount, for a volume in the folder `root`. Raises EngineError for what the kernel would misread."""
    if re.search(r"[,:\\]", root):
        raise EngineError(
            f"the volume's folder {root} has a comma, colon or backslash in its name: no overlay can be made of it"
        )
    lower = ":".join(f"{root}/{each}" for each in mount.lower)
    options = f"lowerdir={lower},upperdir={root}/{mount.upper},workdir={root}/{mount.work},{FLAGS}"
    if len(options) >= PAGE:
        raise EngineError(f"{len(mount.lower)} layers in {root} are too many for one mount")
    return options
