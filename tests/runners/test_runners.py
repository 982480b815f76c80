"""The one interface of all runners: what is refused, what is faulty, and that whatever dies in the
middle, the katas are as they were and nothing is left behind.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from harness import runners
from harness.engines import Engine, Limits, Sandbox, plug_ins
from harness.engines.docker.engine import DockerEngine
from harness.engines.docker.images import KEEPER_IMAGE
from harness.engines.guest.protocol import Request
from harness.engines.local.bubblewrap import bubblewrap_problem
from harness.engines.local.engine import LocalEngine
from harness.inside import saving
from harness.inside.errors import EngineError, ImageError, UsageError
from harness.inside.folder_katas import FolderKatas
from harness.inside.layout import Avatar
from harness.inside.tree import Snapshot, difference
from harness.katas.places import TemporaryKatas
from harness.katas.visible import VisibleFile, VisibleFiles
from harness.runners.base import BaseRunner
from harness.runners.katas_volume import KatasVolume
from harness.runners.run import PHASES, Outcome, Run
from harness.runners.tmp import Tmp
from tests import ROOT
from tests.children import unprivileged
from tests.support import (
    PATIENCE,
    Proxy,
    completed,
    eventually,
    make_runner,
    one_line,
    play,
    running,
    script,
    snapshot,
)

dockers = pytest.mark.parametrize("shared_engine", ["docker", "docker26"], indirect=True)
data_container = pytest.mark.parametrize("runner", ["katas-data-container"], indirect=True)
on_plain_processes = pytest.mark.parametrize("shared_engine", ["local-plain"], indirect=True)


def test_the_runners_of_the_notes_are_found_by_name() -> None:
    assert runners.NOTES_NAMES == ("tmp", "katas-volume", "katas-data-container")
    assert [runners.find(name) for name in runners.runner_names()[:3]] == list(runners.NOTES)
    with pytest.raises(
        UsageError, match="there is no runner fast; there are: tmp, katas-volume, katas-data-"
    ):
        runners.find("fast")


def test_a_runner_of_somebody_elses_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its entry point; one that cannot be loaded is told in one line."""

    def installed(group: str, **wanted: str) -> list[EntryPoint]:
        points = [
            EntryPoint("mine", "harness.runners.tmp:Tmp", group),
            EntryPoint("broken", "no_such_module:Runner", group),
        ]
        return [each for each in points if wanted.get("name", each.name) == each.name]

    monkeypatch.setattr(plug_ins, "entry_points", installed)
    assert runners.runner_names() == [*(each.name for each in runners.BUILT_IN), "broken", "mine"]
    assert runners.find("mine") is Tmp
    with pytest.raises(
        UsageError, match="the runner broken from no_such_module:Runner cannot be loaded"
    ) as refused:
        runners.find("broken")
    one_line(refused.value)


def test_each_step_is_a_phase_with_its_bytes(runner: BaseRunner, avatar: Avatar) -> None:
    """In the order of the notes; what is piped is counted, both ways."""
    run = play(runner, avatar, "true", a="1")
    kinds = [phase.kind for phase in run.phases if phase.kind in PHASES]
    expected = {
        "tmp": ["start", "pipe_in", "run", "save", "commit"],
        "katas-volume": ["save", "start", "run", "commit"],
        "katas-data-container": ["save", "start", "pipe_in", "run", "pipe_out", "commit"],
        "katas-subpath": ["save", "save", "start", "run", "commit"],
        "katas-overlay": ["save", "start", "run", "commit"],
    }[runner.name]
    assert [kind for kind in kinds if kind in expected] == expected
    piped = {phase.kind: (phase.bytes_in > 0, phase.bytes_out > 0) for phase in run.phases}
    for kind, moved in (
        ("pipe_in", (True, False)),
        ("pipe_out", (False, True)),
        ("run", (False, False)),
    ):
        assert piped.get(kind, moved) == moved
    assert sum(phase.nanoseconds for phase in run.phases) <= run.nanoseconds


@on_plain_processes
def test_bad_input_is_refused_and_nothing_is_changed(runner: BaseRunner, avatar: Avatar) -> None:
    files: list[tuple[Mapping[str, str], float]] = [
        (script("true"), 0),
        (script("true"), -1.0),
        (script("true"), float("inf")),
        (script("true"), float("nan")),
        ({"../escape": ""}, 1),
        ({"/etc/passwd": ""}, 1),
        ({"a": "", "a/b": ""}, 1),
    ]
    for each, seconds in files:
        with pytest.raises(UsageError) as refused:
            runner.run(avatar, each, max_seconds=seconds)
        one_line(refused.value)
    assert avatar.kata not in runner.katas.list()


