"""A test event of an avatar whose katas are in a folder.

Beside the sandbox, `incoming` holds files on their way into it, `staging` the tree that is to
replace it, and `visible.json` what the player sent last: see `harness.inside.layout`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from pathlib import Path

from harness.inside import (
    atomic_file,
    journal,
    objects,
    ownership,
    removal,
    sandbox_contents,
    saving,
    stamping,
    tarpipe,
)
from harness.inside.changes import Changes
from harness.inside.delta import Delta, Stamped, delta_between
from harness.inside.disk import empty_tree, remove_tree, sync_disk, sync_file, sync_folder
from harness.inside.errors import KatasError
from harness.inside.layer_list import fold_layers
from harness.inside.layout import HELD, HISTORY, INCOMING, SANDBOX, STAGING, VISIBLE
from harness.inside.locks import locked
from harness.inside.partial_tar import pick
from harness.inside.sent_record import (
    Record,
    Sent,
    after_a_crash,
    begin_writing,
    encode,
    read_sent,
    visible_names,
)
from harness.inside.stamps import Ahead, is_ahead, still_sent
from harness.inside.store import Acceptance, Held, SendPlan
from harness.inside.tree import Entry, snapshot
from harness.inside.usage import DiskUsage


class FolderEvent:
    """One test event of an avatar in a folder.

    `Event` in `harness.inside.store` describes its methods.
    """

    def __init__(
        self,
        folder: Path,
        deadline: float | None = None,
        closed: Callable[[Path], object] = lambda folder: None,
        *,
        durable: bool = False,
    ) -> None:
        """Lock the avatar and clean up after crashes.

        Waits for the lock until `deadline`, in monotonic seconds. `closed` is called with the
        folder at the end. With `durable`, a power failure neither undoes the accepted test event
        nor damages what was there before. Raises OSError and KatasError.
        """
        self._folder, self._closed, self._durable = folder, closed, durable
        # The next content of visible.json, until it is written.
        self._unwritten_record: bytes | None = None
        self._sandbox, self._staging = str(folder / SANDBOX), str(folder / STAGING)
        self._incoming = str(folder / INCOMING)
        self._ahead: Ahead = {}
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            stack.enter_context(locked(str(folder), deadline))
            removal.finish(str(folder))
            (folder / SANDBOX).mkdir(exist_ok=True)
            if os.path.ismount(self._sandbox):
                raise KatasError(
                    f"{self._sandbox} is a mount point, which cannot be replaced in one step; "
                    "mount the folder of all katas instead"
                )
            journal.recover(str(folder))
            self._settle()
            # Leftovers that cannot be removed matter only to a caller that needs their place.
            with contextlib.suppress(OSError):
                self._clear()
            journal.make_history(str(folder / HISTORY), durable=durable)
            self.lock = stack.pop_all()
            """What it holds of the avatar; a process that dies lets go of it, and does no more."""

    @property
    def roots(self) -> tuple[int, ...]:
        with self._katas_errors("read"):
            return (os.stat(self._sandbox).st_ino,)

    def compare(self, manifest: Mapping[bytes, Stamped]) -> SendPlan:
        with self._katas_errors("read"):
            self._invalidate_copies()
            sent = self._sent()
            there = sandbox_contents.still_there(self._sandbox, sent)
            delta = delta_between(
                manifest, {name: file.stamped for name, file in sent.items()}, there
            )
            return SendPlan(delta, *self._against(manifest.values()))

    def start_afresh(self) -> None:
        with self._katas_errors("written"):
            self._invalidate_copies()
            (self._folder / VISIBLE).unlink(missing_ok=True)
            empty_tree(self._sandbox)

    def save(
        self,
        files: Iterable[saving.SavedFile],
        delta: Delta,
        *,
        owner: tuple[int, int] | None,
    ) -> None:
        self._save(files, delta, owner)

    def _save(
        self,
        files: Iterable[saving.SavedFile],
        delta: Delta,
        owner: tuple[int, int] | None = None,
        latest: int | None = None,
    ) -> None:
        with self._katas_errors("written"):
            self._invalidate_copies()
            if owner and not ownership.is_handed_over(self._sandbox, owner):
                ownership.hand_over(self._sandbox, owner)
            sent = self._sent()
            released = any(not sent[name].left_out for name in delta.released)
            if not (delta.written or delta.deleted or released):
                return
            os.makedirs(self._incoming, exist_ok=True)
            # A change of mode alone happens in place, so the content is never half-written.
            self._write_sent(begin_writing(sent, {*delta.written} - {*delta.modes}))
            if self._durable:
                # The record must say "writing" before the first file is replaced.
                sync_folder(str(self._folder))
            with ownership.changing(self._sandbox, owner, durable=self._durable):
                saved = saving.save(
                    self._sandbox,
                    self._incoming,
                    files,
                    delta,
                    owner,
                    sent=sent,
                    latest=latest,
                    sync=sync_file if self._durable else None,
                )
            kept = still_sent(sent, delta)
            record = {**kept, **saved.sent}
            if self._durable:
                # The files must reach the disk first, and the run need not wait for that.
                self._unwritten_record = encode(record)
            else:
                self._write_sent(record)
            # The harness chooses the stamps of visible files, so those need not be restored.
            self._ahead = {path: moved for path, moved in saved.ahead.items() if path not in kept}

    def hold(self) -> Held:
        with self._katas_errors("written"):
            path = str(self._folder / HELD)
            mark = self._held()
            if not mark:
                mark = secrets.token_hex(16)
                atomic_file.write(path, mark.encode())
            sent = self._sent()
            return Held(mark, sent, *self._against(file.stamped for file in sent.values()))

    def resume(
        self,
        mark: str,
        files: Iterable[saving.SavedFile],
        delta: Delta,
        *,
        latest: int,
    ) -> bool:
        with self._katas_errors("read"):
            # An edit moves stamps that are ahead of the clock, and the copy would not have that.
            if self._held() != mark or is_ahead(latest):
                return False
        self._save(files, delta, latest=latest)
        return True

    def pack(self, write: tarpipe.Write, paths: Sequence[bytes] | None = None) -> int:
        if paths is None:
            return tarpipe.pack(self._sandbox, write)
        with self._katas_errors("read"):
            return pick(self._sandbox, paths, write)

    def digests(self, sizes: Mapping[bytes, int]) -> dict[bytes, str]:
        with self._katas_errors("read"):
            return sandbox_contents.digests(self._sandbox, sizes)

    def stage(self, chunks: Iterable[bytes]) -> int:
        with self._katas_errors("written"):
            # Team mates' runs must not enter it before it is complete.
            journal.make_staging(str(self._folder), 0o700)
        try:
            return tarpipe.unpack(self._staging, chunks)
        except BaseException:
            with self._katas_errors("written"):
                # An incomplete tree must never be accepted.
                remove_tree(self._staging)
            raise

    def accept(
        self, acceptance: Acceptance, changes: Changes | None = None, *, mounted: bool = False
    ) -> None:
        with self._katas_errors("written"):
            self._invalidate_copies()
            kept = mounted or changes is not None or os.path.isdir(self._staging)
            if kept and acceptance.increment.status == 0:
                # A successful run has rebuilt whatever depends on the edit. The rest does not
                # depend on it, and may have its later stamp again.
                stamping.put_ahead_again(self._result, self._ahead)
            journal.accept(
                str(self._folder),
                acceptance.objects,
                acceptance.commit,
                asdict(acceptance.increment),
                changes,
                durable=self._durable,
                sent=self._unwritten_record,
            )
            self._unwritten_record = None

    def snapshot(self, *, contents: bool = False) -> dict[bytes, Entry]:
        with self._katas_errors("read"):
            return snapshot(self._sandbox, contents=contents)

    def usage(self) -> DiskUsage:
        with self._katas_errors("read"):
            return DiskUsage.of(self._folder, visible_names(self._folder))

    def close(self) -> None:
        # After an OSError, the next test event tries again.
        with self.lock, contextlib.suppress(OSError):
            if self._unwritten_record is not None:
                self._write_visible(self._unwritten_record, sync_disk)
            self._clear()
        with contextlib.suppress(OSError):
            self._closed(self._folder)

    def _held(self) -> str:
        try:
            return (self._folder / HELD).read_text()
        except FileNotFoundError:
            return ""

    def _invalidate_copies(self) -> None:
        """Invalidate every copy of the sandbox, because it is about to change."""
        (self._folder / HELD).unlink(missing_ok=True)

    @property
    def _result(self) -> str:
        """The tree that will be the sandbox once the test event is accepted."""
        return self._staging if os.path.isdir(self._staging) else self._sandbox

    def _settle(self) -> None:
        fold_layers(self._folder, durable=self._durable)

    def _clear(self) -> None:
        pending = journal.is_pending(str(self._folder))
        # After an acceptance that is still pending, the staged tree must still become the sandbox,
        # and objects in `incoming` must still move into the history.
        if not pending:
            remove_tree(self._staging)
        if not (pending and self._durable):
            remove_tree(self._incoming)

    def _against(self, stamped: Iterable[Stamped]) -> tuple[frozenset[str], str | None, int]:
        """Return which of these contents the history lacks, its head, and the head's tag."""
        head, tag = journal.head(str(self._folder))
        missing = objects.missing(
            str(self._folder / HISTORY), {file.blob for file in stamped if file.blob}
        )
        return frozenset(missing), head, tag

    def _sent(self) -> dict[bytes, Sent]:
        record = read_sent(self._folder)
        if isinstance(record, dict):
            return after_a_crash(record, partial(sandbox_contents.stamp_of, self._sandbox))
        # Version 0.1 stored only the names. Assume that the sandbox still holds what was sent.
        surveyed = sandbox_contents.survey(self._sandbox, record)
        self._write_sent(surveyed)
        return surveyed

    def _write_sent(self, record: Record) -> None:
        self._write_visible(encode(record), sync_file if self._durable else None)

    def _write_visible(self, content: bytes, sync: atomic_file.Sync | None) -> None:
        os.makedirs(self._incoming, exist_ok=True)
        path = str(self._folder / VISIBLE)
        atomic_file.write(path, content, os.path.join(self._incoming, VISIBLE), sync=sync)

    def _katas_errors(self, what: str) -> AbstractContextManager[None]:
        return katas_errors(f"the katas in {self._folder} cannot be {what}")


@contextlib.contextmanager
def katas_errors(what: str) -> Iterator[None]:
    """Raise KatasError, beginning with `what`, in place of OSError and ValueError."""
    try:
        yield
    except OSError as error:
        raise KatasError(f"{what}: {error.strerror or error}") from error
    except ValueError as error:
        raise KatasError(f"{what}: a file in it is damaged; restore it from a backup") from error
