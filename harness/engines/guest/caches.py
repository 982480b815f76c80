"""Find the caches that a run leaves in its HOME, and warn that the next run has a fresh HOME."""

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
"""The default cache folders of compilers and package managers."""

CACHES_FILE, MOST = "caches", 4096
"""The file that `tell` writes to, and how many bytes of it are read. If the guest has the player's
uid, a run may write to it.
"""

NOT_RUN = (
    "the command was not run, because bubblewrap could not set up its isolation; "
    "the standard error says why"
)
"""The guest's reason if bubblewrap failed: the exit status is bubblewrap's, not the command's."""


@dataclass(frozen=True)
class Caches:
    """How a guest finds the caches: by shell builtins, because each test event pays for them."""

    look: str = ":"
    """Shell words that set $caches to the names, a comma after each, and $reason if nothing ran."""

    file: str = "/dev/null"
    """The file that descriptor 4 of the player's prefix writes the names to."""

    @classmethod
    def seen(cls, environment: Mapping[str, str]) -> Caches:
        """For a guest that sees the player's /tmp, which is empty when the run begins."""
        return cls(_look(environment.get("HOME", "")))

    @classmethod
    def passed_on(cls) -> Caches:
        """For a guest that does not see it, and reads what `tell` has it told.

        If nothing was told, and no signal ended the player, no command ran.
        """
        no_answer = f'[ -n "$reason" ] || [ $status -gt 128 ] || reason={shlex.quote(NOT_RUN)}'
        answer = f"caches=$(head -c {MOST} {CACHES_FILE}) && [ -s {CACHES_FILE} ]"
        return cls(f'{answer} || {no_answer}; caches=${{caches%%"\n"*}}', CACHES_FILE)


def _look(home: str) -> str:
    if not f"{posixpath.normpath(home)}/".startswith(f"{HOME}/"):
        return ":"  # HOME is in the sandbox, which is kept, or in the image, which is read-only
    quoted = shlex.quote(home)
    names = " ".join(_NAMES)
    return f"for name in {names}; do [ ! -d {quoted}/$name ] || caches=$caches$name,; done"


def tell(environment: Mapping[str, str]) -> str:
    """Return shell words that write the names to descriptor 4 at the end of a run.

    They need a shell that sees the player's HOME, which `environment` names.
    """
    look = _look(environment.get("HOME", ""))
    return f'caches=; {look}; {{ echo "$caches" >&4; }} 2>/dev/null'


def parse_caches(answer: bytes) -> tuple[str, ...]:
    """Parse the names in the guest's answer, which the player may have forged."""
    names = answer.decode(errors="replace").split(",")
    return tuple(name for name in _NAMES if name in names)


def cache_remarks(caches: tuple[str, ...]) -> tuple[str, ...]:
    """Return a remark on the caches for the user, or nothing."""
    if not caches:
        return ()
    return (
        f"the run kept {', '.join(caches)} in its HOME, which the next run does not see; keep "
        "caches in the sandbox: in cyber-dojo.sh say `export HOME=$PWD/.home`, or set the tool's "
        "own CCACHE_DIR, CARGO_HOME, GOCACHE ...",
    )
