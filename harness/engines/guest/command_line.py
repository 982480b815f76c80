"""The command line of a guest: `guest.sh` with its arguments."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from importlib import resources

from harness.engines.guest.caches import Caches
from harness.engines.spec import Limits
from harness.inside.tarpipe import PACK, UNPACK

GUEST = resources.files("harness.engines.guest").joinpath("guest.sh").read_text(encoding="utf-8")
"""The shell script at the other end of the stream."""


def guest_arguments(
    *,
    sandbox: str,
    private: str,
    shown: str,
    limits: Limits,
    sweep: str,
    swept: str,
    usage: str,
    caches: Caches,
    unpack_as: Sequence[str],
    environment: Mapping[str, str],
    player: Sequence[str],
) -> list[str]:
    """Return the command line that serves a sandbox; guest.sh says what each argument means.

    Start it with the variables `environment.TRUSTED` alone; `environment` here is the player's.
    """
    output_bytes = str(limits.output + 1)  # one more than is kept shows that it was truncated
    return [
        "/bin/sh",
        "-c",
        GUEST,
        "guest",
        sandbox,
        private,
        shown,
        output_bytes,
        sweep,
        swept,
        usage,
        caches.look,
        caches.file,
        " ".join([*unpack_as, *UNPACK]),
        " ".join(PACK),
        shlex.join(f"{name}={value}" for name, value in environment.items()),
        environment.get("PATH", ""),
        *player,
    ]
