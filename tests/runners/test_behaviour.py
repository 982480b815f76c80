"""What users of the original rely on: the list at the end of FACTS.md, for each runner on each engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from support import eventually, make_runner, play, script, snapshot

from harness import runners
from harness.engines import Engine, Limits
from harness.engines.spec import MIB
from harness.katas.layout import Avatar
from harness.runners.base import BaseRunner
from harness.runners.run import Outcome, Run
from harness.runners.tmp import Tmp
from harness.tree import Snapshot, difference

keeping = pytest.mark.parametrize(
    "runner", [each.name for each in runners.BUILT_IN if each is not Tmp], indirect=True
)
"""The runners for which a sandbox goes on from one test event to the next."""


data_container = pytest.mark.parametrize("runner", ["katas-data-container"], indirect=True)


def keeps(runner: BaseRunner) -> bool:
    return runner.name != "tmp"


def seen(run: Run) -> tuple[Snapshot, Snapshot]:
    """The sandbox as the run found it, and as it left it."""
    assert run.observed is not None
    return run.observed.before, run.observed.after


def test_a_first_test_event(runner: BaseRunner, avatar: Avatar) -> None:
    """Is completed whatever its status, and accepted with the tag 1; each step of the notes is a phase."""
    run = play(runner, avatar, "echo out; echo err >&2; exit 137")
    assert (run.status, run.stdout, run.stderr, run.truncated) == (137, "out\n", "err\n", False)
    assert (run.tag, run.reason) == (1, "")
    assert [phase.nanoseconds > 0 for phase in run.phases] == [True] * len(run.phases)
    assert {"run", "commit"} <= {phase.kind for phase in run.phases}
    assert [each.tag for each in runner.katas.list()[avatar.kata][avatar.name]] == [1]


def test_without_a_change_every_stamp_stays(runner: BaseRunner, avatar: Avatar) -> None:
    """All of it is kept: stamps of files and folders, modes, contents."""
    files = {"a/b.c": "1", "c": b"\xff\0"}
    first = play(runner, avatar, "ls -R >/dev/null", **files)
    before = snapshot(runner.katas, avatar)
    second = play(runner, avatar, "ls -R >/dev/null", **files)
    assert snapshot(runner.katas, avatar) == before
    assert second.tag == 2
    if keeps(runner):
        assert seen(second) == seen(first)
    else:
        assert seen(second)[0][b"c"].mtime_ns > seen(first)[0][b"c"].mtime_ns, "brand new, every time"


def test_one_change_changes_one_file(runner: BaseRunner, avatar: Avatar) -> None:
    """The folder that it lies in changes with it, nothing else; a new file's stamp has a fraction of a second."""
    play(runner, avatar, "true", changes="1", stays="1", goes="1", **{"sub/stays": "1"})
    before = snapshot(runner.katas, avatar)
    play(runner, avatar, "true", changes="2", stays="1", new="1", **{"sub/stays": "1"})
    after = snapshot(runner.katas, avatar)
    changed = difference(before, after)
    assert (changed.added, changed.removed, changed.changed) == ((b"new",), (b"goes",), (b".", b"changes"))
    assert after[b"new"].mtime_ns % 10**9
    assert after[b"changes"].mtime_ns > max(entry.mtime_ns for entry in before.values())


BUILDS_OR_DELETES = "if [ -e built ]; then echo built; rm built; else echo 1 >built; fi"


def test_what_a_run_built_and_deleted(runner: BaseRunner, avatar: Avatar) -> None:
    """An artefact is there next time, with its stamp; what a later run deleted stays deleted. Of tmp's runs nothing is left."""
    runs = [play(runner, avatar, BUILDS_OR_DELETES) for _ in range(4)]
    assert [run.stdout for run in runs] == (["", "built\n"] * 2 if keeps(runner) else [""] * 4)
    if keeps(runner):
        assert seen(runs[1])[0][b"built"] == seen(runs[0])[1][b"built"]


def test_output_of_75_kb_is_cut_and_flagged(runner: BaseRunner, avatar: Avatar) -> None:
    """At 50 KiB; and what is no UTF-8 is cleaned."""
    run = play(
        runner, avatar, "printf 'a\\377b\\n'; head -c 76800 /dev/zero | tr '\\0' x; printf '\\303' >&2"
    )
    assert run.truncated
    assert run.stdout == "a\ufffdb\n" + "x" * (50 * 1024 - 4)
    assert run.stderr == "\ufffd"