@on_plain_processes
@pytest.mark.parametrize("kind", runners.BUILT_IN, ids=lambda kind: kind.name)
def test_a_runner_that_is_closed_plays_no_more(
    kind: type[BaseRunner], shared_engine: Engine
) -> None:
    """Its katas may be gone: nothing must come into being that nobody removes."""
    with closing(make_runner(kind.name, shared_engine)) as closed:
        pass
    before = {*shared_engine.volumes(), *shared_engine.leftovers()}
    with pytest.raises(UsageError, match="is closed") as refused:
        closed.run(Avatar(), script("true"))
    one_line(refused.value)
    assert {*shared_engine.volumes(), *shared_engine.leftovers()} == before


@on_plain_processes
@pytest.mark.parametrize("command", ["", " ", "a\0b"])
def test_a_command_that_is_no_command_is_refused(command: str, shared_engine: Engine) -> None:
    with pytest.raises(UsageError) as refused:
        make_runner("tmp", shared_engine, command=command)
    one_line(refused.value)


@pytest.mark.parametrize(
    ("name", "bound"), [("output", -1), ("memory", 0), ("event_seconds", float("nan"))]
)
def test_a_limit_that_is_no_limit_is_refused(name: str, bound: float) -> None:
    """Before an engine makes something else of it."""
    with pytest.raises(UsageError, match=f"{name} must be a number above 0") as refused:
        Limits(**{name: bound})  # type: ignore[arg-type]
    one_line(refused.value)


@pytest.mark.parametrize(
    ("name", "bound"), [("output", 1 << 63), ("file", 1 << 70), ("memory", 1.5)]
)
def test_a_limit_that_no_engine_can_be_told_is_refused(name: str, bound: float) -> None:
    """The tools that keep it would fail, and with them the output be lost."""
    with pytest.raises(UsageError, match=f"{name} must be a whole number below") as refused:
        Limits(**{name: bound})  # type: ignore[arg-type]
    one_line(refused.value)


@on_plain_processes
def test_a_time_that_no_clock_holds_is_refused(runner: BaseRunner, avatar: Avatar) -> None:
    """Of a run and of a test event; one of thirty years is waited for, and not reached."""
    with pytest.raises(UsageError, match="must be 1e\\+09 seconds at most") as refused:
        runner.run(avatar, {"cyber-dojo.sh": ""}, max_seconds=1e300)
    one_line(refused.value)
    with pytest.raises(UsageError, match="event_seconds must be 1e\\+09 at most") as refused:
        Limits(event_seconds=1e10)
    one_line(refused.value)
    engine = runner.engine
    with closing(make_runner("tmp", engine, limits=Limits(event_seconds=1e9))) as patient:
        run = patient.run(avatar, {"cyber-dojo.sh": "#!/bin/sh\necho a\n"}, max_seconds=1e9)
    assert (run.outcome, run.stdout) == (Outcome.COMPLETED, "a\n"), run


@on_plain_processes
def test_more_files_than_a_sandbox_may_have_are_refused(shared_engine: Engine) -> None:
    """Before anything is copied, by the name of the limit."""
    runner = make_runner("tmp", shared_engine, limits=Limits(files=2))
    with (
        closing(runner),
        pytest.raises(UsageError, match=r"there are 3 files; the limit is 2 \(Limits") as refused,
    ):
        runner.run(Avatar(), {"cyber-dojo.sh": "", "a": "", "b": ""})
    one_line(refused.value)


@on_plain_processes
def test_a_visible_file_that_has_gone_is_bad_input(
    runner: BaseRunner, avatar: Avatar, tmp_path: Path
) -> None:
    """A tree may change under the harness's eyes; the next test event is an ordinary one."""
    with pytest.raises(UsageError, match="cannot be read: No such file or directory") as refused:
        runner.run(avatar, VisibleFiles({b"cyber-dojo.sh": VisibleFile(tmp_path / "gone")}))
    one_line(refused.value)
    assert play(runner, avatar, "true").tag == 1


