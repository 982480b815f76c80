"""References of a history, loose or in `packed-refs` (gitrepository-layout(5), git-pack-refs(1)).

Git may pack them at any time, so both places are read, and writing uses git's own locks.
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

BRANCH, TAGS, _PACKED = "refs/heads/main", "refs/tags", "packed-refs"

_ID = re.compile(rb"[0-9a-f]{40}")

_POLL_SECONDS = 0.005


def tag_name(tag: int) -> str:
    """Return the reference for the tag with this number."""
    return f"{TAGS}/{tag}"


def read_reference(history: str, name: str) -> str | None:
    """Return the commit that a reference names; None if there is no such reference.

    For an annotated tag in `packed-refs` this is its commit, where git has noted it. Raises
    OSError, and KatasError if the reference cannot be understood.
    """
    path = os.path.join(history, name)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        with open(path, "rb") as file:
            commit = file.read().strip()
        if not _ID.fullmatch(commit):
            raise KatasError(
                f"{path} does not name a commit; see `git fsck`, "
                "and repair it with `git update-ref`"
            )
        return commit.decode()
    if os.path.isdir(os.path.join(history, "reftable")):
        raise KatasError(
            f"the references of {history} are in git's reftable format, which the harness does not "
            "read; run `git refs migrate --ref-format=files` in it"
        )
    return _packed(atomic_file.read(os.path.join(history, _PACKED)), name)


def write_tag(history: str, tag: int, commit: str) -> None:
    """Write a tag. Raises OSError."""
    path = os.path.join(history, tag_name(tag))
    # Git removes this folder when it becomes empty.
    os.makedirs(os.path.dirname(path), exist_ok=True)
    atomic_file.write(path, commit.encode() + b"\n")


def write_branch(history: str, commit: str) -> None:
    """Write the branch under git's lock. Raises OSError.

    A git that is packing references removes the file once it has read it.
    """
    path = os.path.join(history, BRANCH)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with _locked(path) as publish:
        publish(commit.encode() + b"\n")


def loose_tags(history: str) -> list[int]:
    """Return the numbers of the tags that have files of their own. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(
            int(name) for name in os.listdir(os.path.join(history, TAGS)) if name.isdecimal()
        )
    return []


def pack_tags(history: str, tags: Iterable[int]) -> dict[int, bytes]:
    """Add these tags to `packed-refs` and force it to the disk. Raises OSError.

    Returns the content of each tag's file, which may now be removed.
    """
    moved: dict[int, bytes] = {}
    for tag in tags:
        content = atomic_file.read(os.path.join(history, tag_name(tag)))
        if _ID.fullmatch(content.strip()):
            moved[tag] = content
    path = os.path.join(history, _PACKED)
    if moved:
        with _locked(path, sync=sync_file) as publish:
            known = dict(_lines(atomic_file.read(path)))
            known |= {tag_name(tag).encode(): content.strip() for tag, content in moved.items()}
            # Without the mark "peeled", git looks up for itself what an annotated tag points to.
            lines = [
                b"# pack-refs with: sorted ",
                *(b"%s %s" % (known[name], name) for name in sorted(known)),
            ]
            publish(b"\n".join(lines) + b"\n")
        sync_folder(history)
    return moved


def drop_tags(history: str, moved: dict[int, bytes]) -> None:
    """Remove the files of these tags, if they still have the content that was packed.

    The caller holds the avatar's lock. Raises OSError.
    """
    for tag, content in moved.items():
        path = os.path.join(history, tag_name(tag))
        if atomic_file.read(path) == content:
            os.unlink(path)


@contextlib.contextmanager
def _locked(
    path: str, *, sync: atomic_file.Sync | None = None
) -> Iterator[Callable[[bytes], None]]:
    """Lock a file of references as git does; yield the function that replaces it. Raises OSError.

    The lock is a second name of the harness's own file, so a lock that a crash of the harness left
    can be told from git's. Git holds its locks for milliseconds; one that stays longer was left by
    a git that died.
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
    """Return the age of a file in seconds; infinite if it is gone."""
    try:
        return time.time() - os.stat(path).st_mtime
    except FileNotFoundError:
        return float("inf")


def _packed(content: bytes, name: str) -> str | None:
    """Return what `packed-refs` says about one reference; None if nothing.

    The file may list thousands, so it is searched rather than parsed.
    """
    end = content.find(f" {name}\n".encode())
    if end < 0:
        return None
    commit = content[max(end - 40, 0) : end]
    after = content[end + len(name) + 2 :][:41]
    if after.startswith(b"^"):
        commit = after[1:]
    if not _ID.fullmatch(commit):
        raise KatasError(
            f"packed-refs does not say which commit {name} is; see `git fsck` in its history"
        )
    return commit.decode()


def _lines(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and id of each reference in `packed-refs`, without comments and peeled ids."""
    for line in content.splitlines():
        commit, _, name = line.partition(b" ")
        if _ID.fullmatch(commit):
            yield name, commit
