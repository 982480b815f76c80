"""The head start: what stands by saves time, and changes nothing else."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import runners
from harness.engines import Engine, Sandbox
from harness.engines.docker.engine import DockerEngine
from harness.engines.local.engine import LocalEngine
from harness.inside import staged_changes
from harness.inside.changes import Changes, Folder, Listing
from harness.inside.errors import EngineError, HarnessError, KatasError, UsageError
from harness.inside.layout import Avatar
from harness.inside.tree import Entry
from harness.inside.tree import snapshot as look
from harness.runners.katas_data_container import KatasDataContainer
from harness.runners.run import Outcome, Output, Run
from harness.runners.standby import WORKERS, Missed, Standby, Standing
from tests import ROOT
from tests.support import (
    PATIENCE,
    an_avatar,
    completed,
    eventually,
    make_runner,
    one_line,
    play,
    script,
    snapshot,
)

NAME = "katas-data-container"
once = pytest.mark.parametrize("shared_engine", ["local", "docker26"], indirect=True)


@pytest.fixture(scope="module")
def seeded(shared_engine: Engine) -> Iterator[KatasDataContainer]:
    """One for all tests that do it no harm."""
    with closing(make_runner(NAME, shared_engine, standby="seeded", observe=True)) as opened:
        assert isinstance(opened, KatasDataContainer)
        yield opened


@pytest.fixture(scope="module")
def cold(shared_engine: Engine) -> Iterator[KatasDataContainer]:
    with closing(make_runner(NAME, shared_engine)) as opened:
        assert isinstance(opened, KatasDataContainer)
        yield opened


def sent_only_the_edit(run: Run) -> bool:
    return any("only the edit" in phase.step for phase in run.phases)


def seen(tree: Mapping[bytes, Entry]) -> dict[bytes, Entry]:
    """As it is seen without contents."""
    return {path: replace(entry, target=b"", digest="", link=b"") for path, entry in tree.items()}


def timeless(tree: Mapping[bytes, Entry]) -> dict[bytes, Entry]:
    """Without stamps, which two events one after the other never share."""
    return {path: replace(entry, mtime_ns=0) for path, entry in tree.items()}


def assert_kept(runner: KatasDataContainer, avatar: Avatar, run: Run) -> Mapping[bytes, Entry]:
    """The katas hold what the run left, to the nanosecond; returns it."""
    assert run.observed is not None
    kept = snapshot(runner.katas, avatar)
    assert seen(kept) == dict(run.observed.after)
    return kept


PATHS = ("a", "b", "d", "d/x", "d/y", "d/e", "d/e/z", "v", "d/v")
MODES = ("0", "400", "500", "644", "755", "1777")


COPY = "case $(readlink -f {1})/ in ($(readlink -f {0})/*) ;; (*) cp -pR {0} {1} ;; esac"
"""Not into itself: what a folder then holds depends on the order in which its entries are read."""


def commands() -> st.SearchStrategy[str]:
    """What a run may do to its sandbox; what is not possible then is left."""
    path = st.sampled_from(PATHS)
    return st.one_of(
        # Whoever opens a named pipe waits for ever.
        st.builds("[ -p {0} ] || echo {1} >{0}".format, path, st.integers(0, 9)),
        st.builds("[ -p {0} ] || echo more >>{0}".format, path),
        st.builds("mkdir -p {0}".format, path),
        st.builds("rm -rf {0}".format, path),
        st.builds("mv {0} {1}".format, path, path),
        st.builds("mv -T {0} {1}".format, path, path),
        st.builds("ln {0} {1}".format, path, path),
        st.builds("ln -s {0} {1}".format, path, path),
        st.builds("chmod {1} {0}".format, path, st.sampled_from(MODES)),
        # What lies ahead of the clock is moved to it for a run, and back afterwards.
        st.builds("touch -h -d @{1}.123456789 {0}".format, path, st.integers(0, 2**30)),
        st.builds("mkfifo {0}".format, path),
        st.builds(COPY.format, path, path),
    )


VISIBLE = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(["1", "2"]) for name in ("v", "d/v", "new/v", "x")}
)
EVENTS = st.lists(st.tuples(st.lists(commands(), max_size=5), VISIBLE), min_size=2, max_size=4)


@once
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(events=EVENTS)
def test_a_head_start_gives_the_same_katas(
    seeded: KatasDataContainer,
    cold: KatasDataContainer,
    events: Sequence[tuple[Sequence[str], dict[str, str]]],
) -> None:
    """As a test event that starts from nothing, whatever the runs and the edits before did; and
    what they left is kept to the nanosecond.
    """
    avatar = an_avatar()
    for lines, visible in events:
        text = "\n".join(f"({line}) 2>/dev/null" for line in lines) + "\nexit 0\n"
        files = script(text, **visible)
        seeded.prepare(avatar)
        run = completed(seeded.run(avatar, files, max_seconds=PATIENCE))
        kept = assert_kept(seeded, avatar, run)
        completed(cold.run(avatar, files, max_seconds=PATIENCE))
        assert timeless(kept) == timeless(snapshot(cold.katas, avatar))


CASES = {
    "renamed folder": ("mkdir -p d/e; echo 1 >d/e/f; echo 2 >d/g", "mv d c"),
    "hard links": ("echo 1 >a; ln a b; mkdir d; ln a d/c", "echo 2 >>b; ln a e; rm d/c"),
    "file to folder": ("echo 1 >a", "rm a; mkdir a; echo 2 >a/b"),
    "folder to file": ("mkdir a; echo 1 >a/b", "rm -r a; echo 2 >a"),
    "folder to symlink": ("mkdir a; echo 1 >a/b", "mv a c; ln -s c a; echo 2 >a/b"),
    "deletions": ("mkdir -p a/b; touch a/b/c a/d e", "rm -r a/b e"),
    "unreadable": (
        "echo 1 >a; mkdir d; echo 1 >d/e; chmod 0 a d/e d",
        "chmod 700 d; echo 2 >d/f; chmod 0 d",
    ),
    "stamp set back": ("echo 1 >a; touch -d @1000 a", "echo 2 >a; touch -d @1000 a"),
    "mode and stamp of a folder": (
        "mkdir -p a/b",
        "chmod 500 a/b; touch -d @1000.5 a/b; chmod 711 a; touch -d @7 a",
    ),
    "awkward names": (
        "touch -- '-rf' 'two\nlines' ' ' $(printf 'x\\377')",
        "echo 1 >-rf; rm 'two\nlines'",
    ),
    "nothing": ("echo 1 >a", "true"),
    "sparse": ("truncate -s 1M a", "truncate -s 2M a; echo >>a"),
}


@pytest.mark.parametrize("case", CASES)
def test_only_what_changed_comes_back(seeded: KatasDataContainer, case: str) -> None:
    """The tree is what the run left, though only the edit was sent."""
    first, second = CASES[case]
    avatar = an_avatar()
    play(seeded, avatar, first)
    seeded.prepare(avatar)
    run = play(seeded, avatar, second)
    assert sent_only_the_edit(run)
    assert_kept(seeded, avatar, run)


MAPS = """
import mmap
with open("data", "r+b") as file, mmap.mmap(file.fileno(), 0) as data:
    data[0]
    data[0:1] = b"b"
