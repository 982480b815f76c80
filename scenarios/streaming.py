"""Measures an engine's streams alone: the floor of every pipe between two of its containers."""

from __future__ import annotations

import io
import time
import zipfile
from contextlib import closing

from harness.engines import Engine

LIMIT_SECONDS = 300

GIVE = """
import os, sys
sys.stdin.buffer.read(1)
left, piece = SIZE, bytes(1 << 16)
while left:
    left -= os.write(1, piece[:left])
"""
TAKE = """
import os, sys
os.write(1, b"ready")
left, piece = SIZE, bytearray(1 << 16)
while left:
    left -= sys.stdin.buffer.raw.readinto(piece)
os.write(1, b"taken")
"""
"""Programs that write SIZE bytes to stdout when asked, or read SIZE bytes from stdin."""


def pass_on(engine: Engine, size: int, *, volume: str) -> float:
    """Return the seconds that `size` bytes take from a container to another, through this process.

    Both containers get `volume`.
    """
    deadline = time.monotonic() + LIMIT_SECONDS
    with (
        closing(engine.open_keeper(volume, _program(GIVE, size))) as giver,
        closing(engine.open_keeper(volume, _program(TAKE, size))) as taker,
    ):
        assert taker.read(deadline) == (1, b"ready")
        started = time.monotonic()
        giver.write(b"\n", deadline)
        left = size
        while left:
            _, data = giver.read(deadline)
            assert data
            taker.write(data, deadline)
            left -= len(data)
        assert taker.read(deadline) == (1, b"taken")
        return time.monotonic() - started


def _program(source: str, size: int) -> bytes:
    """Return what a keeper's container runs in place of a keeper."""
    program = io.BytesIO()
    with zipfile.ZipFile(program, "w") as archive:
        archive.writestr("__main__.py", source.replace("SIZE", str(size)))
    return program.getvalue()
