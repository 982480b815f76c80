"""The environments of a run: one for trusted programs, and the image's, which only the player gets.

A variable can make a program load or start what the player wrote (LD_*, PATH, BASH_ENV,
GCONV_PATH), or change its output (TAR_OPTIONS, LC_*, POSIXLY_CORRECT). The first process of a
container has the image's variables, unless each is removed by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""System folders, which a player cannot write to."""

HOME = "/tmp"
"""A player's HOME, fresh in each run."""

TRUSTED: Mapping[str, str] = {"PATH": PATH, "LC_ALL": "C"}
"""The only variables of a guest and its tools."""

DEFAULTS: Mapping[str, str] = {"PATH": PATH, "HOME": HOME, "LANG": "C.UTF-8"}
"""A player's variables on every engine, unless the image sets them."""

BYTECODE = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
"""Variables for where Python keeps bytecode. If the image sets neither, Python keeps none.

Python takes bytecode as current if the second and the size of the source agree, and so would miss
an edit. A prefix in the fresh /tmp would also hide the system's bytecode, and treble its start.
"""


def players(variables: Iterable[str] = ()) -> dict[str, str]:
    """Return the player's environment in an image with these variables, each NAME=VALUE."""
    own = dict(_pairs(variables))
    kept = {} if own.keys() & set(BYTECODE) else {BYTECODE[0]: "1"}
    return {**DEFAULTS, **kept, **own}


def trusted(variables: Iterable[str] = ()) -> list[str]:
    """Return what to ask an engine for, so that a container's first process has only TRUSTED.

    `variables` are the image's; a name without a value removes one.
    """
    names = {variable.partition("=")[0] for variable in variables}
    return [
        *(f"{name}={value}" for name, value in TRUSTED.items()),
        *sorted(names - TRUSTED.keys()),
    ]


def _pairs(variables: Iterable[str]) -> Iterable[tuple[str, str]]:
    for variable in variables:
        name, equals, value = variable.partition("=")
        if name and equals:  # otherwise no process can have it
            yield name, value
