"""The files that a run made, changed and deleted, for callers that ask for them."""

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
    """What a run made, changed and deleted: files, symlinks and other entries, but no folders.

    `made`, `changed` and `deleted` are sorted tuples of names, relative to the sandbox.
    """

    def __init__(
        self,
        made: tuple[bytes, ...],
        changed: tuple[bytes, ...],
        deleted: tuple[bytes, ...],
        archive: int,
    ) -> None:
        """`archive` is a descriptor of a tar file of what was made and changed; this closes it."""
        self.made, self.changed, self.deleted = made, changed, deleted
        self._archive = archive
        weakref.finalize(self, os.close, archive)

    @classmethod
    def between(cls, before: Listing, sandbox: Sandbox) -> Products:
        """Find the products of a run that has ended. `before` is the listing from before it.

        Raises EngineError.
        """
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
        """Return the content of a file that was made or changed; for a symlink, its target.

        Raises UsageError for any other name.
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
    """Return whether two records differ in more than the link count, and the ctime with it."""
    *before, changed, inode, links = old.split(b" ")
    *after, changed_then, inode_then, links_then = new.split(b" ")
    if (before, inode) != (after, inode_then):
        return True
    return changed != changed_then and links == links_then


def listing_before(sandbox: Sandbox) -> Listing:
    """List the sandbox before a run, once its clock has advanced since it was filled."""
    sandbox.mark()
    return sandbox.listing()


def product_lines(products: Products) -> Iterator[str]:
    """Yield a line for each product."""
    for what, names in (
        ("made", products.made),
        ("changed", products.changed),
        ("deleted", products.deleted),
    ):
        for name in names:
            yield f"{what:8} {printable_name(name)[1:-1]}"