@on_plain_processes
@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"a": "1"}, "there is no ./cyber-dojo.sh in the sandbox"),
        ({"cyber-dojo.sh": "echo"}, "./cyber-dojo.sh is not executable; chmod +x it"),
        (
            {"cyber-dojo.sh": "#!/no/sh\n"},
            "the interpreter of ./cyber-dojo.sh, /no/sh, is not in the image",
        ),
    ],
)
def test_a_command_that_cannot_be_started_is_a_fault(
    runner: BaseRunner, avatar: Avatar, files: dict[str, str], reason: str
) -> None:
    """With the reason; nothing is accepted, and the next test event is an ordinary one."""
    run = runner.run(avatar, files)
    assert (run.outcome, run.status, run.tag) == (Outcome.FAULTY, None, None)
    assert run.reason.startswith(reason)
    assert play(runner, avatar, "true").tag == 1


@on_plain_processes
def test_a_full_disk_is_a_fault(
    shared_engine: Engine,
    open_runner: Callable[..., BaseRunner],
    avatar: Avatar,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That of the katas, after a run that completed: it is not accepted."""

    def full(path: str, *arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", path)

    monkeypatch.setattr(saving, "write_file", full)
    run = open_runner("tmp", shared_engine).run(avatar, script("true"))
    assert (run.outcome, run.tag) == (Outcome.FAULTY, None)
    assert "No space left on device" in run.reason


@dockers
@pytest.mark.parametrize("kind", runners.NOTES, ids=runners.NOTES_NAMES)
def test_an_image_that_is_not_there_is_refused(
    kind: type[BaseRunner], shared_engine: Engine
) -> None:
    with (
        closing(TemporaryKatas()) as katas,
        pytest.raises(ImageError, match="harness-test-none") as refused,
    ):
        kind(shared_engine, katas, image="harness-test-none")
    one_line(refused.value)


@pytest.mark.parametrize("shared_engine", ["docker26"], indirect=True)
def test_katas_that_the_engine_does_not_see_are_a_fault(
    shared_engine: Engine, avatar: Avatar
) -> None:
    """A volume mount needs the engine to be on the machine that holds the katas, and is told so if
    it is not.
    """
    with closing(FolderKatas(f"/var/tmp/harness-test-{avatar.kata}")) as katas:
        run = KatasVolume(shared_engine, katas).run(avatar, script("true"))
    assert (run.outcome, run.tag) == (Outcome.FAULTY, None)
    assert f"/var/tmp/harness-test-{avatar.kata}" in run.reason
    assert run.reason.isprintable()


def test_two_avatars_at_once(runner: BaseRunner, avatar: Avatar) -> None:
    """Each has its own run; two test events of one avatar come one after the other."""
    avatars = [avatar, avatar, replace(avatar, name="spider")]
    runs: list[Run] = []

    def press(one: Avatar) -> None:
        runs.append(runner.run(one, script(f"echo {one.name}"), max_seconds=PATIENCE))

    pressed = [threading.Thread(target=press, args=[each]) for each in avatars]
    for each in pressed:
        each.start()
    for each in pressed:
        each.join()
    assert sorted((completed(run).stdout, run.tag) for run in runs) == [
        ("lion\n", 1),
        ("lion\n", 2),
        ("spider\n", 1),
    ]


@pytest.fixture
def played(runner: BaseRunner, avatar: Avatar) -> Snapshot:
    """The katas after a first test event of the avatar's."""
    play(runner, avatar, "echo 1 >made", edited="1")
    return snapshot(runner.katas, avatar)


EDITED = script("echo 2 >made; echo ran", edited="2")


def assert_as_if_never_made(runner: BaseRunner, avatar: Avatar, before: Snapshot) -> None:
    """Only the visible files that are copied in before a run may differ; and where the run sees the
    katas, what it did.
    """
    changed = difference(before, snapshot(runner.katas, avatar))
    copied_in = {b".", b"cyber-dojo.sh", b"edited"} | (
        {b"made"} if runner.name == "katas-volume" else set()
    )
    assert {*changed.added, *changed.removed, *changed.changed} <= copied_in
    assert [each.tag for each in runner.katas.list()[avatar.kata][avatar.name]] == [1]


def assert_next_is_ordinary(runner: BaseRunner, avatar: Avatar) -> None:
    run = completed(runner.run(avatar, EDITED, max_seconds=PATIENCE))
    assert (run.tag, run.stdout) == (2, "ran\n")


@data_container
def test_a_stream_cut_while_the_tree_comes_back(
    runner: BaseRunner, avatar: Avatar, played: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The container is killed in the middle of it: what has arrived is not accepted."""
    pack = Sandbox.pack

    def cut(sandbox: Sandbox) -> Iterator[bytes]:
        pieces = pack(sandbox)
        yield next(pieces)
        sandbox.kill()
        yield from pieces

    monkeypatch.setattr(Sandbox, "pack", cut)
    run = runner.run(
        avatar,
        script("head -c 67108864 /dev/urandom >big; echo 2 >made", edited="2"),
        max_seconds=PATIENCE,
    )
    monkeypatch.undo()
    assert (run.outcome, run.status, run.tag) == (Outcome.FAULTY, 0, None)
    assert run.reason.startswith("the run-container ended in the middle")
    assert_as_if_never_made(runner, avatar, played)
    assert_next_is_ordinary(runner, avatar)


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, EngineError("by a test")], ids=["interrupt", "error"]
)
@pytest.mark.parametrize("shared_engine", ["local", "docker26"], indirect=True)
def test_an_error_in_the_middle_leaves_nothing_behind(
    runner: BaseRunner,
    avatar: Avatar,
    played: Snapshot,
    error: BaseException,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither of ctrl-C, which passes through, nor of what an engine may raise, which is a
    fault.
    """
    left = set(runner.engine.traces())

    def interrupted(sandbox: Sandbox, command: str, seconds: float, roots: tuple[int, ...]) -> None:
        sandbox.guest.ask(Request.RUN, 600, command=b"sleep 1000.0625")
        eventually(lambda: running("sleep\0001000.0625"), "the command runs")
        raise error

    monkeypatch.setattr(Sandbox, "execute", interrupted)
    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            runner.run(avatar, EDITED)
    else:
        run = runner.run(avatar, EDITED)
        assert (run.outcome, run.reason) == (Outcome.FAULTY, "by a test")
    monkeypatch.undo()
    eventually(lambda: set(runner.engine.traces()) <= left, "the sandbox goes")
    assert not running("sleep\0001000.0625")
    assert_as_if_never_made(runner, avatar, played)
    assert_next_is_ordinary(runner, avatar)


@dockers
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tmp", b" started\n"),
        ("katas-volume", b" started\n"),
        ("katas-data-container", b" unpacked 0\n"),
        ("katas-data-container", b" ran 0 "),
        ("katas-data-container", b'"call": "accept"'),
        ("katas-overlay", b" ran 0 "),
        ("katas-overlay", b'"call": "accept"'),
    ],
)
def test_an_engine_that_dies_in_the_middle(
    name: str, words: bytes, shared_engine: Engine, avatar: Avatar, tmp_path: Path
) -> None:
    """Whatever was under way: the test event is faulty with the reason in one line, the katas are
    as they were, and when the engine is back so is the harness.
    """
    assert isinstance(shared_engine, DockerEngine)
    with (
        closing(Proxy(tmp_path, shared_engine.host)) as proxy,
        closing(DockerEngine(proxy.host)) as mortal,
        closing(make_runner(name, mortal)) as runner,
    ):
        play(runner, avatar, "echo 1 >made", edited="1")
        before = snapshot(runner.katas, avatar)
        proxy.die_at(words)
        run = runner.run(avatar, EDITED)
        assert proxy.died()
        assert (run.outcome, run.tag) == (Outcome.FAULTY, None)
        assert run.reason.isprintable()
        still = runner.run(avatar, EDITED)
        assert (still.outcome, still.tag) == (Outcome.FAULTY, None)
        assert still.reason.isprintable()
        proxy.come_back()
        assert_as_if_never_made(runner, avatar, before)
        assert_next_is_ordinary(runner, avatar)


