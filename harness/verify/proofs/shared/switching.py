"""Two runners that take turns on the same katas.

If one mounts them and the other pipes, each leaves files that belong to another user, and the next
must be able to change them. If the other keeps nothing that its runs make, those runs have not
built what the katas hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.inside.errors import EngineError
from harness.inside.folder_katas import FolderKatas
from harness.inside.layout import Avatar
from harness.katas.granular_katas import GranularKatas
from harness.katas.volume_katas import VolumeKatas
from harness.runners import parse_variant
from harness.runners.base import BaseRunner
from harness.runners.claims import Property
from harness.runners.run import Outcome
from harness.verify.proofs.shared.subject import Subject, complete
from harness.verify.proofs.shared.verdict import Refuted
from harness.verify.proofs.shared.waiting import at_once

_PIPE = "katas-data-container"

PARTNERS = {
    FolderKatas: ("katas-volume", "tmp"),
    VolumeKatas: (
        "katas-overlay",
        "katas-subpath",
        _PIPE,
        f"{_PIPE}:standby=seeded",
        f"{_PIPE}:pipe=one-way",
    ),
    GranularKatas: (
        f"{_PIPE}:granularity=kata,pipe=none",
        f"{_PIPE}:granularity=kata",
        f"{_PIPE}:granularity=kata,standby=seeded",
        f"{_PIPE}:granularity=kata,pipe=one-way",
    ),
}
"""The runners that can play on katas of this kind."""


class Switch(NamedTuple):
    """Who plays with whom."""

    partner: str
    """The other runner."""
    begins: bool
    """Whether it plays the first and the third test event; the subject plays the rest."""

    def __str__(self) -> str:
        return f"{'after' if self.begins else 'before'} {self.partner}"


@dataclass(frozen=True)
class _Between:
    """The second of three test events."""

    words: str
    folders: tuple[str, ...]
    times_out: bool = False


_BETWEEN = (
    _Between("edits a file", ("old",)),
    _Between("sends a new folder", ("old", "new")),
    _Between("times out", ("old", "new"), times_out=True),
)

_BUILD = """#!/bin/sh
for folder in {folders}; do
    cat $folder/source >$folder/product && : >>$folder/source && mkdir -p $folder/made &&
    date >$folder/made/product || exit
done
cat */product
{then}
"""
"""Writes over what earlier test events left: products, visible files, and into their folders."""


def switches(runner: BaseRunner) -> list[Switch]:
    """Return who can take turns with a runner on its katas, whatever the engine can mount."""
    partners = (names for kind, names in PARTNERS.items() if isinstance(runner.katas, kind))
    return [Switch(name, begins) for name in next(partners, ()) for begins in (False, True)]


def take_turns(subject: Subject, runner: BaseRunner, switch: Switch) -> None:
    """Refute if a test event fails because of what the other runner left."""
    with _partner(runner, switch.partner) as partner:
        if partner is None or bool(partner.mounts) == bool(runner.mounts):
            return
        first, second = (partner, runner) if switch.begins else (runner, partner)
        at_once(
            [(subject.avatar(), between) for between in _BETWEEN],
            lambda drawn: _three(first, second, *drawn),
        )


_FUTURE = """#!/bin/sh
make -s 2>/dev/null
cat product
[ -e touched ] || touch -d '+1 hour' product touched
"""
"""Builds, and leaves the first product ahead of the clock."""


def forgetful(runner: BaseRunner) -> list[str]:
    """Return who can play on a runner's katas and keeps nothing that a run makes."""
    names = dict.fromkeys(switch.partner for switch in switches(runner))
    variants = {name: parse_variant(name) for name in names}
    return [
        name
        for name, variant in variants.items()
        if Property.EDITS not in variant.kind.claims(variant.options)
    ]


def build_elsewhere(subject: Subject, runner: BaseRunner, name: str) -> None:
    """Refute if an edit that another runner sent, and built elsewhere, is not built here."""
    avatar = subject.avatar()

    def press(player: BaseRunner, content: str) -> None:
        player.prepare(avatar)
        files: dict[str, str | bytes] = {
            "cyber-dojo.sh": _FUTURE,
            "Makefile": "product: source\n\t@cp source product\n",
            "source": content,
        }
        run = complete(player, avatar, files)
        if run.stdout != content:
            raise Refuted(
                f"{name} built an edit of what had a product from the future, and then "
                f"{player.name} gave {run.stdout!r} instead of {content!r}"
            )

    with _partner(runner, name) as partner:
        if partner is not None:
            press(runner, "1")
            press(partner, "2")
            press(runner, "2")
            press(runner, "2")


@contextmanager
def _partner(runner: BaseRunner, name: str) -> Iterator[BaseRunner | None]:
    """Open another runner on the same katas; None if the engine cannot mount what it needs."""
    variant = parse_variant(name)
    options: dict[str, Any] = {"image": runner.image, **variant.options}
    try:
        partner = variant.kind(runner.engine, runner.katas, **options)
    except EngineError:
        yield None
        return
    try:
        yield partner
    finally:
        # Closing it would close the katas, which are not its own.
        partner.end_prepared()


def _three(first: BaseRunner, second: BaseRunner, avatar: Avatar, between: _Between) -> None:
    story = f"{first.name}, then {second.name} {between.words}"
    _build(first, avatar, ("old",), "1", story)
    if between.times_out:
        second.prepare(avatar)
        run = second.run(avatar, _files(between.folders, "2", "sleep 60"), max_seconds=1)
        if run.outcome is not Outcome.TIMED_OUT:
            raise Refuted(f"{story}: {run.outcome}: {run.reason or run.stderr.strip()}")
    else:
        _build(second, avatar, between.folders, "2", story)
    _build(first, avatar, between.folders, "3", f"{story}, then {first.name}")


def _build(
    runner: BaseRunner, avatar: Avatar, folders: tuple[str, ...], content: str, story: str
) -> None:
    runner.prepare(avatar)
    run = complete(runner, avatar, _files(folders, content), story=story)
    if (run.status, run.stdout) != (0, content * len(folders)):
        raise Refuted(
            f"{story}: it gave {run.stdout!r} instead of {content * len(folders)!r}: "
            f"{run.stderr.strip()}"
        )


def _files(folders: tuple[str, ...], content: str, then: str = "") -> dict[str, str | bytes]:
    script = _BUILD.format(folders=" ".join(folders), then=then)
    return {"cyber-dojo.sh": script, **{f"{folder}/source": content for folder in folders}}
