"""Send a keeper its program on stdin, so that the keeper's image never lags behind the harness.

The image holds only Python. Stdin begins with the length of a zipapp, then the zipapp; the
program's own input follows.
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
"""The script for `python3 -I -c`; the program gets the other arguments. The file has no name, so no
keeper can leave it behind.
"""


def send_program(zipapp: bytes) -> bytes:
    """Return what BOOTSTRAP reads first."""
    return _LENGTH.pack(len(zipapp)) + zipapp
