"""A player's folder and its twin, for proofs that compare with bare make in place."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.inside.disk import remove_tree


def write_file_at(path: Path, content: bytes, stamp: int | None) -> None:
    """Write a file with this stamp in nanoseconds, None: now; the script is executable."""
    path.write_bytes(content)
    if path.name == "cyber-dojo.sh":
        path.chmod(0o755)
    if stamp is not None:
        os.utime(path, ns=(stamp, stamp))


@contextmanager
def twin_folders() -> Iterator[tuple[Path, Path]]:
    """Make a folder for the player and one for the twin, and remove both at the end."""
    top = Path(tempfile.mkdtemp(prefix="harness-twins-"))
    try:
        (top / "player").mkdir()
        (top / "twin").mkdir()
        yield top / "player", top / "twin"
    finally:
        remove_tree(top)
