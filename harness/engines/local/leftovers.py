"""What a run leaves on this machine: processes, control groups, folders and temporary volumes.

And what stays of images: roots without a name, and those that were being unpacked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from harness.engines.folders import Labelled, Shelf, sandboxes_home
from harness.engines.local import cgroups
from harness.engines.local.cgroups import ControlGroup
from harness.engines.local.processes import end, labels, owners, strays
from harness.engines.local.roots.store import RootStore
from harness.engines.local.volumes import LocalVolumes, remove_from
from harness.engines.owner import Owner
from harness.inside.errors import KatasError

RUN = "sandbox"
"""The kind of temporary folder that holds a run-container."""

_ANOTHER_USERS = "it belongs to another user"


class LocalLeftovers:
    """What owners leave, and what this process's owner still has."""

    def __init__(self, volumes: LocalVolumes, roots: RootStore) -> None:
        self._volumes, self._roots = volumes, roots

    def traces(self, owner: Owner) -> Sequence[str]:
        """Say what the owner started that still exists, a line each. Omits volumes."""
        own = str(owner)
        traces = [
            f"process {process}" for process, label in labels() if label.rpartition("/")[0] == own
        ]
        with contextlib.suppress(OSError), Shelf(sandboxes_home()) as shelf:
            traces += [
                f"folder {shelf.path / folder.name}"
                for folder in shelf.labelled()
                if folder.owner == own and (folder.under_way or folder.name.startswith(f"{RUN}-"))
            ]
        return traces

    def find(self) -> Sequence[str]:
        """Say what owners left that have ended, a line each."""
        left = [
            f"{what} {shelf.path / folder.name}"
            for what, shelf in self._shelves()
            for folder in _temporary(what, shelf)
            if _has_gone(folder)
        ]
        return [
            *left,
            *(f"process {process}" for process in sorted(strays())),
            *(f"control group {group.label}" for group in _abandoned()),
            *(f"image without a name {digest}" for digest in self._roots.unnamed()),
        ]

    def sweep(self) -> Sequence[str]:
        """Remove what `find` says, and say what was removed.

        Raises KatasError for what cannot be removed, after the rest is.
        """
        failures: list[KatasError] = []
        removed = [*_end_strays(), *_remove_groups(failures)]
        for what, shelf in self._shelves():
            with shelf.alone():
                for folder in filter(_has_gone, _temporary(what, shelf)):
                    try:
                        remove_from(shelf, what, folder.name)
                    except KatasError as error:
                        failures.append(error)
                    else:
                        removed.append(f"{what} {shelf.path / folder.name}")
        removed += [f"image without a name {digest}" for digest in self._roots.sweep()]
        if failures:
            raise failures[0]
        return removed

    def doubts(self) -> Sequence[tuple[str, str]]:
        """Return what may be a leftover but cannot be judged from here, each with the reason."""
        doubts = [(f"process {process}", owner.fate().doubt) for process, owner in owners()]
        for what, shelf in self._shelves(ours=False):
            if not shelf.ours:
                doubts.append((f"{what}s in {shelf.path}", _ANOTHER_USERS))
                continue
            for folder in _temporary(what, shelf):
                owner = Owner.parse(folder.owner)
                doubt = owner.fate().doubt if owner else "the harness did not write its label"
                doubts.append(
                    (f"{what} {shelf.path / folder.name}", doubt if folder.ours else _ANOTHER_USERS)
                )
        return [(what, doubt) for what, doubt in doubts if doubt]

    def _shelves(self, *, ours: bool = True) -> Iterator[tuple[str, Shelf]]:
        """Yield the shelves of things that are removed with their owners, with what is on them.

        `ours`: only those that belong to this user.
        """
        for what, path in (
            ("folder", sandboxes_home()),
            ("volume", self._volumes.place()),
            ("image", self._roots.path),
        ):
            try:
                shelf = Shelf(path)
            except OSError:  # it is missing, or not a folder
                continue
            with shelf:
                if shelf.ours or not ours:
                    yield what, shelf


def _end_strays() -> list[str]:
    """End the processes whose owner has ended, and say which."""
    doomed = strays()
    end(strays)
    return [f"process {process}" for process in sorted(doomed)]


def _remove_groups(failures: list[KatasError]) -> Iterator[str]:
    """Remove control groups whose owner has ended, and say which. Adds errors to `failures`."""
    for group in _abandoned():
        group.kill()
        try:
            group.remove()
        except OSError as error:
            failures.append(
                KatasError(f"the control group {group.label} cannot be removed: {error.strerror}")
            )
        else:
            yield f"control group {group.label}"


def _abandoned() -> Iterator[ControlGroup]:
    """Yield this user's groups whose owner has ended."""
    for group in cgroups.harness_groups():
        owner = Owner.parse(group.label.rpartition("/")[0])
        if owner and owner.has_gone() and group.is_ours():
            yield group


def _temporary(what: str, shelf: Shelf) -> list[Labelled]:
    """Return what is removed with its owner: each folder, and temporary volumes."""
    return [folder for folder in shelf.labelled() if what == "folder" or folder.temporary]


def _has_gone(folder: Labelled) -> bool:
    owner = Owner.parse(folder.owner)
    return folder.ours and owner is not None and owner.has_gone()
