"""The environments of a run, in one place: what is trusted has one of its own, and an image's reaches the player alone.

A variable can make a program load or start what the player wrote (LD_*, PATH, BASH_ENV, GCONV_PATH), or speak another
language (TAR_OPTIONS, LC_*, POSIXLY_CORRECT), and a container's very first process has the image's variables unless they are
taken away name by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""System folders, which no player can write to."""

HOME = "/tmp"

TRUSTED: Mapping[str, str] = {"PATH": PATH, "LC_ALL": "C"}
"""All that a guest and its tools have."""

DEFAULTS: Mapping[str, str] = {"PATH": PATH, "HOME": HOME, "LANG": "C.UTF-8"}
"""What a player has unless the image says otherwise: the same on each engine."""

BYTECODE = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
"""Python takes bytecode that it kept beside a source for the source's own if the second and the size agree. So it keeps none,
unless the image says where. A prefix in the fresh /tmp would hide the system's own bytecode too, and treble a start.
"""


def players(variables: Iterable[str] = ()) -> dict[str, str]:
    """The player's environment in an image with these variables, each NAME=VALUE."""
    own = dict(_pairs(variables))
    kept = {} if own.keys() & set(BYTECODE) else {BYTECODE[0]: "1"}
    return {**DEFAULTS, **kept, **own}


def trusted(variables: Iterable[str] = ()) -> list[str]:
    """What to ask an engine for, so that a container's first process in such an image has TRUSTED alone: a name without a
    value takes the variable away.
    """
    names = {each.partition("=")[0] for each in variables}
    return [
        *(f"{name}={value}" for name, value in TRUSTED.items()),
        *sorted(names - TRUSTED.keys()),
    ]


def _pairs(variables: Iterable[str]) -> Iterable[tuple[str, str]]:
    for each in variables:
        name, equals, value = each.partition("=")
        if name and equals:  # else no process can have it
            yield name, value
