"""How a program reaches a keeper: on its stdin, so that a keeper's image never lags behind the harness.

The image holds only Python. The first thing on stdin is the length of a zipapp, then the zipapp; what follows
is the program's own input.
"""

from __future__ import annotations

import struct

_LENGTH = struct.Struct(">Q")

BOOTSTRAP = """
import runpy, struct, sys, tempfile
size, = struct.unpack(">Q", sys.stdin.buffer.read(8))
with tempfile.TemporaryFile() as file:
    file.write(sys.stdin.buffer.read(size))
    file.flush()
    runpy.run_path(f"/proc/self/fd/{file.fileno()}", run_name="__main__")
"""
"""Run by `python3 -I -c`; further arguments are the program's. The file has no name that a keeper could leave behind."""


def send_program(zipapp: bytes) -> bytes:
    """What BOOTSTRAP expects first."""
    return _LENGTH.pack(len(zipapp)) + zipapp