@dockers
def test_a_keeper_that_was_killed_between_test_events_is_replaced(
    shared_engine: Engine, avatar: Avatar
) -> None:
    """Nobody notices."""
    assert isinstance(shared_engine, DockerEngine)
    with closing(make_runner("katas-data-container", shared_engine)) as runner:
        play(runner, avatar, "echo 1 >made", edited="1")
        for each in shared_engine.api.containers():
            if each["Id"] in shared_engine.containers.alive() and each["Image"].startswith(
                KEEPER_IMAGE
            ):
                shared_engine.containers.remove(each["Id"])
        assert_next_is_ordinary(runner, avatar)


CRASHING = """
import sys
from pathlib import Path
from tests.machine import make_engine
from tests.support import make_runner, script
from harness.inside.layout import Avatar

runner = make_runner(sys.argv[2], make_engine(sys.argv[1], Path(sys.argv[3])))
runner.run(Avatar(), script("echo >made; sleep " + sys.argv[4]), max_seconds=600)
"""


@pytest.fixture
def crash(temporary: Path, tmp_path: Path) -> Callable[[str, str], None]:
    """Kills a harness that is in the middle of a test event."""

    def crash_it(engine: str, runner: str) -> None:
        command = [sys.executable, "-c", CRASHING, engine, runner, str(tmp_path), "1000.03125"]
        places = {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
        child = subprocess.Popen(command, env={**os.environ, **places})
        eventually(lambda: running("sleep\0001000.03125"), "the child is in the middle of a run")
        child.kill()
        child.wait()

    return crash_it


@pytest.mark.parametrize("name", ["katas-volume", "katas-data-container", "katas-overlay"])
def test_a_killed_harness_leaves_nothing_that_is_not_swept(
    name: str,
    request: pytest.FixtureRequest,
    shared_engine: Engine,
    crash: Callable[[str, str], None],
    tmp_path: Path,
) -> None:
    """Containers, processes, folders and volumes of its own are found and removed; those of a
    living one are not.
    """
    own = make_runner("katas-data-container", shared_engine)
    before = {*shared_engine.leftovers(), *shared_engine.traces()}
    crash(request.node.callspec.params["shared_engine"], name)
    engine = shared_engine if isinstance(shared_engine, DockerEngine) else LocalEngine(tmp_path)
    left = set(engine.leftovers()) - before
    assert left
    assert left & set(engine.sweep())  # but for what has ended by itself meanwhile
    assert not left & set(engine.leftovers())
    eventually(lambda: not running("sleep\0001000.03125"), "the player ends")
    with closing(own):
        play(own, Avatar(), "true")


def test_closing_a_runner_removes_its_temporary_katas(shared_engine: Engine) -> None:
    before = set(shared_engine.volumes())
    with closing(make_runner("katas-data-container", shared_engine)) as runner:
        assert len(set(shared_engine.volumes()) - before) == 1
    assert not set(shared_engine.volumes()) - before
    with closing(make_runner("katas-volume", shared_engine)) as runner:
        assert isinstance(runner.katas, FolderKatas)
        assert runner.katas.root.is_dir()
    assert not runner.katas.root.exists()


@pytest.mark.parametrize("bubblewrap", [True, False], ids=["bubblewrap", "plain"])
@pytest.mark.parametrize("name", [each.name for each in runners.BUILT_IN])
@unprivileged
def test_a_user_without_privileges_can_play(tmp_path: Path, name: str, bubblewrap: bool) -> None:
    """Test events of which one leaves files that may not be read, and folders that may not be
    entered.
    """
    bubblewrap_problem.cache_clear()
    if bubblewrap and (reason := bubblewrap_problem()):
        pytest.skip(reason)
    leaves = "[ -e a ] && echo kept || { mkdir b; echo 1 >b/c; echo 1 >a; chmod 0 a b/c b; }; stat -c %a a"
    with (
        closing(LocalEngine(tmp_path, bubblewrap=bubblewrap)) as engine,
        closing(make_runner(name, engine)) as runner,
    ):
        for number in (1, 2, 3):
            run = play(runner, Avatar(), leaves, edited=str(number))
            kept = "kept\n" if number > 1 and name != "tmp" else ""
            assert (run.tag, run.stdout) == (number, f"{kept}0\n")


@pytest.mark.parametrize("shared_engine", ["local"], indirect=True)
def test_so_many_layers_lie_over_a_sandbox_as_a_runner_is_told(shared_engine: Engine) -> None:
    """And a session that folds again and again loses nothing, and brings nothing back."""
    made = script("ls src; touch src/$(cat n); rm -f src/old", **{"n": "0", "src/old": ""})
    with closing(make_runner("katas-overlay", shared_engine, layers="2")) as runner:
        avatar, expected = Avatar(), ["old"]
        for number in range(7):
            run = completed(runner.run(avatar, {**made, "n": str(number)}))
            assert sorted(run.stdout.split()) == sorted(expected)
            expected = [*map(str, range(number + 1)), "old"]
            with closing(runner.begin(avatar)) as event:
                assert len(event.stack(shared_engine.player).lower) <= 2 + 1
