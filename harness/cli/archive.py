"""The .tgz archives that commands write."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from harness.cli.options import errors
from harness.inside import tarpipe
from harness.inside.errors import UsageError
from harness.measure.units import size


def write_archive(out: Path | None, default: str, pack: Callable[[tarpipe.Write], int]) -> None:
    """Compress what `pack` writes into the file `out`, whole or not at all.

    None stands for the file `default`, `-` for stdout. Raises UsageError if the file exists or
    cannot be written.
    """
    if str(out) == "-":
        # Presses wait while `pack` runs, so a slow reader must not slow it down.
        with tempfile.TemporaryFile() as whole:
            _compress(whole, pack)
            whole.seek(0)
            shutil.copyfileobj(whole, sys.stdout.buffer)
        return
    path = out or Path(default)
    with _becoming(path) as file:
        count = _compress(file, pack)
    errors.print(f"{path}: {size(count)} unpacked", markup=False)


@contextlib.contextmanager
def _becoming(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that takes this path at the end, and is removed after an error."""
    if not path.name or path.is_dir():
        raise UsageError(f"--out {path} is a folder; name a file in it")
    making = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        if os.path.lexists(path):
            raise FileExistsError
        file = making.open("xb")
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}; give another --out"
        ) from error
    try:
        with file:
            yield file
        _take(making, path)
    finally:
        making.unlink(missing_ok=True)


def _take(making: Path, path: Path) -> None:
    try:
        os.link(making, path)  # unlike a rename it never replaces a file
    except FileExistsError:
        raise _exists(path) from None
    except OSError:  # the file system has no hard links
        if os.path.lexists(path):
            raise _exists(path) from None
        making.rename(path)


def _exists(path: Path) -> UsageError:
    return UsageError(f"{path} already exists; remove it or give another --out")


def _compress(out: Any, pack: Callable[[tarpipe.Write], int]) -> int:
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)  # a gzip stream
    count = pack(lambda data: out.write(packer.compress(data)))
    out.write(packer.flush())
    return count