"""


@pytest.mark.parametrize("shared_engine", ["local", "local-plain"], indirect=True)
def test_what_is_written_through_a_mapping_comes_back(
    shared_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on a tmpfs, which stamps neither mtime nor ctime once the page was read."""
    if not os.path.isdir("/dev/shm"):
        pytest.skip("no tmpfs here")
    monkeypatch.setattr("tempfile.tempdir", "/dev/shm")
    with closing(make_runner(NAME, shared_engine, standby="seeded")) as runner:
        avatar = an_avatar()
        play(runner, avatar, "echo aaaa >data")
        runner.prepare(avatar)
        run = play(runner, avatar, f"python3 -c {shlex.quote(MAPS)}")
        assert sent_only_the_edit(run)
        assert play(runner, avatar, "cat data").stdout == "baaa\n"


@once
def test_each_container_serves_one_test_event(seeded: KatasDataContainer) -> None:
    """Nothing outside the sandbox is there the next time, and the next one's container is
    another.
    """
    avatar = an_avatar()
    for _ in range(3):
        seeded.prepare(avatar)
        run = play(
            seeded,
            avatar,
            "cat /tmp/left 2>/dev/null; echo 1 >/tmp/left; echo 1 >>runs; wc -l <runs",
        )
        assert "1\n" not in run.stdout.splitlines(keepends=True)[:-1]
    assert run.stdout.strip() == "3"