def test_an_endless_run_times_out(runner: BaseRunner, avatar: Avatar, shared_engine: Engine) -> None:
    """It is as if the attempt was never made, but for the visible files that were copied in before: no tag, nothing that
    it made, nothing left behind. What it printed until then is kept, and the next test event is an ordinary one.
    """
    play(runner, avatar, "echo 1 >made", edited="1")
    before, left = snapshot(runner.katas, avatar), set(shared_engine.traces())
    files = script("echo before; echo 2 >made; echo 2 >late; while :; do :; done", edited="2")
    run = runner.run(avatar, files, max_seconds=1.0)
    assert (run.outcome, run.status, run.tag, run.stdout) == (Outcome.TIMED_OUT, None, None, "before\n")
    changed = difference(before, snapshot(runner.katas, avatar))
    copies_in = keeps(runner) and runner.name != "katas-overlay"  # which throws the edit away with the rest
    copied_in = {b".", b"cyber-dojo.sh", b"edited"} if copies_in else set()
    made = {b"made", b"late"} if runner.name == "katas-volume" else set()  # which is not atomic
    assert {*changed.added, *changed.removed, *changed.changed} == copied_in | made
    run = play(runner, avatar, "cat edited", edited="2")
    assert (run.tag, run.stdout) == (2, "2")
    eventually(lambda: set(shared_engine.traces()) <= left, "everything is gone")


@data_container
def test_an_endless_printer_times_out(runner: BaseRunner, avatar: Avatar, shared_engine: Engine) -> None:
    left = set(shared_engine.traces())
    run = runner.run(avatar, script("while :; do echo x; done"), max_seconds=1.0)
    assert (run.outcome, run.truncated, run.tag) == (Outcome.TIMED_OUT, True, None)
    assert run.stdout == "x\n" * (25 * 1024)
    eventually(lambda: set(shared_engine.traces()) <= left, "everything is gone")


NAMES = (
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
    "ünïcödé",
    os.fsdecode(b"\xff\xfe no utf-8"),
    "x" * 255,
)


def test_any_name_will_do(runner: BaseRunner, avatar: Avatar) -> None:
    """The files arrive under their names, and come back; an edit and a deletion find them again. Empty ones too."""
    files = dict.fromkeys(NAMES, b"1") | {"empty": b""}
    first = play(runner, avatar, "find . -type f | tr -cd '\\n' | wc -l; true", **files)
    names = {os.fsencode(name) for name in files} | {b"cyber-dojo.sh"}
    assert {path for path, entry in seen(first)[0].items() if entry.kind == "f"} == names
    edited = dict.fromkeys(NAMES, b"22") | {"empty": b""}
    del edited["-rf"]
    play(runner, avatar, "true", **edited)
    after = {path: entry.size for path, entry in snapshot(runner.katas, avatar).items() if entry.kind == "f"}
    assert {path: size for path, size in after.items() if path != b"cyber-dojo.sh"} == {
        os.fsencode(name): len(content) for name, content in edited.items()
    }


def test_two_avatars_of_one_kata_do_not_see_each_other(runner: BaseRunner, avatar: Avatar) -> None:
    spider = replace(avatar, name="spider")
    play(runner, avatar, "echo lion >secret")
    run = play(
        runner,
        spider,
        "cat secret ../secret ../*/secret ../../*/secret ../lion/sandbox/secret 2>&1; ls -A ..",
    )
    assert "lion" not in run.stdout.replace("../lion/sandbox/secret", "")
    assert b"secret" not in snapshot(runner.katas, spider)
    assert (b"secret" in snapshot(runner.katas, avatar)) == keeps(runner)


def test_an_image_without_the_command(runner: BaseRunner, avatar: Avatar) -> None:
    """Is faulty, with the reason, in one line; nothing is accepted, and the next test event is an ordinary one."""
    run = runner.run(avatar, {"cyber-dojo.sh": "#!/usr/bin/env gnat\n", "a": "1"})
    assert (run.outcome, run.status, run.tag) == (Outcome.FAULTY, None, None)
    assert run.reason == "the interpreter of ./cyber-dojo.sh, gnat, is not in the image"
    assert play(runner, avatar, "cat a", a="1").tag == 1


MAKEFILE = """\
program: main.o other.o
\tcc -o $@ $^
%.o: %.c
\tcc -MMD -MP -c -o $@ $<
-include main.d other.d
"""


def test_an_edit_of_a_header_is_seen(runner: BaseRunner, avatar: Avatar) -> None:
    """Only what includes it is compiled again."""
    files = {
        "Makefile": MAKEFILE,
        "main.c": '#include <stdio.h>\n#include "n.h"\nint main(void) { return !printf("%d\\n", N); }\n',
        "other.c": "int other;\n",
    }
    first, second = (
        play(runner, avatar, "make -s && ./program", **files, **{"n.h": f"#define N {number}\n"})
        for number in (1, 2)
    )
    assert (first.stdout, second.stdout) == ("1\n", "2\n")
    objects = [
        {path for path in (b"main.o", b"other.o") if seen(run)[0].get(path) != seen(run)[1][path]}
        for run in (first, second)
    ]
    assert objects == [{b"main.o", b"other.o"}, {b"main.o"} if keeps(runner) else {b"main.o", b"other.o"}]


