"""The references of a history: files of their own, or all in `packed-refs` (gitrepository-layout(5), git-pack-refs(1)). git may
pack them at any time, so both are read, and what is written is locked as git locks it.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator

from harness.inside import atomic_file
from harness.inside.disk import sync_file, sync_folder
from harness.inside.errors import KatasError
from harness.inside.locks import STEP_SECONDS

BRANCH, TAGS, PACKED = "refs/heads/main", "refs/tags", "packed-refs"

_ID = re.compile(rb"[0-9a-f]{40}")

_POLL_SECONDS = 0.005


def tag_name(tag: int) -> str:
    return f"{TAGS}/{tag}"


def read_reference(history: str, name: str) -> str | None:
    """What a reference refers to, an annotated tag's commit included where git has noted it; None where there is none. Raises
    OSError, and KatasError for a reference that cannot be understood.
    """
    path = os.path.join(history, name)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        with open(path, "rb") as file:
            found = file.read().strip()
        if not _ID.fullmatch(found):
            raise KatasError(
                f"{path} does not name a commit; see `git fsck`, and put it right with `git update-ref`"
            )
        return found.decode()
    if os.path.isdir(os.path.join(history, "reftable")):
        raise KatasError(
            f"the references of {history} are kept in git's reftable, which a harness does not read; "
            "`git refs migrate --ref-format=files` in it brings them back"
        )
    return _packed(atomic_file.read(os.path.join(history, PACKED)), name)


def write_tag(history: str, tag: int, commit: str) -> None:
    """Raises OSError."""
    path = os.path.join(history, tag_name(tag))
    os.makedirs(os.path.dirname(path), exist_ok=True)  # git removes it when it is empty
    atomic_file.write(path, commit.encode() + b"\n")


def write_branch(history: str, commit: str) -> None:
    """Raises OSError. Locked, since a git that packs references removes the file once it has seen what is in it."""
    path = os.path.join(history, BRANCH)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with _locked(path) as publish:
        publish(commit.encode() + b"\n")


def loose_tags(history: str) -> list[int]:
    """The test events whose tag is a file of its own. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(
            int(name) for name in os.listdir(os.path.join(history, TAGS)) if name.isdecimal()
        )
    return []


def pack_tags(history: str, tags: Iterable[int]) -> dict[int, bytes]:
    """Put these into packed-refs beside what is there, on the disk for sure; returns the content of their files, which may now
    go. Raises OSError.
    """
    moved: dict[int, bytes] = {}
    for tag in tags:
        content = atomic_file.read(os.path.join(history, tag_name(tag)))
        if _ID.fullmatch(content.strip()):
            moved[tag] = content
    path = os.path.join(history, PACKED)
    if moved:
        with _locked(path, sync=sync_file) as publish:
            known = dict(_lines(atomic_file.read(path)))
            known |= {tag_name(tag).encode(): content.strip() for tag, content in moved.items()}
            # Without the mark "peeled" git looks for itself what an annotated tag points to.
            lines = [
                b"# pack-refs with: sorted ",
                *(b"%s %s" % (known[name], name) for name in sorted(known)),
            ]
            publish(b"\n".join(lines) + b"\n")
        sync_folder(history)
    return moved


def drop_tags(history: str, moved: dict[int, bytes]) -> None:
    """Remove the files of these tags, which were packed with this content. The caller holds the avatar's lock. Raises
    OSError.
    """
    for tag, content in moved.items():
        path = os.path.join(history, tag_name(tag))
        if atomic_file.read(path) == content:
            os.unlink(path)


@contextlib.contextmanager
def _locked(
    path: str, *, sync: atomic_file.Sync | None = None
) -> Iterator[Callable[[bytes], None]]:
    """Holds a file of references as git does, by the name that it gets in the making, and yields what replaces it. Raises
    OSError.

    That name is a second one of a file of the harness's: so what a crash of it left is known from what git holds. That
    takes git milliseconds; what is there for longer is left of a git that has died.
    """
    ours, lock = f"{path}.harness.lock", f"{path}.lock"
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.stat(ours), os.stat(lock)):
            os.unlink(lock)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(ours)
    with open(ours, "xb") as file:
        try:
            _link(ours, lock)

            def publish(content: bytes) -> None:
                file.write(content)
                file.flush()
                if sync:
                    sync(file.fileno())
                os.rename(lock, path)

            try:
                yield publish
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(lock)
                raise
        finally:
            os.unlink(ours)


def _link(ours: str, lock: str) -> None:
    deadline = time.monotonic() + STEP_SECONDS
    while True:
        try:
            return os.link(ours, lock)
        except FileExistsError:
            if time.monotonic() < deadline and _age(lock) < STEP_SECONDS:
                time.sleep(_POLL_SECONDS)
                continue
        with contextlib.suppress(FileNotFoundError):
            os.unlink(lock)


def _age(path: str) -> float:
    """In seconds; endless where it has gone."""
    try:
        return time.time() - os.stat(path).st_mtime
    except FileNotFoundError:
        return float("inf")


def _packed(content: bytes, name: str) -> str | None:
    """What packed-refs says of one reference. It may have thousands, so that it is searched and not parsed."""
    end = content.find(f" {name}\n".encode())
    if end < 0:
        return None
    found = content[max(end - 40, 0) : end]
    after = content[end + len(name) + 2 :][:41]
    if after.startswith(b"^"):
        found = after[1:]
    if not _ID.fullmatch(found):
        raise KatasError(
            f"packed-refs does not say which commit {name} is; see `git fsck` in its history"
        )
    return found.decode()


def _lines(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and id of what packed-refs lists; neither its comments nor what annotated tags point to."""
    for line in content.splitlines():
        found, _, name = line.partition(b" ")
        if _ID.fullmatch(found):
            yield name, found