@once
@pytest.mark.parametrize("what", ["another process", "the same runner's twin"])
def test_where_the_katas_changed_meanwhile_it_is_thrown_away(
    shared_engine: Engine, seeded: KatasDataContainer, what: str
) -> None:
    """And the test event starts from nothing, on what the katas hold now; also after one that
    changed nothing but was not accepted.
    """
    avatar = an_avatar()
    play(seeded, avatar, "echo 1 >made")
    seeded.prepare(avatar)
    other = KatasDataContainer(shared_engine, seeded.katas)
    if what == "another process":
        play(other, avatar, "echo 2 >made")
    else:
        assert (
            other.run(avatar, script("sleep 60", v="1"), max_seconds=0.2).outcome
            is Outcome.TIMED_OUT
        )
    run = play(seeded, avatar, "cat made", v="1")
    assert not sent_only_the_edit(run)
    assert run.stdout == ("2\n" if what == "another process" else "1\n")
    seeded.prepare(avatar)
    assert sent_only_the_edit(play(seeded, avatar, "cat made", v="2"))


@once
def test_one_that_died_while_it_stood_by_is_not_missed(seeded: KatasDataContainer) -> None:
    """The test event starts from nothing, as it would have without, and says so."""
    avatar = an_avatar()
    play(seeded, avatar, "echo 1 >made")
    seeded.prepare(avatar)
    assert seeded.standby is not None
    seeded.standby.standing[avatar].result().sandbox.kill()
    run = play(seeded, avatar, "cat made")
    assert (run.stdout, sent_only_the_edit(run)) == ("1\n", False)
    (remark,) = run.remarks
    assert remark.startswith("the head start failed, and the test event started from nothing: ")


@pytest.mark.parametrize("standby", ["warm", "seeded"])
@once
def test_a_run_past_its_limit_leaves_nothing(shared_engine: Engine, standby: str) -> None:
    """As without a head start; and the next one is an ordinary test event."""
    with closing(make_runner(NAME, shared_engine, standby=standby)) as runner:
        avatar = an_avatar()
        play(runner, avatar, "echo 1 >made")
        before = snapshot(runner.katas, avatar)
        runner.prepare(avatar)
        run = runner.run(avatar, script("echo 2 >made; sleep 60"), max_seconds=0.5)
        assert (run.outcome, run.tag) == (Outcome.TIMED_OUT, None)
        after = snapshot(runner.katas, avatar)
        assert {path for path in after if after[path] != before.get(path)} <= {
            b".",
            b"cyber-dojo.sh",
        }
        assert play(runner, avatar, "cat made").stdout == "1\n"


@once
def test_no_more_than_so_many_stand_by_and_none_is_left(shared_engine: Engine) -> None:
    """The least recently used gives way; closing removes all, also one that is only being
    prepared.
    """
    before = set(shared_engine.traces())
    avatars = [an_avatar() for _ in range(3)]
    with closing(make_runner(NAME, shared_engine, standby="seeded", standing="2")) as runner:
        assert isinstance(runner, KatasDataContainer)
        for each in avatars:
            play(runner, each, "true")
        for each in avatars:
            runner.prepare(each)
        assert runner.standby is not None
        assert list(runner.standby.standing) == avatars[1:]
        assert not sent_only_the_edit(play(runner, avatars[0], "true"))
        assert sent_only_the_edit(play(runner, avatars[2], "true"))
    eventually(lambda: set(shared_engine.traces()) <= before, "all of them go")


