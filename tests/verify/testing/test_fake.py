"""The fake engine: real runners play on it, and its faults and its clock do what they say."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import cast

import pytest

from harness import runners
from harness.engines import Engine, SandboxSpec
from harness.engines.guest.protocol import Request
from harness.engines.local.engine import LocalEngine
from harness.engines.streams import Stream
from harness.inside.errors import EngineError, UsageError
from harness.inside.layout import Avatar
from harness.runners.base import BaseRunner
from harness.runners.claims import Property
from harness.runners.katas_data_container import KatasDataContainer
from harness.runners.katas_overlay import KatasOverlay
from harness.runners.run import Outcome, Run
from harness.verify.faults.wrapped import WrappedEngine, WrappedStream
from harness.verify.proofs import Effort, Status, Subject, examine
from harness.verify.testing.fake import Clock, FakeEngine, Played
from harness.verify.testing.faults import CutInput, CutOutput, KillAt, Refuse, StreamFault
from tests.support import an_avatar, completed, fill, make_runner, play, script, snapshot

NAME, OVERLAY = KatasDataContainer.name, KatasOverlay.name

HOUR_NS = 3600 * 10**9

BUILD = "make -s && cat built"
MAKEFILE = "built: source\n\techo building; cp source built\n"


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeEngine]:
    with closing(FakeEngine(tmp_path)) as engine:
        yield engine
        engine.close()
        assert not engine.traces()


@pytest.fixture
def opened(fake: FakeEngine) -> Iterator[Callable[[str], BaseRunner]]:
    """Opens a runner on it."""
    runner: list[BaseRunner] = []

    def open_it(text: str) -> BaseRunner:
        runner.append(runners.parse_variant(text).open(fake, observe=True))
        return runner[-1]

    yield open_it
    for each in runner:
        each.close()


def variants() -> Iterator[str]:
    """The built-in runners that need no kernel's help, with each option that they can take alone."""
    for kind in runners.BUILT_IN:
        if kind.name != OVERLAY:
            yield kind.name
            for option, values in kind.OPTIONS.items():
                for value in values[1:] if option != "standing" else ():
                    with suppress(UsageError):
                        yield runners.parse_variant(f"{kind.name}:{option}={value}").label


@pytest.mark.parametrize("text", [*variants(), f"{NAME}:granularity=kata,standby=seeded"])
def test_runners_play_on_it(text: str, opened: Callable[[str], BaseRunner]) -> None:
    """Test events are accepted, builds are incremental where they should be, and what was observed
    is what is there; a head start is used.
    """
    runner = opened(text)
    avatar = Avatar()

    def build(source: str) -> Run:
        runner.prepare(avatar)
        run = play(runner, avatar, BUILD, Makefile=MAKEFILE, source=source)
        assert not run.remarks
        assert sent_only_the_edit(run) == text.endswith("seeded")
        return run

    first = build("one\n")
    assert (first.tag, first.stdout) == (1, "building\none\n")
    keeps = Property.INCREMENTAL in runners.parse_variant(text).claims(runner.engine)
    assert build("one\n").stdout == ("one\n" if keeps else "building\none\n")
    edited = build("two\n")
    assert edited.stdout == "building\ntwo\n"
    assert edited.observed is not None
    assert {b".", b"built", b"source"} < edited.observed.after.keys()
    failed = play(runner, avatar, "echo wrong >&2; exit 3")
    assert (failed.status, failed.stderr) == (3, "wrong\n")


def sent_only_the_edit(run: Run) -> bool:
    """Whether the container that stood by held the rest, and brought back only what changed."""
    steps = [phase.step for phase in run.phases if phase.kind == "pipe_in"]
    return bool(steps) and all("only the edit" in step for step in steps)


def test_one_runner_needs_a_kernel(fake: FakeEngine) -> None:
    with pytest.raises(EngineError, match="makes no mount of the kind Overlay"):
        runners.parse_variant(OVERLAY).open(fake)


@pytest.mark.parametrize("standby", ["warm", "seeded"])
def test_a_head_start_that_fails_is_told(
    standby: str, fake: FakeEngine, opened: Callable[[str], BaseRunner]
) -> None:
    """What stands by needs no other container; if none can be started for the next test event, that
    starts from nothing, and says why.
    """
    runner = opened(f"{NAME}:standby={standby}")
    runner.prepare(Avatar())
    fake.inject(Refuse("no room in here"))
    assert not play(runner, Avatar(), "true").remarks
    with pytest.raises(EngineError, match="no room in here"):
        runner.prepare(Avatar())
    fake.inject(Refuse("no room in here"))
    with pytest.raises(EngineError, match="no room in here"):
        runner.prepare(Avatar())
    run = play(runner, Avatar(), "true")
    assert not sent_only_the_edit(run)
    assert [line.rpartition(": ")[2] for line in run.remarks] == ["no room in here"]