@keeping
def test_an_edit_right_after_a_build_is_always_seen(runner: BaseRunner, avatar: Avatar) -> None:
    """However fast one follows the other: ten in a row, without a pause."""
    makefile = "out: in\n\tcp in out\n"
    built = [play(runner, avatar, "make -s; cat out", Makefile=makefile, **{"in": str(n)}) for n in range(10)]
    assert [run.stdout for run in built] == [str(n) for n in range(10)]


ZOO = """
if [ -e zoo ]; then find . -newer zoo/late 2>/dev/null; exec du -k zoo/sparse; fi
mkdir zoo zoo/closed zoo/empty && cd zoo
echo secret >unreadable; echo inside >closed/file
ln -s nowhere dangling; ln -s ../zoo/closed link; ln -s / up
echo twice >one; ln one two
truncate -s 3M sparse; echo end >>sparse
mkfifo pipe
echo old >old; touch -d '1971-02-03 04:05:06.123456789' old
echo late >late; touch -d '2191-02-03 04:05:06.987654321' late
touch -h -d '2001-01-01 00:00:00.000000001' dangling
touch -d '2002-02-02 00:00:00.5' empty
chmod 4755 one; chmod 1777 empty; chmod 0 unreadable closed/file closed
"""


@keeping
def test_whatever_a_run_leaves_is_there_next_time_as_it_was(runner: BaseRunner, avatar: Avatar) -> None:
    """What nobody may read, links of both kinds, holes, pipes; stamps to the nanosecond, old ones and future ones, however
    often it travels. And an edit is still seen.
    """
    first = play(runner, avatar, ZOO, edited="1")
    left, kept = seen(first)[1], snapshot(runner.katas, avatar)
    assert left[b"zoo/unreadable"].mode == left[b"zoo/closed"].mode == 0
    assert left[b"zoo/old"].mtime_ns % 10**9 == 123456789
    for _ in range(2):
        again = play(runner, avatar, ZOO, edited="1")
        assert seen(again) == (left, left)
        assert snapshot(runner.katas, avatar) == kept
    assert kept[b"zoo/two"].link == b"zoo/one"
    after, hole = play(runner, avatar, ZOO, edited="2").stdout.splitlines()
    assert after == "./edited", "it is later than all that it found"
    assert int(hole.split()[0]) < 1000, "the hole is still one"


@pytest.mark.parametrize("mode", ["0000", "0111", "0200", "0400"])
def test_a_run_that_shuts_itself_out(runner: BaseRunner, avatar: Avatar, mode: str) -> None:
    """Of its visible files, their folders or the sandbox itself: the next test event is an ordinary one, edit or no edit."""
    shuts = f"cat a/b c; [ -e once ] || {{ echo 1 >once; chmod {mode} a/b c cyber-dojo.sh a .; }}"
    for number in ("1", "1", "2"):
        run = play(runner, avatar, shuts, c=number, **{"a/b": number})
        assert (run.status, run.stdout) == (0, number * 2)


BOMBS = {
    "forks": "bomb() { bomb | bomb & }; bomb; sleep 1",
    "memory": "head -c 300000000 /dev/zero | tail -c 299999999",
    "kills": "kill -9 1 $PPID; kill -9 -1; kill -9 0",
    "deletes": "rm -rf -- * .[!.]* /tmp/*",
    "fills": "head -c 100000000 /dev/zero >big; head -c 100000000 /dev/zero >/tmp/big",
    "opens": "make -s fopen && ./fopen",
}

FOPEN = (
    '#include <stdio.h>\nint main(void) { int n = 0; while (fopen("/dev/null", "r")) n++; return n < 3; }\n'
)


@pytest.fixture(scope="module")
def bounded(shared_engine: Engine) -> Iterator[BaseRunner]:
    """A runner whose runs may not have much."""
    limits = Limits(memory=64 * MIB, file=8 * MIB, temporary=8 * MIB, processes=50, open_files=100)
    with closing(make_runner("katas-data-container", shared_engine, limits=limits)) as opened:
        yield opened


@pytest.mark.parametrize("shared_engine", ["local", "docker", "docker26"], indirect=True)
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_bounded_and_reported(bounded: BaseRunner, avatar: Avatar, bomb: str) -> None:
    """It ends, says so, and the next test event of the same avatar is an ordinary one."""
    run = bounded.run(avatar, script(BOMBS[bomb], a="1", **{"fopen.c": FOPEN}), max_seconds=30)
    assert run.outcome == Outcome.COMPLETED
    assert run.status is not None
    assert play(bounded, avatar, "cat a", a="1").stdout == "1"
