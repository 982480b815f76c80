"""Behaves: what users of the original rely on, case by case; each docstring says what must be true.

Cases that need a kept sandbox are only for runners that claim to keep it. Cases that would harm
the machine are only for runners that claim to isolate. A case is one to four test events, half a
second each on Docker.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from harness.engines import Limits
from harness.engines.spec import MIB
from harness.inside.layout import Avatar, printable_name
from harness.inside.tree import Snapshot, difference
from harness.runners.base import BaseRunner
from harness.runners.claims import Property
from harness.runners.run import Outcome, Run
from harness.verify.proofs.shared.search import Search
from harness.verify.proofs.shared.subject import Subject, complete, kept, seen
from harness.verify.proofs.shared.tree_differences import differences
from harness.verify.proofs.shared.verdict import Refuted

_SCRIPT = b"cyber-dojo.sh"

KEPT = 50 * 1024
"""Bytes that are kept of each output, as in the notes."""

_LIMITS = Limits(memory=64 * MIB, file=8 * MIB, temporary=8 * MIB, processes=50, open_files=100)
"""For runs that take whatever they can get."""


@dataclass
class _Player:
    """One avatar with its runner."""

    subject: Subject
    runner: BaseRunner
    avatar: Avatar

    def files(self, script: str, **files: str | bytes) -> dict[str, str | bytes]:
        return {"cyber-dojo.sh": "#!/bin/sh\n" + script, **files}

    def play(self, script: str, **files: str | bytes) -> Run:
        """Play a test event, which must complete."""
        return complete(self.runner, self.avatar, self.files(script, **files))

    def kept(self) -> Snapshot:
        return kept(self.runner, self.avatar)


_Case = Callable[[_Player], None]


def prove(subject: Subject, search: Search) -> None:
    """Refute by the first case whose docstring does not hold."""
    with subject.runner() as runner:
        search.listed(
            "cases",
            [case for case, needed in CASES.items() if needed is None or subject.claims(needed)],
            lambda case: case(_Player(subject, runner, subject.avatar())),
            show=words,
        )
        search.listed(
            "prints",
            search.some(PRINTS),
            lambda name: prints(_Player(subject, runner, subject.avatar()), name),
        )
    if subject.claims(Property.ISOLATED):
        with subject.runner(limits=_LIMITS) as runner:
            search.listed(
                "bombs",
                BOMBS,
                lambda bomb: explode(_Player(subject, runner, subject.avatar()), bomb),
            )


def words(case: _Case) -> str:
    """Return what must be true of a case, without the full stop."""
    return " ".join((case.__doc__ or "").split()).rstrip(".")


def expect(true: object, otherwise: str) -> None:
    """Raise Refuted unless `true`."""
    if not true:
        raise Refuted(otherwise)


def says(run: Run, stdout: str) -> None:
    expect(run.stdout == stdout, f"it printed {run.stdout!r}, not {stdout!r}")


def completes(player: _Player) -> None:
    """A run completes whatever its exit status, 137 too, and is accepted with the next tag."""
    for tag, status in enumerate((0, 137), 1):
        run = player.play(f"echo out; echo err >&2; exit {status}")
        expect(
            (run.status, run.tag) == (status, tag),
            f"it had the status {run.status} and the tag {run.tag}",
        )
        expect(
            (run.stdout, run.stderr) == ("out\n", "err\n"),
            f"it printed {run.stdout!r} and {run.stderr!r}",
        )
        expect(not run.truncated, "its output was flagged as cut")
    listed = (
        player.runner.katas.list(player.avatar.kata)
        .get(player.avatar.kata, {})
        .get(player.avatar.name, ())
    )
    tags = [increment.tag for increment in listed]
    expect(tags == [1, 2], f"the katas list the tags {tags}")


def unchanged(player: _Player) -> None:
    """After two test events without a change, the stat of every file is the same."""
    files: dict[str, str | bytes] = {"a/b.c": "1", "c": b"\xff\0"}
    first = player.play("ls -R >/dev/null", **files)
    before = player.kept()
    second = player.play("ls -R >/dev/null", **files)
    if said := differences(before, player.kept()):
        raise Refuted(f"in the katas {said}")
    if said := differences(seen(first).after, seen(second).before):
        raise Refuted(f"in the sandbox {said}")


def _edits(player: _Player) -> None:
    """An edit, a new file and a deletion change nothing else; new stamps are the latest."""
    player.play("true", changes="1", stays="1", goes="1", **{"sub/stays": "1"})
    before = player.kept()
    player.play("true", changes="2", stays="1", new="1", **{"sub/stays": "1"})
    after = player.kept()
    made = difference(before, after)
    expect(
        (made.added, made.removed, set(made.changed) - {b"."})
        == ((b"new",), (b"goes",), {b"changes"}),
        differences(before, after),
    )
    latest = max(entry.mtime_ns for entry in before.values())
    expect(
        after[b"changes"].mtime_ns > latest, "the edited file is not later than all that was there"
    )
    # A whole second would come from a clock that is too coarse to order edits.
    expect(after[b"new"].mtime_ns % 10**9, "the stamp of the new file has no fraction of a second")


def artefacts(player: _Player) -> None:
    """What a run built is there in the next run, with its stamp; what it deleted stays deleted."""
    script = "if [ -e built ]; then echo built; rm built; else echo 1 >built; fi"
    runs = [player.play(script) for _ in range(3)]
    expect(
        [run.stdout for run in runs] == ["", "built\n", ""],
        f"a file that is made, deleted and made again was seen as {[run.stdout for run in runs]}",
    )
    left, found = seen(runs[0]).after[b"built"], seen(runs[1]).before[b"built"]
    expect(left == found, differences({b"built": left}, {b"built": found}))


def future(player: _Player) -> None:
    """An edit is later than everything that a run left, even files from the future."""
    script = (
        "[ -e late ] && exec find . -newer late || touch -d '2191-02-03 04:05:06.987654321' late"
    )
    player.play(script, edited="1")
    says(player.play(script, edited="2"), "./edited\n")


def output(player: _Player) -> None:
    """Output of 75 KB is cut at 50 KiB and flagged; bytes that are not UTF-8 are replaced."""
    run = player.play(
        "printf 'a\\377b\\n'; head -c 76800 /dev/zero | tr '\\0' x; printf '\\303' >&2"
    )
    expect(run.truncated, "it was not flagged as cut")
    expect(run.stdout == "a\ufffdb\n" + "x" * (50 * 1024 - 4), f"{len(run.stdout)} characters came")
    expect(run.stderr == "\ufffd", f"stderr was {run.stderr!r}")


def endless(player: _Player) -> None:
    """A run that never ends times out, its output until then is kept, and the next is ordinary."""
    player.play("echo 1 >made")
    run = player.runner.run(
        player.avatar,
        player.files("echo before; echo 2 >made; while :; do :; done"),
        max_seconds=1.0,
    )
    expect(run.outcome is Outcome.TIMED_OUT, f"it was {run.outcome}: {run.reason}")
    expect(
        (run.tag, run.status, run.stdout) == (None, None, "before\n"),
        f"it gave {run.tag}, {run.stdout!r}",
    )
    after = player.play("cat made 2>/dev/null || echo gone")
    expect(after.tag == 2, f"the next had the tag {after.tag}")
    if player.subject.claims(Property.TIMED_OUT):
        says(after, "1\n" if player.subject.claims(Property.MIRROR) else "gone\n")


def endless_printer(player: _Player) -> None:
    """A run that prints without end times out, and its output is cut."""
    run = player.runner.run(
        player.avatar, player.files("while :; do echo x; done"), max_seconds=1.0
    )
    expect(run.outcome is Outcome.TIMED_OUT, f"it was {run.outcome}: {run.reason}")
    expect(run.truncated, "it was not flagged as cut")
    expect(run.stdout == "x\n" * (25 * 1024), f"{len(run.stdout)} characters came")
    says(player.play("echo next"), "next\n")


PRINTS = {
    "nothing": (b"", b"", 0),
    "no newline at the end": (b"out", b"err", 1),
    "newlines alone": (b"\n\n\n", b"\n", 2),
    "carriage returns": (b"a\r\nb\r", b"\r", 0),
    "control characters": (b"\1\33[31m\177\7", b"\33]0;title\7", 3),
    "zeros": (b"\0a\0\0b", b"\0", 0),
    "bytes that are not UTF-8": (b"\303(\377", b"\200", 4),
    "half a character at the end": (b"a\342\202", b"\360\237", 0),
    "characters of four bytes": ("\U0001f600\u00e9".encode() * 500, b"", 5),
    "text that looks like an end marker": (b"--\nHARNESS\n.\n", b"EOF\n", 0),
    "as much as is kept": (b"x" * 51200, b"y" * 51200, 0),
    "one byte more than is kept": (b"x" * 51201, b"", 0),
    "much more to stderr": (b"a\n", b"z" * 70_000, 0),
    "the exit status of a signal": (b"a", b"b", 143),
    "the exit status 126": (b"a\n", b"", 126),
    "the exit status 255": (b"", b"b\n", 255),
}
"""What a run prints to stdout and to stderr, and its exit status, by name."""


def prints(player: _Player, name: str) -> None:
    """The output arrives as it was printed, but for bytes that are not UTF-8 and what is cut."""
    stdout, stderr, status = PRINTS[name]
    run = player.play(f"cat out; cat err >&2; exit {status}", out=stdout, err=stderr)
    expect(run.status == status, f"its exit status was {run.status}")
    expect(
        run.truncated == (max(len(stdout), len(stderr)) > KEPT),
        f"it was{' not' * (not run.truncated)} flagged as cut",
    )
    for found, sent in ((run.stdout, stdout), (run.stderr, stderr)):
        wanted = sent[:KEPT].decode(errors="replace")
        expect(found == wanted, f"it printed {found[:60]!r}, and {wanted[:60]!r} was sent")


_NAMES = (
    ".hidden",
    "a folder/nested/deep/file",
    "&",
    "semi;colon|pipe>x",
    "it's",
    'double"quote',
    "back\\slash",
    " leading and trailing ",
    "new\nline",
    "tab\there",
    "-rf",
    "--directory=x",
    "*",
    "$(echo)",
    "\u00fcn\u00efc\u00f6d\u00e9",
    os.fsdecode(b"\xff\xfe no utf-8"),
    "x" * 255,
)


def _names(player: _Player) -> None:
    """Files of any name arrive, even empty ones; edits and deletions find them again."""
    files = dict.fromkeys(_NAMES, b"1") | {"empty": b""}
    run = player.play("true", **files)
    edited = dict.fromkeys(_NAMES, b"22") | {"empty": b""}
    del edited["-rf"]
    again = player.play("true", **edited)
    for sent, found in (
        (files, seen(run).before),
        (edited, seen(again).before),
        (edited, player.kept()),
    ):
        wanted = {os.fsencode(name): len(content) for name, content in sent.items()}
        there = {
            path: entry.size
            for path, entry in found.items()
            if entry.kind == "f" and path != _SCRIPT
        }
        differ = sorted(
            path for path in wanted.keys() | there.keys() if wanted.get(path) != there.get(path)
        )
        expect(
            not differ,
            f"{', '.join(map(printable_name, differ))} did not arrive, or should not be there",
        )


def neighbours(player: _Player) -> None:
    """Two avatars of one kata do not get each other's files; if isolated, they cannot read them."""
    spider = replace(player, avatar=replace(player.avatar, name="spider"))
    says(player.play("echo the first >secret; cat secret"), "the first\n")
    run = spider.play("cat secret ../secret ../../*/secret ../../*/sandbox/secret 2>/dev/null")
    if player.subject.claims(Property.ISOLATED):
        says(run, "")
    expect(b"secret" not in spider.kept(), "the other one's file is in its katas")


