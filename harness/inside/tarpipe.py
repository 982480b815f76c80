"""The tar-pipe, exact to the nanosecond, in both directions.

Only `--format=posix` carries sub-second stamps (GNU tar's default, gnu and ustar cut them to whole seconds,
and then an edit within the same second is missed). `tar` may exit 0 on a stream that was cut at a member
boundary, so a whole stream is one that ends in the two zero blocks which POSIX asks for (pax, "ustar
Interchange Format"), where tar itself found them and with nothing but zeros behind, and both exit codes count.
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
    "--blocking-factor=128",  # 64 KiB writes: half the time of the default 10 KiB through an engine's stream
    "--warning=no-file-ignored",  # a line for each socket that a run left fills what holds them
    "--file=-",
)
PACK = (*CREATE, "--sparse")
"""Followed by --directory=FOLDER and what to pack. An archive for others is without the last: only GNU tar and few more can read
the holes of a file.
"""

UNPACK = (
    "tar",
    "--extract",
    "--block-number",
    "--preserve-permissions",
    "--delay-directory-restore",  # a folder may forbid to enter it, and one of its files have a second name elsewhere
    "--no-same-owner",
    "--warning=no-timestamp",  # a line for each file from the future, where there is room for some thousands
    "--file=-",
)
"""Followed by --directory=FOLDER. Who unpacks owns the files: incremental makes rely on stamps, not on
owners.
"""

LOOK_THROUGH = ("tar", "--list", "--block-number", "--exclude=*", "--file=-")
"""Passes all members by, and tells where they end."""

BLOCK = 512
END = bytes(2 * BLOCK)
"""The two zero blocks that end an archive."""

END_OF_ARCHIVE = re.compile(rb"block (\d+): \*\* Block of NULs \*\*")
"""What tar prints, thanks to --block-number, when it comes to the first of the two zero blocks. That a stream
ends in zeros tells nothing: so does many a file, and tar takes its end for the end of the archive.
"""

CHUNK = 1 << 20
"""Bytes of one piece of a stream; it bounds what a stream of any length costs in memory."""

_SAID = 1 << 16
"""Bytes of tar's complaints that are looked at; the longest path is in them."""

MOST_COMPLAINTS = 1 << 24
"""Bytes of complaints after which a tar is not heard out: it has one for each folder of a nest that is too deep for it, with
its path.
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
    """Pack `what` of `folder` into `write`, by PACK unless another command is given; returns the bytes written. Raises StreamCut
    when tar could not read it all.
    """
    with tempfile.TemporaryFile() as complaints:
        tar = subprocess.Popen(
            [*(command or PACK), *options, f"--directory={folder}", "--", *what],
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
    """Unpack the stream into `folder`; returns its bytes. Raises StreamCut unless the archive came whole.

    Whatever `chunks` raises passes through; the folder then holds part of the tree, and is the caller's to
    throw away.
    """
    with tempfile.TemporaryFile() as complaints, tempfile.TemporaryFile() as told:
        tar = subprocess.Popen(
            [*UNPACK, f"--directory={folder}"],
            stdin=subprocess.PIPE,
            stdout=told,
            stderr=complaints,
            env=_ENVIRONMENT,
        )
        assert tar.stdin is not None
        count = used = 0  # bytes so far, and those up to the last that is not zero
        try:
            for chunk in chunks:
                if data := chunk.rstrip(b"\0"):
                    used = count + len(data)
                count += len(chunk)
                # A tar that has gone tells why by its exit code; read on, so that the sender is not left
                # hanging.
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
        told.seek(0)
        end = END_OF_ARCHIVE.search(told.read())
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
    """Copy all of `folder` into the folder `target` of the same machine, owners included. Raises StreamCut when a tar could
    not read or write it all; the target then holds part of the tree.
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
            if (
                other.returncode == 0
            ):  # what comes after the end of the archive, which it does not wait for
                for _ in read_chunks(one.stdout):
                    pass
        one.wait()
        _check(other.returncode, unpacking, f"tar could not copy to {target}")
        _check(one.returncode, packing, f"tar could not copy {folder}")


def join(archives: Iterable[IO[bytes]], write: Write) -> int:
    """One archive of all that is in these, member by member as they are, owners included; returns the bytes written. Raises
    StreamCut for an archive that is not whole.
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
    """How many bytes come before the end-of-archive blocks. Raises StreamCut where there are none."""
    archive.seek(0)
    with tempfile.TemporaryFile() as complaints:
        tar = subprocess.run(
            LOOK_THROUGH,
            stdin=archive,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=_ENVIRONMENT,
            check=False,
        )
        _check(tar.returncode, complaints, "tar could not read an archive")
    end = END_OF_ARCHIVE.search(tar.stdout)
    if not end:
        raise StreamCut("the archive was cut: its end-of-archive blocks are missing")
    return int(end[1]) * BLOCK


def read_chunks(stream: IO[bytes]) -> Iterator[bytes]:
    """The stream in pieces of at most CHUNK bytes, as large as they come without waiting for more than one
    read.
    """
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
        return f"signal {-code} killed it, as a nest of folders does that is too deep for it"
    return "it said nothing"


def _shortened(line: str) -> str:
    """A complaint without the middle of a long path: its end tells what is wrong."""
    return line if len(line) <= 200 else f"{line[:80]}...{line[-80:]}"
