"""Archives of katas for others to unpack."""

from __future__ import annotations

from pathlib import Path

from harness.inside import removal, tarpipe
from harness.inside.descent import DEEPEST, HOLES, outgrows
from harness.inside.errors import KatasError
from harness.inside.layout import ACCEPTING, HELD, INCOMING, SANDBOX, STAGING

ARCHIVE = (*tarpipe.CREATE, "--mode=ug-s")
"""A tar for somebody else: any can read it, and who unpacks it as root makes no program that runs as root."""

RUNTIME = (INCOMING, STAGING, ACCEPTING, HELD, "*.lock")
"""What is beside a sandbox only while a test event is under way or prepared, or after a crash of one."""


def check_archive(kata: str, folder: Path) -> None:
    """Raise KatasError, or OSError, where an avatar of the kata in this folder has a tree that cannot be packed."""
    for name in removal.avatars(str(folder)):
        if what := outgrows(folder / name / SANDBOX, DEEPEST, HOLES):
            raise KatasError(
                f"a run of {kata}/{name} left {what}, which fit in no archive; "
                f"remove them, or the avatar by `harness katas remove {kata} {name} --yes`"
            )


def leaving_out(avatars: str) -> tuple[str, ...]:
    """Options of a tar that packs katas: only beside a sandbox do these names mean something that is not the kata's."""
    return (
        "--anchored",
        "--no-wildcards-match-slash",
        *(f"--exclude={avatars}/{name}" for name in RUNTIME),
    )
