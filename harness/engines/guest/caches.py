"""Caches that a run leaves in its HOME: the next run, which has a fresh one, does not see them, and its owner is told."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from harness.engines.guest.environment import HOME

_NAMES = (
    *(
        ".cache",
        ".bundle",
        ".cabal",
        ".cargo",
        ".ccache",
        ".dotnet",
        ".gem",
        ".gradle",
        ".ivy2",
        ".julia",
        ".konan",
    ),
    *(".m2", ".npm", ".nuget", ".opam", ".pnpm-store", ".rustup", ".sbt", ".stack", ".yarn", "go"),
)
"""Where compilers and package managers keep things for the next time, unless they are told otherwise."""

TOLD, MOST = "told", 4096
"""The file, and how much of it is read, in bytes: where the guest is of the player's uid, a run may write to it."""

NOT_RUN = "the command was not run, since bubblewrap could not set up its isolation; the standard error says why"
"""The reason that a guest gives: the status is bubblewrap's own, and says nothing of the player's files."""


@dataclass(frozen=True)
class Caches:
    """How a guest finds them: shell words without any process, since every test event pays for them."""

    look: str = ":"  # sets $caches, to names that each end in a comma, and $reason where it finds that nothing was run
    told: str = "/dev/null"  # the file that the player's prefix tells them to, by descriptor 4

    @classmethod
    def seen(cls, environment: Mapping[str, str]) -> Caches:
        """By a guest that sees the player's /tmp, which is fresh and empty when the run begins."""
        return cls(_look(environment.get("HOME", "")))

    @classmethod
    def passed_on(cls) -> Caches:
        """By a guest that does not, and reads what TELL wrote. Where that is nothing and nobody was killed, no command ran."""
        untold = f'[ -n "$reason" ] || [ $status -gt 128 ] || reason={shlex.quote(NOT_RUN)}'
        told = f'caches=$(head -c {MOST} {TOLD}) && [ -s {TOLD} ] || {untold}; caches=${{caches%%"\n"*}}'
        return cls(told, TOLD)


def _look(home: str) -> str:
    if not f"{posixpath.normpath(home)}/".startswith(f"{HOME}/"):
        return ":"  # in the sandbox, and lasts, or in the image, and cannot be written to
    quoted = shlex.quote(home)
    return (
        f"for each in {' '.join(_NAMES)}; do [ ! -d {quoted}/$each ] || caches=$caches$each,; done"
    )


TELL = f'caches=; {_look(HOME)}; {{ echo "$caches" >&4; }} 2>/dev/null'
"""Shell words for the end of a run, where HOME is seen."""


def named(answer: bytes) -> tuple[str, ...]:
    """What was found, from the guest's answer; a player may have had a hand in it."""
    found = answer.decode(errors="replace").split(",")
    return tuple(each for each in _NAMES if each in found)


def cache_remarks(caches: tuple[str, ...]) -> tuple[str, ...]:
    """What to tell whoever ran it: a line, or none."""
    if not caches:
        return ()
    return (
        f"the run kept {', '.join(caches)} in its HOME, which the next run does not see; a cache that is to last belongs in the "
        "sandbox: in cyber-dojo.sh say `export HOME=$PWD/.home`, or set the tool's own CCACHE_DIR, CARGO_HOME, GOCACHE ...",
    )
