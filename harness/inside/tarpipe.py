"""The tar-pipe, exact to the nanosecond, in both directions.

Only `--format=posix` carries stamps with fractions of a second. The formats gnu, GNU tar's default,
and ustar cut them to whole seconds, and an edit within the same second is then missed.

`tar` may exit with 0 on a stream that was cut between two members. So a stream counts as whole only
if both exit codes are 0 and it ends in the two zero blocks that POSIX requires (pax, "ustar
Interchange Format"), where tar itself met them and with nothing but zeros after them.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, TypeAlias

from harness.inside.errors import StreamCut

CREATE = (
    "tar",
    "--create",
    "--format=posix",
    "--pax-option=delete=atime,delete=ctime",
    "--numeric-owner",
    # Through an engine's stream, writes of 64 KiB take half the time of the default 10 KiB.
    "--blocking-factor=128",
    # A run can leave so many sockets that a warning about each would fill the disk.
    "--warning=no-file-ignored",
    "--file=-",
)
PACK = (*CREATE, "--sparse")
"""Followed by --directory=FOLDER and what to pack.

Archives for others are made without --sparse, because few other programs can read GNU tar's holes.
"""

UNPACK = (
    "tar",
    "--extract",
    "--block-number",
    "--preserve-permissions",
    # A file in a folder that forbids entering it may have a second name elsewhere.
    "--delay-directory-restore",
    "--no-same-owner",
    # A warning about each file from the future would exceed the space for complaints.
    "--warning=no-timestamp",
    "--file=-",
)
"""Followed by --directory=FOLDER.

The user who unpacks owns the files, because incremental makes depend on stamps, not on owners.
"""

_LOOK_THROUGH = ("tar", "--list", "--block-number", "--exclude=*", "--file=-")
"""Reads an archive without listing or unpacking members, and prints where they end."""

BLOCK = 512
END = bytes(2 * BLOCK)
"""The two zero blocks that end an archive."""

_END_OF_ARCHIVE = re.compile(rb"block (\d+): \*\* Block of NULs \*\*")
"""What tar prints, thanks to --block-number, when it meets the first of the two zero blocks.

Zeros at the end of the stream prove nothing: many files end in zeros, and tar takes a cut there for
the end of the archive.
"""

CHUNK = 1 << 20
"""Bytes of one piece of a stream; this bounds the memory that a stream of any length costs."""

_SAID = 1 << 16
"""How many bytes of tar's complaints are read; the longest path fits."""

MOST_COMPLAINTS = 1 << 24
"""How many bytes of complaints make the harness give up on a tar.

It complains about each folder of a nest that is too deep, with the whole path.
"""

_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C",
}

Write: TypeAlias = Callable[[bytes], object]


def pack(
    folder: str,
    write: Write,
    *,
    what: Sequence[str] = (".",),
    options: Sequence[str] = (),
    command: Sequence[str] | None = None,
) -> int:
    """Pack `what` of `folder` into `write`; return the number of bytes.

    Uses PACK unless another command is given. Raises StreamCut if tar could not read everything.
    """
    with tempfile.TemporaryFile() as complaints:
        tar = subprocess.Popen(
            [*(command or PACK), f"--directory={folder}", *options, "--", *what],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=_ENVIRONMENT,
        )
        assert tar.stdout is not None
        try:
            count = 0
            for chunk in read_chunks(tar.stdout):
                write(chunk)
                count += len(chunk)
        except BaseException:
            tar.kill()
            raise
        finally:
            tar.stdout.close()
            tar.wait()
        _check(tar.returncode, complaints, f"tar could not pack {folder}")
    return count