class Idle:
    """In place of a sandbox."""

    def __init__(self, closed: list[str], name: str) -> None:
        self._closed, self._name = closed, name

    def close(self) -> None:
        self._closed.append(self._name)


def ready(standby: Standby, avatar: Avatar) -> Standing:
    """What is prepared, once it is."""
    future = standby.prepare(avatar)
    assert future is not None
    return future.result()


def test_the_least_recently_used_gives_way() -> None:
    """A table of at most two: the one that was used again stays."""
    closed: list[str] = []
    with closing(
        Standby(lambda avatar: Standing(cast(Sandbox, Idle(closed, avatar.name))), 2)
    ) as standby:
        for name in ("lion", "newt", "lion", "toad"):
            ready(standby, Avatar(name=name))
        assert closed == ["newt"]
        assert standby.take(Avatar(name="newt")) is None
        taken = standby.take(Avatar(name="lion"))
        assert taken is not None
        assert standby.take(Avatar(name="lion")) is None, "it is the caller's now"
        assert standby.take(Avatar(name="newt"), of_anybody=True) is not None, "toad's"
        ready(standby, Avatar(name="wolf"))
    assert closed == ["newt", "wolf"]
    assert standby.prepare(Avatar()) is None


def test_one_that_failed_is_prepared_anew() -> None:
    """Its failure is told to who waits for it, and to the test event that goes without it."""
    failures = [EngineError("by a test"), EngineError("by a test")]

    def start(avatar: Avatar) -> Standing:
        if failures:
            raise failures.pop()
        return Standing(cast(Sandbox, Idle([], avatar.name)))

    with closing(Standby(start, 2)) as standby:
        for _ in range(2):
            with pytest.raises(EngineError, match="by a test"):
                ready(standby, Avatar())
        assert standby.take(Avatar()) == Missed("by a test")
        assert ready(standby, Avatar()) is standby.take(Avatar())


def test_a_head_start_that_is_only_queued_is_not_waited_for() -> None:
    """Others' may take as long as they like."""
    may_start, begun = threading.Event(), threading.Semaphore(0)
    closed: list[str] = []

    def start(avatar: Avatar) -> Standing:
        begun.release()
        assert may_start.wait(PATIENCE)
        return Standing(cast(Sandbox, Idle(closed, avatar.name)))

    with closing(Standby(start, 2 * WORKERS)) as standby:
        for number in range(WORKERS):
            standby.prepare(Avatar(name=f"slow{number}"))
            assert begun.acquire(timeout=PATIENCE)
        queued = standby.prepare(Avatar(name="quick"))
        assert queued is not None
        assert standby.take(Avatar(name="quick")) is None
        assert queued.cancelled()
        may_start.set()
        taken = standby.take(Avatar(name="slow0"))
        assert taken is not None, "one that is under way is waited for"
        assert standby.prepare(Avatar(name="quick")) is not None


def test_none_is_prepared_for_an_avatar_that_plays() -> None:
    """Its katas are locked, and whoever prepares would wait for them; with the last of its test
    events it may.
    """
    closed: list[str] = []
    with closing(
        Standby(lambda avatar: Standing(cast(Sandbox, Idle(closed, avatar.name))), 2)
    ) as standby:
        ready(standby, Avatar(name="lion"))
        with standby.playing(Avatar(name="lion")) as standing:
            assert standing is not None
            with standby.playing(Avatar(name="lion")) as another:
                assert another is None
            assert standby.prepare(Avatar(name="lion")) is None
            assert standby.prepare(Avatar(name="newt")) is not None
        assert closed == ["lion"]
        with pytest.raises(Refusal), standby.playing(Avatar(name="lion")):
            raise Refusal
        assert standby.prepare(Avatar(name="lion")) is not None