def test_a_prepared_test_event_that_is_struck_at_any_request(fake: FakeEngine) -> None:
    """Before the command runs, it starts from nothing, and says why; afterwards it is faulty, and
    the katas are as they were. The next one is an ordinary one.
    """
    with closing(make_runner(NAME, fake)) as cold:

        def press(fault: StreamFault) -> tuple[Run, list[Request]]:
            """A test event with a fault in what was prepared, and one after it."""
            avatar, asked = an_avatar(), list[Request]()
            play(cold, avatar, BUILD, Makefile=MAKEFILE, source="one\n", gone="")
            listening = cast(Engine, Listening(fake, asked))
            runner = KatasDataContainer(listening, cold.katas, standby="seeded")
            fake.inject(fault)
            with suppress(EngineError):
                runner.prepare(avatar)
            files = script(BUILD, Makefile=MAKEFILE, source="two\n")
            struck = runner.run(avatar, files, max_seconds=60)
            runner.end_prepared()
            after = play(cold, avatar, BUILD, Makefile=MAKEFILE, source="two\n")
            assert after.tag == (3 if struck.tag else 2)
            assert after.stdout == ("two\n" if struck.tag else "building\ntwo\n")
            return struck, asked

        whole, requests = press(KillAt(10**9))
        assert sent_only_the_edit(whole)
        assert not whole.remarks
        assert {*requests} >= {*Request} - {
            Request.OBSERVE,
            Request.USAGE,
            Request.CLOCK,
            Request.DIGEST,  # only where the file system says too little
            Request.PACK,
        }
        for number in range(1, len(requests) + 1):
            run, asked = press(KillAt(number))
            assert asked[:number] == requests[:number]
            ran = Request.RUN in requests[:number]
            assert run.outcome is (Outcome.FAULTY if ran else Outcome.COMPLETED), (asked, run)
            assert bool(run.remarks) != ran
            assert bool(run.reason) == ran


class Listening(WrappedEngine):
    """Notes what is asked of its run-containers."""

    def __init__(self, engine: Engine, asked: list[Request]) -> None:
        super().__init__(engine)
        self._asked = asked

    def wrap_run(self, stream: Stream) -> Stream:
        return Noting(stream, self._asked)


class Noting(WrappedStream):
    """Notes each request."""

    def __init__(self, stream: Stream, asked: list[Request]) -> None:
        super().__init__(stream)
        self._asked = asked

    def write(self, data: bytes, deadline: float) -> None:
        self._asked += [each for each in Request if data.startswith(each.beginning)]
        super().write(data, deadline)


def test_it_observes_what_find_would(tmp_path: Path, fake: FakeEngine) -> None:
    """Every entry that a real guest reports, to the nanosecond."""
    seen = []
    with closing(LocalEngine(tmp_path, bubblewrap=False)) as local:
        for engine in (local, fake):
            with closing(engine.open(SandboxSpec())) as sandbox:
                fill(sandbox, {"a b/c\n": "text", "run": "#!/bin/sh"})
                sandbox.execute(
                    "ln -s nowhere link; touch -d '1950-01-02 03:04:05.678901234' run .; chmod 755 .; umask 0",
                    10,
                )
                found = sandbox.observe()
            seen.append({path: entry for path, entry in found.items() if path in (b".", b"run")})
            assert found.keys() == {b".", b"a b", b"a b/c\n", b"link", b"run"}
    assert seen[0] == seen[1]
    assert seen[0][b"run"].mtime_ns % 10**9 == 678_901_234


def test_a_program_that_never_ends_waits_for_no_limit(
    fake: FakeEngine, opened: Callable[[str], BaseRunner]
) -> None:
    """The clock is moved past it: a limit of eleven days takes no time."""
    fake.play = lambda sandbox, command: None
    run = opened("katas-data-container").run(Avatar(), script("sleep 1"), max_seconds=10**6)
    assert run.outcome is Outcome.TIMED_OUT


def test_a_player_may_be_python(fake: FakeEngine, opened: Callable[[str], BaseRunner]) -> None:
    """Then no program is started."""

    def player(sandbox: Path, command: str) -> Played:
        (sandbox / "made").write_text(command)
        return Played(7, b"out", b"err")

    fake.play = player
    runner = opened("katas-data-container")
    run = completed(runner.run(Avatar(), script("true"), max_seconds=10))
    assert (run.status, run.stdout, run.stderr) == (7, "out", "err")
    assert b"made" in snapshot(runner.katas, Avatar())


