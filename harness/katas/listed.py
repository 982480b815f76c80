"""The list of an avatar's layers: beside the sandbox, which is the lowest, it has `layers/`, a folder for each layer, and
`layers.json`, which lists them. What that does not list is thrown away.

Runs in the keeper too: standard library only.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.disk import exchange, remove_tree
from harness.katas import journal, sent
from harness.katas.layers import Layers
from harness.katas.layout import LAYERS, LISTED, SANDBOX, STAGING, VISIBLE
from harness.katas.sent import Record


@dataclass(frozen=True)
class Listed:
    """What layers.json holds."""

    layers: tuple[tuple[int, int], ...] = ()  # number and count of entries, the topmost first
    next: int = 1  # the number of the next layer
    newest: int = 0  # no stamp in the tree is later, in nanoseconds
    sent: Record = field(default_factory=dict)  # what the player sent last
    linked: tuple[bytes, ...] = ()  # regular files that have several names

    @classmethod
    def read(cls, avatar: Path) -> Listed | None:
        """Raises OSError, and ValueError for a damaged file; None where there is none."""
        try:
            data = json.loads((avatar / LISTED).read_bytes())
        except FileNotFoundError:
            return None
        return cls(
            layers=tuple((number, count) for number, count in data["layers"]),
            next=data["next"],
            newest=data["newest"],
            sent=sent.unpack(data["sent"]),
            linked=tuple(os.fsencode(each) for each in data["linked"]),
        )

    def pack(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "layers": self.layers,
            "next": self.next,
            "newest": self.newest,
            "sent": sent.pack(self.sent),
            "linked": [os.fsdecode(each) for each in self.linked],
        }


def settle(avatar: Path) -> None:
    """Fold all layers of an avatar, whose lock the caller has, into its sandbox. Raises OSError and ValueError."""
    listed = Listed.read(avatar)
    if listed is None:
        return
    if listed.layers:
        staging = str(avatar / STAGING)
        remove_tree(staging)
        layers_of(avatar, listed).fold(staging, marks=False)
        # Layers over a tree that has them in it already show the same tree: a crash in between does no harm.
        exchange(str(avatar / SANDBOX), staging)
    journal.write(str(avatar / VISIBLE), sent.encode(listed.sent))
    (avatar / LISTED).unlink()
    remove_tree(avatar / STAGING)
    remove_tree(avatar / LAYERS)


def layers_of(avatar: Path, listed: Listed) -> Layers:
    """The tree of an avatar: its layers over its sandbox."""
    return Layers(
        [*(str(avatar / LAYERS / str(number)) for number, _ in listed.layers), str(avatar / SANDBOX)]
    )
