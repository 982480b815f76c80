"""How whole katas are packed for download and export."""

from __future__ import annotations

from pathlib import Path

from harness.inside import removal, tarpipe
from harness.inside.descent import DEEPEST, HOLES, outgrows
from harness.inside.errors import KatasError
from harness.inside.layout import ACCEPTING, HELD, INCOMING, SANDBOX, STAGING

ARCHIVE = (*tarpipe.CREATE, "--mode=ug-s")
"""The tar command for archives that leave the harness.

Any tar can read them, and no set-id bits are kept: a program that a run made must not become root's
when root unpacks it.
"""

_RUNTIME = (INCOMING, STAGING, ACCEPTING, HELD, "*.lock")
"""Names beside a sandbox that matter only during a test event or after a crash."""


def check_archive(kata: str, folder: Path) -> None:
    """Raise KatasError if a tree in this kata's folder cannot be packed. Raises OSError."""
    for name in removal.avatars(str(folder)):
        if what := outgrows(folder / name / SANDBOX, DEEPEST, HOLES):
            raise KatasError(
                f"a run of {kata}/{name} left {what}, which do not fit in an archive; "
                f"remove them, or the avatar with `harness katas remove {kata} {name} --yes`"
            )


def leaving_out(avatars: str) -> tuple[str, ...]:
    """Return tar options that leave out _RUNTIME names directly below these avatar folders.

    Elsewhere the same names may belong to the kata.
    """
    return (
        "--anchored",
        "--no-wildcards-match-slash",
        *(f"--exclude={avatars}/{name}" for name in _RUNTIME),
    )