@pytest.mark.parametrize(
    ("clock", "wanted"),
    [
        (Clock(ahead_ns=HOUR_NS), lambda stamp, now: stamp > now + HOUR_NS // 2),
        (Clock(ahead_ns=-HOUR_NS), lambda stamp, now: stamp < now - HOUR_NS // 2),
        (Clock(tick_ns=2 * 10**9), lambda stamp, now: stamp % (2 * 10**9) == 0),
    ],
)
def test_the_clock_stamps_what_a_run_writes(
    clock: Clock,
    wanted: Callable[[int, int], bool],
    fake: FakeEngine,
    opened: Callable[[str], BaseRunner],
) -> None:
    """And nothing else: the visible files carry the katas' own stamps. Edits are seen all the
    same.
    """
    fake.clock = clock
    runner = opened("katas-data-container")
    for edit in ("one\n", "two\n", "three\n"):
        run = play(runner, Avatar(), BUILD, Makefile=MAKEFILE, source=edit)
        assert run.stdout == f"building\n{edit}"
    now = time.time_ns()
    kept = snapshot(runner.katas, Avatar())
    assert wanted(kept[b"built"].mtime_ns, now)
    assert kept[b"Makefile"].mtime_ns % 10**9
    assert abs(kept[b"Makefile"].mtime_ns - now) < HOUR_NS // 2


@pytest.mark.parametrize("ahead", [-HOUR_NS, HOUR_NS])
def test_tmp_stamps_by_the_clock_of_its_engine(
    ahead: int, fake: FakeEngine, opened: Callable[[str], BaseRunner]
) -> None:
    """In the order of the player's files: what is an hour ahead of the engine, make calls skewed
    and makes anew for ever.
    """
    fake.clock = Clock(ahead_ns=ahead)
    run = play(opened("tmp"), Avatar(), "true", **{"source": "1\n", "later": "2\n"})
    assert run.observed is not None
    found, now = run.observed.before, time.time_ns() + ahead
    stamps = [found[name].mtime_ns for name in (b"source", b"later", b"cyber-dojo.sh")]
    assert all(now - HOUR_NS // 2 < each <= now for each in stamps)


FAULTS: list[StreamFault] = [
    Refuse(),
    *(KillAt(request) for request in (1, 2, 3, 4)),
    *(CutOutput(at) for at in (0, 1, 60, 700, 5000)),
    *(CutInput(at) for at in (0, 33, 50, 4000)),
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("keeper", [False, True], ids=["run-container", "keeper"])
def test_a_fault_makes_the_test_event_faulty_and_nothing_else(
    fault: StreamFault, keeper: bool, fake: FakeEngine, opened: Callable[[str], BaseRunner]
) -> None:
    """Whatever breaks, and wherever: it is not accepted, or it is, whole; the next test event
    works.
    """
    runner = opened("katas-data-container")
    avatar = Avatar()
    play(runner, avatar, BUILD, Makefile=MAKEFILE, source="one\n")
    files = script(BUILD, Makefile=MAKEFILE, source="two\n")
    if keeper:
        runner.katas.release()  # type: ignore[attr-defined]
    fake.inject(fault, keeper=keeper)
    run = runner.run(avatar, files, max_seconds=60)
    assert run.outcome is Outcome.FAULTY, run
    assert run.reason
    after = play(runner, avatar, BUILD, Makefile=MAKEFILE, source="two\n")
    assert after.stdout in ("building\ntwo\n", "two\n")
    assert after.tag in (2, 3)


def test_a_full_disk_is_reported(tmp_path: Path) -> None:
    """In the sandbox that is sent more than there is room for."""
    with (
        closing(FakeEngine(tmp_path, room=100_000)) as engine,
        closing(make_runner("tmp", engine)) as runner,
    ):
        assert play(runner, Avatar(), "echo fits").stdout == "fits\n"
        run = runner.run(Avatar(), script("echo fits", large=os.urandom(200_000)), max_seconds=60)
        assert run.outcome is Outcome.FAULTY
        assert "No space left on device" in run.reason


def test_a_fault_breaks_a_real_engine_too(tmp_path: Path) -> None:
    """One vocabulary: the same value wraps the stream of a sandbox of the local engine."""
    with (
        closing(LocalEngine(tmp_path, bubblewrap=False)) as engine,
        closing(engine.open(SandboxSpec())) as sandbox,
    ):
        sandbox.wrap(KillAt(2).wrap)
        fill(sandbox, {"a": "text"})
        with pytest.raises(EngineError, match="has gone"):
            sandbox.execute("true", 10)


def test_proofs_can_be_tried_on_it(fake: FakeEngine) -> None:
    """As on any engine, and it promises no isolation."""
    subject = Subject(runners.parse_variant("katas-data-container"), fake, "fake")
    assert not subject.variant.claims(fake) & {Property.ISOLATED, Property.FRESH}
    found = examine(subject, Property.NO_MISSED_EDIT, Effort(0.2, deterministic=True))
    assert found.status is Status.PROVED, found