@pytest.mark.parametrize("shared_engine", ["local"], indirect=True)
def test_slow_avatars_do_not_hold_up_others(shared_engine: Engine) -> None:
    """More avatars than threads that prepare, each with a run that goes on and another press that
    waits for it.
    """
    with (
        closing(make_runner(NAME, shared_engine, standby="seeded")) as runner,
        ThreadPoolExecutor(2 * WORKERS + 2) as players,
    ):
        flag = "while ! [ -e /proc/self/cwd/none ]; do sleep 0.1; done"
        slow = []
        for _ in range(WORKERS + 1):
            avatar = an_avatar()
            play(runner, avatar, "true")
            slow += [
                players.submit(runner.run, avatar, script(flag), max_seconds=60) for _ in range(2)
            ]
        quick = an_avatar()
        for number in range(3):
            assert play(runner, quick, f"echo {number}").stdout == f"{number}\n"
        assert not any(each.done() for each in slow)
        runner.close()
        assert all(isinstance(each.exception(PATIENCE), HarnessError) for each in slow)


@pytest.mark.parametrize("shared_engine", ["local"], indirect=True)
def test_a_head_start_gives_up_an_avatar_that_is_played_elsewhere(
    shared_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another process, for as long as a test event lasts: few threads prepare for all."""
    monkeypatch.setattr("harness.runners.katas_data_container.PLANTING_SECONDS", 0.2)
    with closing(make_runner(NAME, shared_engine, standby="seeded")) as runner:
        avatar = an_avatar()
        with closing(runner.katas.event(avatar)), pytest.raises(HarnessError, match="in use"):
            runner.prepare(avatar)
        assert ["in use" in line for line in play(runner, avatar, "true").remarks] == [True]
        runner.prepare(avatar)
        assert sent_only_the_edit(play(runner, avatar, "true"))


CRASHING = """
import os, sys
from pathlib import Path
from tests.machine import make_engine
from tests.support import make_runner, play
from harness.inside.layout import Avatar

runner = make_runner("katas-data-container", make_engine(sys.argv[1], Path(sys.argv[2])), standby="seeded")
play(runner, Avatar(), "true")
runner.prepare(Avatar())
os.kill(os.getpid(), 9)
"""


@once
def test_a_killed_harness_leaves_nothing_that_is_not_swept(
    request: pytest.FixtureRequest, shared_engine: Engine, temporary: Path, tmp_path: Path
) -> None:
    """What stood by ends by itself, or is found by its label."""
    before = set(shared_engine.leftovers())
    command = [
        sys.executable,
        "-c",
        CRASHING,
        request.node.callspec.params["shared_engine"],
        str(tmp_path),
    ]
    places = {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
    assert subprocess.run(command, env={**os.environ, **places}, check=False).returncode == -9
    engine = shared_engine if isinstance(shared_engine, DockerEngine) else LocalEngine(tmp_path)
    left = set(engine.leftovers()) - before
    assert left, "its temporary katas at least"
    engine.sweep()
    eventually(lambda: not left & set(engine.leftovers()), "all of it is swept")


def test_the_output_is_in_hand_before_it_is_kept(seeded: KatasDataContainer) -> None:
    """Once, of a command that ended in time; the katas hold it when the run is returned."""
    avatar = an_avatar()
    handed: list[tuple[Output, int]] = []
    started = time.monotonic_ns()
    run = completed(
        seeded.run(
            avatar,
            script("echo out; echo err >&2; exit 3"),
            max_seconds=PATIENCE,
            on_output=lambda output: handed.append((output, time.monotonic_ns() - started)),
        )
    )
    assert [output for output, _ in handed] == [Output(3, "out\n", "err\n", truncated=False)]
    assert run.answered is not None
    assert run.answered <= handed[0][1]
    assert run.answered < run.nanoseconds
    late = seeded.run(
        avatar,
        script("sleep 60"),
        max_seconds=0.2,
        on_output=lambda output: handed.append((output, 0)),
    )
    assert (late.outcome, late.answered, len(handed)) == (Outcome.TIMED_OUT, None, 1)


class Refusal(Exception):
    """Of a test."""


def test_who_cannot_take_the_output_gets_nothing_accepted(seeded: KatasDataContainer) -> None:
    """What the callback raises passes through."""

    def refuse(output: Output) -> None:
        raise Refusal

    avatar = an_avatar()
    play(seeded, avatar, "echo 1 >made")
    with pytest.raises(Refusal):
        seeded.run(avatar, script("echo 2 >made"), on_output=refuse)
    run = play(seeded, avatar, "cat made")
    assert (run.stdout, run.tag) == ("1\n", 2)


@pytest.mark.parametrize("shared_engine", ["local-plain"], indirect=True)
def test_a_crash_between_any_two_steps_is_made_good(
    shared_engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Once what changed was decided on, whoever comes next finds all of it."""
    decided = Changes(
        gone=(b"old", b"gone"),
        brought=(b"folder", b"new/file", b"file/inside", b"plain"),
        folders=(Folder(b".", 0o755, 5), Folder(b"file", 0o700, 6), Folder(b"new", 0o500, 7)),
    )

    def plant(root: Path) -> tuple[str, str]:
        for name in ("old/x", "gone", "folder/y", "file", "plain", "kept"):
            (root / "sandbox" / name).parent.mkdir(parents=True, exist_ok=True)
            (root / "sandbox" / name).write_text("before")
        for name in decided.brought:
            path = root / "staging" / os.fsdecode(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("after")
            os.utime(path, ns=(9, 9))
        os.utime(root / "sandbox/kept", ns=(1, 1))
        return str(root / "sandbox"), str(root / "staging")

    class Crash(Exception):
        pass

    calls = ("rename", "mkdir", "unlink", "rmdir", "fchmod", "utime")
    real = {name: getattr(os, name) for name in calls}
    results = []
    for fatal in range(40):
        sandbox, staging = plant(tmp_path / str(fatal))
        left = fatal

        def dying(name: str) -> Callable[..., object]:
            def call(*arguments: object, **options: object) -> object:
                nonlocal left
                if left == 0:
                    raise Crash
                left -= 1
                return real[name](*arguments, **options)

            return call

        for name in calls:
            monkeypatch.setattr(os, name, dying(name))
        with suppress(Crash):
            staged_changes.carry_out(sandbox, staging, decided)
        monkeypatch.undo()
        staged_changes.carry_out(sandbox, staging, decided)
        results.append(look(sandbox, contents=True))
        if left > 0:
            break
    assert fatal > 10, "there are steps to die between"
    assert all(each == results[-1] for each in results)
    assert {os.fsdecode(path) for path in results[-1]} == {
        ".",
        "file",
        "file/inside",
        "folder",
        "kept",
        "new",
        "new/file",
        "plain",
    }


def test_what_was_not_brought_is_not_accepted(tmp_path: Path) -> None:
    """Nor what would leave the sandbox."""
    for name in ("sandbox", "staging"):
        tmp_path.joinpath(name).mkdir()
    with pytest.raises(KatasError, match="'a/b' was to be brought back, but is missing") as refused:
        staged_changes.check_staged(
            str(tmp_path / "sandbox"), str(tmp_path / "staging"), Changes((), (b"a/b",), ())
        )
    one_line(refused.value)
    with pytest.raises(UsageError, match="escapes its sandbox"):
        staged_changes.check_staged(
            str(tmp_path / "sandbox"), str(tmp_path / "staging"), Changes((b"../b",), (), ())
        )


@once
def test_where_it_cannot_be_listed_the_whole_tree_comes_back(
    shared_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a run that was sent only the edit."""
    with closing(make_runner(NAME, shared_engine, standby="seeded", observe=True)) as runner:
        assert isinstance(runner, KatasDataContainer)
        avatar = an_avatar()
        play(runner, avatar, "echo 1 >made")
        runner.prepare(avatar)

        def fail(sandbox: Sandbox) -> Listing:
            raise EngineError("by a test")

        monkeypatch.setattr(Sandbox, "listing", fail)
        run = play(runner, avatar, "echo 2 >made; echo 3 >more")
        monkeypatch.undo()
        assert sent_only_the_edit(run)
        assert_kept(runner, avatar, run)


def test_a_head_start_is_for_a_pipe_both_ways() -> None:
    """Else there is nothing to be had from it."""
    for options in ("standby=seeded,pipe=one-way", "standby=warm,granularity=avatar"):
        with pytest.raises(UsageError, match="standby needs pipe=two-way"):
            runners.parse_variant(f"{NAME}:{options}")
