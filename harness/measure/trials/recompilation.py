"""Counts the files that a command compiled: the sources whose object files are new or rewritten.

This does not work for a compiler that writes no object files (javac, tsc), keeps them elsewhere
(Go) or makes several with other names from one source (cargo). Such a build gets no count.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from harness.inside.tree import Snapshot

OBJECT = b".o"

_SOURCES = frozenset(
    b".c .cc .cp .cpp .cxx .c++ .C .CPP .i .ii .m .mm .M .s .S .sx .asm .cu .f .for .ftn .f77 "
    b".f90 .f95 .f03 .f08 .F .FOR .F77 .F90 .F95 .F03 .F08 .adb .ads .d .hs .lhs .ml .rs .zig "
    b".swift .nim .pas .v .cob .mod".split()
)
"""Suffixes of sources that compilers turn into one object file each."""

_Sources = dict[bytes, list[bytes]]


def count_recompiled(before: Snapshot, after: Snapshot) -> int | None:
    """Count the sources whose object file is new or has another mtime.

    None if no object file is named after a source, or one was written that has no source.
    """
    sources = _sources(after)
    objects = [path for path, entry in after.items() if path.endswith(OBJECT) and entry.kind == "f"]
    written = [
        path
        for path in objects
        if path not in before or before[path].mtime_ns != after[path].mtime_ns
    ]
    compiled = {_source(path, sources) for path in written}
    if None in compiled:
        return None
    return len(compiled) if compiled or any(_source(path, sources) for path in objects) else None


def _sources(tree: Snapshot) -> _Sources:
    """Map each name, with and without its suffix, to the sources that have it."""
    sources: _Sources = {}
    for path, entry in tree.items():
        stem, suffix = os.path.splitext(os.path.basename(path))
        if suffix in _SOURCES and entry.kind in "fl":
            for name in (stem, stem + suffix):
                sources.setdefault(name, []).append(path)
    return sources


def _source(path: bytes, sources: _Sources) -> bytes | None:
    """Return the source of an object file, or None.

    Of several sources with its name it is the one in the most similar folder. If several folders
    are equally similar, the path of the object stands for its source.
    """
    mine = _folders(path)
    for name in _names(os.path.basename(path).removesuffix(OBJECT)):
        if candidates := sources.get(name):
            alike = {candidate: _common(mine, _folders(candidate)) for candidate in candidates}
            best = [
                candidate for candidate in candidates if alike[candidate] == max(alike.values())
            ]
            return best[0] if len(best) == 1 else path
    return None


def _names(stem: bytes) -> Iterator[bytes]:
    """Yield possible names of the source: automake and others make `prog-a.pic.o` from `a.c`."""
    while stem:
        rest = stem
        while rest:
            yield rest
            rest = rest.partition(b"-")[2]
        stem = os.path.splitext(stem)[0] if b"." in stem[1:] else b""


def _folders(path: bytes) -> list[bytes]:
    """Return the folders, innermost first, without libtool's own."""
    return [folder for folder in reversed(path.split(b"/")[:-1]) if folder != b".libs"]


def _common(one: list[bytes], other: list[bytes]) -> int:
    return next(
        (count for count, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