def no_command(player: _Player) -> None:
    """An image without the command is faulty, with a reason of one line; the next is ordinary."""
    run = player.runner.run(player.avatar, {"cyber-dojo.sh": "#!/usr/bin/env gnat\n", "a": "1"})
    expect(
        (run.outcome, run.tag) == (Outcome.FAULTY, None),
        f"it was {run.outcome}, with the tag {run.tag}",
    )
    expect("gnat" in run.reason and "\n" not in run.reason, f"the reason was {run.reason!r}")
    again = player.play("cat a", a="1")
    says(again, "1")
    expect(again.tag == 1, f"the next had the tag {again.tag}")


CASES: dict[_Case, Property | None] = {
    completes: None,
    unchanged: Property.EXACT_MTIMES,
    _edits: None,
    artefacts: Property.MIRROR,
    future: Property.MIRROR,
    output: None,
    endless: None,
    endless_printer: None,
    _names: None,
    neighbours: None,
    no_command: None,
}
"""Each case, with the property that a runner must claim to be asked for it."""

BOMBS = {
    "a run that forks without end": "bomb() { bomb | bomb & }; bomb; sleep 1",
    "a run that takes memory without end": "head -c 300000000 /dev/zero | tail -c 299999999",
    "a run that kills whatever it can": "kill -9 1 $PPID; kill -9 -1; kill -9 0",
    "a run that deletes all files": "rm -rf -- * .[!.]* /tmp/*",
    "a run that fills the disk": (
        "head -c 100000000 /dev/zero >big; head -c 100000000 /dev/zero >/tmp/big"
    ),
    "a run that opens files without end": "make -s fopen && ./fopen",
}
"""What a bomb does, by name."""

FOPEN = (
    "#include <stdio.h>\n"
    'int main(void) { int n = 0; while (fopen("/dev/null", "r")) n++; return n < 3; }\n'
)


def explode(player: _Player, bomb: str) -> None:
    """The bomb is bounded and reported, and the next test event is an ordinary one."""
    files: dict[str, str | bytes] = {"a": "1", "fopen.c": FOPEN}
    run = player.runner.run(player.avatar, player.files(BOMBS[bomb], **files), max_seconds=30)
    expect(run.outcome is Outcome.COMPLETED, f"it was {run.outcome}: {run.reason}")
    expect(run.status is not None, "it had no exit status")
    says(player.play("cat a", **files), "1")
