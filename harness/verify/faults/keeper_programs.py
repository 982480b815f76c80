"""A keeper's program that first does something else, such as to spoil its disk."""

from __future__ import annotations

import io
import zipfile
from importlib import resources


def spoil(program: bytes, call: str) -> bytes:
    """Return a keeper's program that first makes this call of `disk_faults`."""
    return beginning_with(program, source_of("faults/disk_faults.py"), call.encode())


def source_of(module: str) -> bytes:
    """Return the source of a module below harness.verify, to run where it is missing."""
    return resources.files("harness.verify").joinpath(module).read_bytes()


def beginning_with(program: bytes, *first: bytes) -> bytes:
    """Return a keeper's program that first runs these pieces of Python."""
    made = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(program)) as old,
        zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, b"\n".join([*first, content]) if name == "__main__.py" else content)
    return made.getvalue()