def unpack(folder: str, chunks: Iterable[bytes]) -> int:
    """Unpack the stream into `folder`; return the number of bytes.

    Raises StreamCut unless the archive is whole. What `chunks` raises passes through. After either,
    the folder holds part of the tree, and the caller must discard it.
    """
    with tempfile.TemporaryFile() as complaints, tempfile.TemporaryFile() as output:
        tar = subprocess.Popen(
            [*UNPACK, f"--directory={folder}"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=complaints,
            env=_ENVIRONMENT,
        )
        assert tar.stdin is not None
        # Bytes so far, and bytes up to the last one that is not zero.
        count = used = 0
        try:
            for chunk in chunks:
                if data := chunk.rstrip(b"\0"):
                    used = count + len(data)
                count += len(chunk)
                # If tar has ended, its exit code says why. Read on, so that the sender does not
                # hang.
                with contextlib.suppress(BrokenPipeError):
                    tar.stdin.write(chunk)
                if os.fstat(complaints.fileno()).st_size > MOST_COMPLAINTS:
                    _check(1, complaints, f"tar could not unpack into {folder}")
        except BaseException:
            tar.kill()
            raise
        finally:
            with contextlib.suppress(BrokenPipeError):
                tar.stdin.close()
            tar.wait()
        _check(tar.returncode, complaints, f"tar could not unpack into {folder}")
        output.seek(0)
        end = _END_OF_ARCHIVE.search(output.read())
    if not end or count % BLOCK or count < (int(end[1]) + 2) * BLOCK:
        raise StreamCut(
            f"the tar stream was cut after {count} bytes: its end-of-archive blocks are missing"
        )
    if used > int(end[1]) * BLOCK:
        raise StreamCut(
            f"the tar stream goes on after its end-of-archive blocks, up to byte {used}"
        )
    return count


def copy(folder: str, target: str) -> None:
    """Copy the contents of `folder` into the folder `target` on the same machine, owners included.

    Raises StreamCut if tar could not read or write everything; `target` then holds part of the
    tree.
    """
    with tempfile.TemporaryFile() as packing, tempfile.TemporaryFile() as unpacking:
        one = subprocess.Popen(
            [*PACK, f"--directory={folder}", "."],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=packing,
            env=_ENVIRONMENT,
        )
        assert one.stdout is not None
        with one.stdout:
            other = subprocess.run(
                [*UNPACK, "--same-owner", f"--directory={target}"],
                stdin=one.stdout,
                stdout=subprocess.DEVNULL,
                stderr=unpacking,
                env=_ENVIRONMENT,
                check=False,
            )
            # The second tar does not read beyond the end of the archive; the first still writes.
            if other.returncode == 0:
                for _ in read_chunks(one.stdout):
                    pass
        one.wait()
        _check(other.returncode, unpacking, f"tar could not copy to {target}")
        _check(one.returncode, packing, f"tar could not copy {folder}")


def join(archives: Iterable[IO[bytes]], write: Write) -> int:
    """Join archives into one, members unchanged and owners included; return the number of bytes.

    Raises StreamCut for an archive that is not whole.
    """
    count = 0
    for archive in archives:
        left = _end_of(archive)
        count += left
        archive.seek(0)
        while left:
            chunk = archive.read(min(left, CHUNK))
            write(chunk)
            left -= len(chunk)
    write(END)
    return count + len(END)


def _end_of(archive: IO[bytes]) -> int:
    """Return the number of bytes before the end-of-archive blocks.

    Raises StreamCut if there are none.
    """
    archive.seek(0)
    with tempfile.TemporaryFile() as complaints:
        tar = subprocess.run(
            _LOOK_THROUGH,
            stdin=archive,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=_ENVIRONMENT,
            check=False,
        )
        _check(tar.returncode, complaints, "tar could not read an archive")
    end = _END_OF_ARCHIVE.search(tar.stdout)
    if not end:
        raise StreamCut("the archive was cut: its end-of-archive blocks are missing")
    return int(end[1]) * BLOCK


def read_chunks(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the stream in pieces of at most CHUNK bytes, as they arrive."""
    while chunk := stream.read(CHUNK):
        yield chunk


def _check(code: int, complaints: IO[bytes], what: str) -> None:
    if code:
        complaints.seek(0)
        lines = complaints.read(_SAID).decode(errors="replace").splitlines()
        said = " ".join(" ".join(map(_shortened, lines)).split())[:500]
        raise StreamCut(f"{what} (exit {code}): {said or _unsaid(code)}")


def _unsaid(code: int) -> str:
    if code < 0:
        return f"signal {-code} killed it; folders that are nested too deep can cause this"
    return "it said nothing"


def _shortened(line: str) -> str:
    """Return a complaint without the middle of a long path; its end says what is wrong."""
    return line if len(line) <= 200 else f"{line[:80]}...{line[-80:]}"
