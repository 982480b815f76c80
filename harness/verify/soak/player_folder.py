"""A player's own folder, with stamps in every order, an empty folder, and ignored files."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random

from harness.inside.disk import remove_tree
from harness.verify.soak.presses import SOURCES
from harness.verify.soak.script import PRODUCT
from harness.verify.testing.sessions import Model, Node

_SECOND = 10**9

_AGES = (-3600 * _SECOND, -_SECOND, -2, -1, 0, 2 * _SECOND, 3600 * _SECOND)
"""Stamps of files, in nanoseconds from now; some are ahead of the clock."""

IGNORED = ("ignored.o", "nested/.git/HEAD")


class PlayerFolder:
    """A player's folder. It is written anew before each press, so unedited files get new stamps."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="harness-soak-"))
        self.stamps: Mapping[bytes, int] = {}

    def begin(self) -> dict[bytes, Node]:
        """Return the visible files that every player's folder has."""
        return {
            b".gitignore": Node("f", b"ignored.*\n"),
            b"nested/file": Node("f", b"1\n"),
            b"empty/in": Node("d"),
        }

    def write(self, model: Model, random: Random) -> None:
        remove_tree(self.path)
        self.path.mkdir(mode=0o755)
        for name in IGNORED:
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_text("not to be sent\n")
        now = time.time_ns()
        stamps: dict[bytes, int] = {}
        root = os.fsencode(self.path)
        for path, node in model.visible.items():
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            if node.kind == "d":
                os.makedirs(full)
                continue
            if node.kind == "l":
                os.symlink(node.content, full)
            else:
                with open(full, "wb") as file:
                    file.write(node.content)
                os.chmod(full, 0o755 if node.program else 0o644)
            stamps[path] = now + random.choice(_AGES)
            os.utime(full, ns=(stamps[path], stamps[path]), follow_symlinks=False)
        self.stamps = stamps

    def close(self) -> None:
        remove_tree(self.path)


def must_build(stamps: Mapping[bytes, int]) -> bool:
    """Whether make in place would build the product, given these stamps."""
    return any(stamps[source] > stamps[PRODUCT] for source in SOURCES)
