"""Ownership: files belong to the run's user inside, and to the katas' user in the katas.

So the host needs no special uid. Whatever modes a run gives, they stay, and cannot break the next
test event; nor can owners, if another runner plays it, whose runs work in the katas.

Questions about owners cost one test event and examples of modes two; several avatars play at once.
"""

from __future__ import annotations

import io
import shlex
import tarfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from hypothesis import strategies as st

from harness.inside.layout import Avatar
from harness.runners.base import BaseRunner
from harness.verify.proofs.shared.avatar_state import avatar_state
from harness.verify.proofs.shared.search import Search
from harness.verify.proofs.shared.subject import Subject, complete
from harness.verify.proofs.shared.switching import switches, take_turns
from harness.verify.proofs.shared.verdict import Refuted
from harness.verify.proofs.shared.waiting import at_once
from harness.verify.testing.strategies import several

_WHOSE = (
    'id -u; find . ! -uid "$(id -u)"; '
    "mkdir folder; echo 1 >folder/product; ln -s product folder/link"
)

MAKE = (
    "mkdir -p product/folder; echo 1 >product/folder/file; "
    "echo 1 >product/file; echo 1 >sub/product"
)

PATHS = (
    ".",
    "cyber-dojo.sh",
    "edit",
    "sub",
    "sub/edit",
    "sub/product",
    "product",
    "product/folder",
    "product/folder/file",
)
"""Paths whose mode a run may change: the sandbox, visible files, their folders, and products."""

MODES = (0, 0o111, 0o200, 0o400, 0o644, 0o755, 0o1777, 0o2755, 0o4755, 0o6000, 0o7777)

_READ = "cat edit sub/edit"


@dataclass(frozen=True)
class Chmod:
    """A change of mode that a run makes."""

    path: str
    mode: int

    def __str__(self) -> str:
        return f"chmod {self.mode:04o} {self.path}"


_AT_ONCE = 4
"""Avatars that play at once."""

_EDITED = ((), ("edit",), ("sub/edit",), ("edit", "sub/edit"))
"""Visible files that the next test event edits; it reads the others as they were left."""

CHMODS = st.lists(
    st.builds(Chmod, st.sampled_from(PATHS), st.sampled_from(MODES)),
    min_size=1,
    max_size=4,
    unique_by=lambda chmod: chmod.path,
)


def prove(subject: Subject, search: Search) -> None:
    """Refute by the first wrong owner, or by modes that break the next test event."""
    with subject.runner() as runner:
        search.listed("owners", OWNERS, lambda name: OWNERS[name](runner, subject.avatar()))

        def shut(name: str) -> None:
            at_once(
                _EDITED, lambda edited: _modes(runner, subject.avatar(), [CLOSED[name]], edited, ())
            )

        search.listed("closed", CLOSED, shut, weigh=lambda name: len(_EDITED))
        search.listed(
            "switches", switches(runner), lambda switch: take_turns(subject, runner, switch)
        )

        def check(several: Sequence[tuple[list[Chmod], Sequence[str]]]) -> None:
            at_once(several, lambda drawn: _modes(runner, subject.avatar(), *drawn))

        modes = several(st.tuples(CHMODS, st.sampled_from(_EDITED)), most=_AT_ONCE)
        search.drawn("modes", modes, check, most=subject.most(80, 8), weigh=len)


def _inside(runner: BaseRunner, avatar: Avatar) -> None:
    run = complete(runner, avatar, _files(_WHOSE))
    uid, *others = run.stdout.splitlines()
    if uid == "0" and runner.engine.isolates:
        raise Refuted("the run is root")
    if others:
        raise Refuted(f"{others[0]} does not belong to the uid {uid}, the run's own")


def _in_the_katas(runner: BaseRunner, avatar: Avatar) -> None:
    complete(runner, avatar, _files(_WHOSE))
    archive = io.BytesIO()
    runner.katas.download(avatar.kata, archive.write)
    archive.seek(0)
    with tarfile.open(fileobj=archive) as members:
        owners = {member.name: member.uid for member in members}
    own = owners[f"./{avatar.name}/.git"]
    for name, uid in sorted(owners.items()):
        if uid != own:
            raise Refuted(
                f"{name} belongs to the uid {uid}, which the host must have, and the katas to {own}"
            )


def _mounted(runner: BaseRunner, avatar: Avatar) -> None:
    """Look at the mount: if the harness has the run's uid, the owners of files tell nothing."""
    with closing(runner.begin(avatar)) as katas:
        spec = runner.spec(avatar, katas)
    if spec.mount is not None:
        where = "the katas' volume" if spec.mount.in_volume else "a folder of the host"
        raise Refuted(f"the run writes into {where} as the uid {spec.uid}, which must own it there")


CLOSED = {f"chmod 0000 {path}": Chmod(path, 0) for path in (".", "sub", "cyber-dojo.sh")}
"""Modes that shut out the next test event most surely."""

OWNERS = {
    "inside the run": _inside,
    "in the katas": _in_the_katas,
    "mounted": _mounted,
}


def _modes(
    runner: BaseRunner, avatar: Avatar, chmods: Sequence[Chmod], *presses: Sequence[str]
) -> None:
    """Play one test event that gives the modes, and one for each of `presses`.

    These edit some files, if any, and read them all.
    """
    deepest_first = sorted(
        chmods, key=lambda chmod: chmod.path.count("/") + (chmod.path != "."), reverse=True
    )
    words = ", ".join(map(str, deepest_first))
    commands = "; ".join(
        f"chmod {chmod.mode:04o} {shlex.quote(chmod.path)}" for chmod in deepest_first
    )
    script = f"[ -e given ] || {{ {MAKE}; echo 1 >given; {commands}; exit; }}; {_READ}"
    complete(runner, avatar, _files(script))
    given = avatar_state(runner.katas, avatar)
    for chmod in deepest_first:
        entry = given.sandbox.get(chmod.path.encode())
        if "product" in chmod.path and entry and entry.mode != chmod.mode:
            raise Refuted(
                f"after {words} the katas hold {chmod.path} with the mode {entry.mode:04o}"
            )
    for edited in presses:
        try:
            run = complete(runner, avatar, _files(script, *edited))
        except Refuted as refuted:
            raise Refuted(f"after {words} {refuted}") from refuted
        expected = "".join("2" if name in edited else "1" for name in ("edit", "sub/edit"))
        if b"given" in given.sandbox and (run.status, run.stdout) != (0, expected):
            raise Refuted(
                f"after {words} the next test event gave {run.stdout!r} "
                f"instead of {expected!r}: {run.stderr.strip()}"
            )


def _files(script: str, *edited: str) -> dict[str, str | bytes]:
    files: dict[str, str | bytes] = {
        name: "2" if name in edited else "1" for name in ("edit", "sub/edit")
    }
    return {"cyber-dojo.sh": f"#!/bin/sh\n{script}\n", **files}
