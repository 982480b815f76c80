"""A .tgz that a command writes."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import tarpipe
from harness.cli.options import errors
from harness.errors import UsageError
from harness.units import size


def write_archive(out: Path | None, default: str, pack: Callable[[tarpipe.Write], int]) -> None:
    """Compress what `pack` writes into the file `out`; None: the default one, `-`: stdout. Raises UsageError where that cannot
    be, or exists already.
    """
    if str(out) == "-":
        _compress(sys.stdout.buffer, pack)
        return
    path = out or Path(default)
    try:
        file = path.open("xb")
    except FileExistsError:
        raise UsageError(f"{path} exists already; remove it or give another --out") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; give another --out") from error
    with file:
        count = _compress(file, pack)
    errors.print(f"{path}: {size(count)} unpacked", markup=False)


def _compress(out: Any, pack: Callable[[tarpipe.Write], int]) -> int:
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)  # a gzip stream
    count = pack(lambda data: out.write(packer.compress(data)))
    out.write(packer.flush())
    return count
