"""How many files a command compiled, told from what it left: the sources of which an object file was made anew.

A compiler that writes no object files (javac, tsc), keeps them elsewhere (Go) or cuts a source into several that do not
have its name (cargo) cannot be counted so: of such a build nobody says anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from harness.inside.tree import Snapshot

OBJECT = b".o"

_SOURCES = frozenset(
    b".c .cc .cp .cpp .cxx .c++ .C .CPP .i .ii .m .mm .M .s .S .sx .asm .cu .f .for .ftn .f77 .f90 .f95 .f03 .f08 .F .FOR "
    b".F77 .F90 .F95 .F03 .F08 .adb .ads .d .hs .lhs .ml .rs .zig .swift .nim .pas .v .cob .mod".split()
)
"""What the names of files end in that compilers make one object file of."""

_Sources = dict[bytes, list[bytes]]


def count_recompiled(before: Snapshot, after: Snapshot) -> int | None:
    """Sources whose object file the command wrote: a new one, or one with another stamp. None where there is no object file of
    a source's name, or one was written that has no source.
    """
    sources = _sources(after)
    objects = [path for path, entry in after.items() if path.endswith(OBJECT) and entry.kind == "f"]
    written = [
        each
        for each in objects
        if each not in before or before[each].mtime_ns != after[each].mtime_ns
    ]
    found = {_source(each, sources) for each in written}
    if None in found:
        return None
    return len(found) if found or any(_source(each, sources) for each in objects) else None


def _sources(tree: Snapshot) -> _Sources:
    """The folders that have a source of each name, which is known with its suffix and without."""
    found: _Sources = {}
    for path, entry in tree.items():
        stem, suffix = os.path.splitext(os.path.basename(path))
        if suffix in _SOURCES and entry.kind in "fl":
            for name in (stem, stem + suffix):
                found.setdefault(name, []).append(path)
    return found


def _source(path: bytes, sources: _Sources) -> bytes | None:
    """What the object file is of: of several sources of one name the one in the folder most like its own, or, where none is,
    just the one of this object.
    """
    mine = _folders(path)
    for name in _names(os.path.basename(path).removesuffix(OBJECT)):
        if candidates := sources.get(name):
            alike = {each: _common(mine, _folders(each)) for each in candidates}
            best = [each for each in candidates if alike[each] == max(alike.values())]
            return best[0] if len(best) == 1 else path
    return None


def _names(stem: bytes) -> Iterator[bytes]:
    """What the source of an object file may be called: `prog-a.pic.o` of automake and others is of `a.c`."""
    while stem:
        rest = stem
        while rest:
            yield rest
            rest = rest.partition(b"-")[2]
        stem = os.path.splitext(stem)[0] if b"." in stem[1:] else b""


def _folders(path: bytes) -> list[bytes]:
    """From the innermost on; libtool's own is none."""
    return [each for each in reversed(path.split(b"/")[:-1]) if each != b".libs"]


def _common(one: list[bytes], other: list[bytes]) -> int:
    return next(
        (count for count, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
