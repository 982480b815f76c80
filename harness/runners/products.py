"""What a run made, changed and deleted, for a caller who asks for it."""

from __future__ import annotations

import os
import tarfile
import tempfile
import weakref
from collections.abc import Iterator

from harness.engines import Sandbox
from harness.inside.changes import FOLDER, SOCKET, Listing
from harness.inside.errors import UsageError
from harness.inside.layout import printable_name


class Products:
    """The files that a run made, changed and deleted, symlinks and the like included; each a sorted tuple of names."""

    def __init__(
        self,
        made: tuple[bytes, ...],
        changed: tuple[bytes, ...],
        deleted: tuple[bytes, ...],
        archive: int,
    ) -> None:
        """`archive` is an open tar file of what was made and changed, which is this object's from now on."""
        self.made, self.changed, self.deleted = made, changed, deleted
        self._archive = archive
        weakref.finalize(self, os.close, archive)

    @classmethod
    def between(cls, before: Listing, sandbox: Sandbox) -> Products:
        """Of a run that began with this listing of the sandbox, and has ended. Raises EngineError."""
        after = sandbox.listing()
        old, new = (
            {
                path: record
                for path, record in listing.records.items()
                if record[:1] not in (FOLDER, SOCKET)
            }
            for listing in (before, after)
        )
        made = tuple(sorted(new.keys() - old.keys()))
        changed = tuple(
            sorted(path for path in new.keys() & old.keys() if _differ(old[path], new[path]))
        )
        with tempfile.TemporaryFile() as file:
            for chunk in sandbox.pick((*made, *changed)) if made or changed else ():
                file.write(chunk)
            file.flush()
            return cls(made, changed, tuple(sorted(old.keys() - new.keys())), os.dup(file.fileno()))

    def read(self, name: str | bytes) -> bytes:
        """The content of a file that was made or changed, as the run left it; of a symlink, where it points. Raises
        UsageError for any other name.
        """
        key = os.fsencode(name)
        if key not in self.made and key not in self.changed:
            raise UsageError(f"the run neither made nor changed {printable_name(key)}")
        with os.fdopen(os.dup(self._archive), "rb") as file:
            file.seek(0)
            with tarfile.open(fileobj=file, errors="surrogateescape") as archive:
                member = archive.getmember("./" + os.fsdecode(key))
                content = archive.extractfile(member) if member.isreg() or member.islnk() else None
                return content.read() if content else os.fsencode(member.linkname)


def _differ(old: bytes, new: bytes) -> bool:
    """Whether anything but the number of names of a file differs; to link it changes its ctime too."""
    *before, changed, inode, links = old.split(b" ")
    *after, changed_then, inode_then, links_then = new.split(b" ")
    if (before, inode) != (after, inode_then):
        return True
    return changed != changed_then and links == links_then


def listing_before(sandbox: Sandbox) -> Listing:
    """The sandbox before a run, once the clock has moved on since it was filled."""
    sandbox.mark()
    return sandbox.listing()


def product_lines(products: Products) -> Iterator[str]:
    """A line for each."""
    for what, names in (
        ("made", products.made),
        ("changed", products.changed),
        ("deleted", products.deleted),
    ):
        for name in names:
            yield f"{what:8} {printable_name(name)[1:-1]}"
