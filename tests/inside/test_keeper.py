"""The keeper: it answers, it reports what goes wrong, and it may die at any time."""

from __future__ import annotations

import inspect
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest

from harness.inside import errors
from harness.inside.channel import Channel
from harness.inside.delta import Delta, blob_id
from harness.inside.errors import (
    EngineError,
    HarnessError,
    KatasError,
    NoSuchAvatar,
    StreamCut,
    UsageError,
)
from harness.inside.keeper import Keeper, rebuild_error
from harness.inside.saving import SavedFile
from harness.inside.store import Acceptance
from harness.inside.tree import difference
from harness.katas import volume_event, volume_katas
from harness.katas.keeper_link import bundle
from harness.katas.volume_event import VolumeEvent
from harness.katas.volume_katas import VolumeKatas
from tests.events import LION, SPIDER, acceptance, holds, opened, packed, play, save, tree
from tests.support import eventually

FILES = {"a": "1", "b": "1"}


@pytest.fixture
def katas(tmp_path: Path) -> Iterator[VolumeKatas]:
    with opened("volume", tmp_path) as found:
        assert isinstance(found, VolumeKatas)
        yield found


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Channel]:
    """The harness's end of the channel to a keeper that runs in a thread."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        their_reader, our_reader = theirs.makefile("rb"), ours.makefile("rb")
        with their_reader, our_reader:
            channel = Channel(their_reader.read, theirs.sendall)
            thread = threading.Thread(target=Keeper(tmp_path / "katas", channel).serve)
            thread.start()
            yield Channel(our_reader.read, ours.sendall)
            ours.shutdown(socket.SHUT_WR)
            thread.join()


def ask(keeper: Channel, call: str, **arguments: object) -> object:
    """One request that no stream belongs to; the answer, or the name of the error."""
    keeper.send({"call": call, **arguments})
    answer = keeper.receive()
    return answer["answer"] if "answer" in answer else answer["error"]


def kill(event: VolumeEvent) -> None:
    """Kill the keeper, as the kernel does when memory runs out."""
    process = event.link.stream.process  # type: ignore[attr-defined]
    process.kill()
    process.wait()


class TestServe:
    """Requests, one after another."""

    def test_an_error_does_not_end_it(self, keeper: Channel) -> None:
        """The next request is answered."""
        assert ask(keeper, "event", kata="nonsense", name="lion") == "UsageError"
        assert ask(keeper, "list") == {"katas": {}, "unread": {}}

    @pytest.mark.parametrize(
        ("call", "arguments"),
        [
            ("history", {"kata": LION.kata, "name": "lion"}),
            ("history", {"kata": "nonsense", "name": "lion"}),
            ("download", {"kata": LION.kata}),
            ("pack", {"paths": None}),
        ],
    )
    def test_where_a_stream_is_expected_an_error_comes_after_it(
        self, keeper: Channel, call: str, arguments: dict[str, str | None]
    ) -> None:
        """The other side reads to the end of the stream first: without one it would wait for
        ever.
        """
        keeper.send({"call": call, **arguments})
        assert list(keeper.receive_pieces()) == []
        assert "error" in keeper.receive()
        assert ask(keeper, "list") == {"katas": {}, "unread": {}}

    @pytest.mark.parametrize("call", ["stage", "accept", "save"])
    def test_a_stream_that_nobody_takes_is_read_to_its_end(
        self, keeper: Channel, call: str
    ) -> None:
        """Without a test event there is only an error; its pieces are not taken for requests."""
        arguments: dict[str, object] = {
            "stage": {},
            "accept": {"commit": "", "increment": {}, "changes": None, "mounted": False},
            "save": {"delta": [[], [], [], [], []], "owner": None},
        }[call]
        keeper.send({"call": call, **arguments})
        keeper.send_pieces([b"some", b"pieces"])
        assert keeper.receive()["error"] == "KatasError"
        assert ask(keeper, "list") == {"katas": {}, "unread": {}}

    @pytest.mark.parametrize(
        ("kind", "others"),
        [
            ("plain", ("place", "copy", "stack")),
            ("copy", ("stack",)),
            ("layered", ("place", "copy")),
        ],
    )
    def test_what_only_another_kind_of_test_event_has_is_refused(
        self, keeper: Channel, kind: str, others: tuple[str, ...]
    ) -> None:
        """With an error, and the test event goes on."""
        ask(keeper, "event", kata=LION.kata, name="lion", kind=kind)
        for call in others:
            arguments = {} if call == "place" else {"owner": None}
            assert ask(keeper, call, **arguments) == "KatasError"
        assert isinstance(ask(keeper, "snapshot", contents=False), dict | list)

    def test_a_lost_harness_lets_go_of_the_avatar(self, tmp_path: Path, katas: VolumeKatas) -> None:
        """Whoever comes next does not wait for a harness that has died."""
        event = katas.event(LION)
        save(event, FILES)
        event.link.close()
        event.link.broken = True
        assert holds(katas) == {"a", "b"}


class TestErrors:
    """They cross the channel with their type."""

    @pytest.mark.parametrize(
        "error", [UsageError, NoSuchAvatar, StreamCut, EngineError, KatasError]
    )
    def test_an_error_of_the_harness_is_the_same_at_the_other_end(
        self, error: type[HarnessError]
    ) -> None:
        """With its one line."""
        rebuilt = rebuild_error(error.__name__, "the line")
        assert type(rebuilt) is error
        assert str(rebuilt) == "the line"

    @pytest.mark.parametrize("name", ["PermissionError", "OSError", "annotations", "nonsense"])
    def test_any_other_is_of_the_katas(self, name: str) -> None:
        """What the operating system refused; no name from the other end is believed."""
        assert type(rebuild_error(name, "the line")) is KatasError

    def test_every_error_has_a_name_that_can_be_found(self) -> None:
        """So that a new one crosses too."""
        kinds = [
            each
            for each in vars(errors).values()
            if isinstance(each, type) and each.__module__ == errors.__name__
        ]
        assert kinds
        assert all(type(rebuild_error(each.__name__, "")) is each for each in kinds)

    def test_the_real_ones_cross(self, katas: VolumeKatas) -> None:
        """From a call, from a stream that comes, and from one that goes; the keeper goes on."""
        with pytest.raises(NoSuchAvatar), katas.history(LION):
            pass
        with pytest.raises(NoSuchAvatar):
            katas.download(LION.kata, lambda data: None)
        with (
            closing(katas.event(LION)) as event,
            pytest.raises(StreamCut, match="tar could not unpack"),
        ):
            event.stage([b"no archive" * 1000])
        assert len(katas.idle) == 1


def in_the_middle_of_a_save(event: VolumeEvent) -> None:
    def files() -> Iterator[SavedFile]:
        yield SavedFile(b"a", 0o100644, blob_id(b"2"), None, [b"2"])
        kill(event)
        yield SavedFile(b"b", 0o100644, "b", None, [bytes(1 << 20)])

    event.save(files(), Delta((), (b"a", b"b"), (), ()), owner=None)


def in_the_middle_of_a_stage(event: VolumeEvent) -> None:
    data = b"".join(packed(event))

    def chunks() -> Iterator[bytes]:
        yield data[:1000]
        kill(event)
        while True:
            yield data

    event.stage(chunks())


def in_the_middle_of_a_pack(event: VolumeEvent) -> None:
    event.pack(lambda data: kill(event))


def in_the_middle_of_an_acceptance(event: VolumeEvent) -> None:
    accepted = acceptance({"a": "2"}, event.compare({}))

    def objects() -> Iterator[tuple[str, bytes]]:
        yield from accepted.objects
        kill(event)

    event.accept(Acceptance(accepted.commit, objects(), accepted.increment))


def before_a_question(event: VolumeEvent) -> None:
    kill(event)
    event.compare({})


def history(katas: VolumeKatas) -> None:
    with katas.history(LION):
        pass


class TestDeath:
    """A keeper that is killed."""

    @pytest.mark.parametrize(
        "dies",
        [
            in_the_middle_of_a_save,
            in_the_middle_of_a_stage,
            in_the_middle_of_a_pack,
            in_the_middle_of_an_acceptance,
            before_a_question,
        ],
    )
    def test_it_is_an_error_and_the_next_test_event_has_a_new_one(
        self, katas: VolumeKatas, dies: Callable[[VolumeEvent], None]
    ) -> None:
        """The katas are as they were before, but for visible files that were copied in."""
        more_than_a_pipe_holds = random.Random(1).randbytes(4 << 20)
        play(
            katas,
            LION,
            FILES,
            run=lambda sandbox: (sandbox / "product").write_bytes(more_than_a_pipe_holds),
        )
        before = tree(katas)
        with closing(katas.event(LION)) as event, pytest.raises(EngineError):
            dies(event)
        assert difference(before, tree(katas)).changed in ((), (b".", b"a"))
        assert play(katas, LION, FILES).tag == 1
        assert holds(katas) == {"a", "b", "product"}

    @pytest.mark.parametrize(
        "ask",
        [
            lambda katas: play(katas, LION, FILES),
            VolumeKatas.list,
            VolumeKatas.usage,
            history,
            lambda katas: katas.download(LION.kata, lambda data: None),
            lambda katas: katas.export(lambda data: None),
            lambda katas: katas.remove(LION.kata),
        ],
        ids=["event", "list", "usage", "history", "download", "export", "remove"],
    )
    def test_one_that_died_while_idle_costs_nothing(
        self, katas: VolumeKatas, ask: Callable[[VolumeKatas], object]
    ) -> None:
        """Nothing was asked of it: another is asked, however many have died."""
        play(katas, LION, FILES)
        with closing(katas.event(LION)), closing(katas.event(SPIDER)):
            pass
        assert len(katas.idle) == 2
        for link in katas.idle:
            kill(VolumeEvent(link, lambda link: None))
        ask(katas)
        assert len(katas.idle) == 1

    def test_it_says_why_it_died(self, katas: VolumeKatas) -> None:
        """The last line of what it said goes into the error."""
        event = katas.event(LION)
        with pytest.raises(StreamCut, match="AttributeError"):
            event.link.call(Nonsense.do_what_no_keeper_does)
        event.close()


class Nonsense(Keeper):
    """A keeper of another version."""

    def do_what_no_keeper_does(self) -> None: ...


def test_the_other_side_asks_for_each_method_of_a_keeper() -> None:
    """By the method itself: what a keeper can be asked is told once."""
    asked = set(
        re.findall(
            r"Keeper\.(do_\w+)", inspect.getsource(volume_katas) + inspect.getsource(volume_event)
        )
    )
    assert asked == {name for name in vars(Keeper) if name.startswith("do_")}


class TestLinks:
    """One keeper serves one test event at a time."""

    def test_a_keeper_is_used_again(self, katas: VolumeKatas) -> None:
        """It takes a while to start one."""
        for _ in range(3):
            play(katas, LION, FILES)
        assert len(katas.idle) == 1

    def test_two_test_events_at_once_have_two(self, katas: VolumeKatas) -> None:
        """Both remain for later."""
        with closing(katas.event(LION)), closing(katas.event(SPIDER)):
            assert katas.idle == []
        assert len(katas.idle) == 2

    def test_closing_the_katas_ends_them(self, katas: VolumeKatas) -> None:
        """No process outlives its owner."""
        play(katas, LION, FILES)
        process = katas.idle[0].stream.process  # type: ignore[attr-defined]
        katas.close()
        assert process.poll() is not None

    def test_the_end_of_a_test_event_is_not_waited_for(self, katas: VolumeKatas) -> None:
        """A keeper that hangs while it cleans up does not keep the player from the output."""
        event = katas.event(LION)
        process = event.link.stream.process  # type: ignore[attr-defined]
        os.kill(process.pid, signal.SIGSTOP)
        event.close()
        os.kill(process.pid, signal.SIGCONT)
        assert holds(katas) == set()

    def test_nobody_waits_for_one_that_clears_up(self, katas: VolumeKatas) -> None:
        """After another avatar's run; not for the latest either if an older one is free, and what
        was cleared up meanwhile is used again.
        """
        with closing(katas.event(LION)) as clearing:
            process = clearing.link.stream.process  # type: ignore[attr-defined]
            os.kill(process.pid, signal.SIGSTOP)
        try:
            assert list(katas.idle) == [clearing.link]
            with closing(katas.event(SPIDER)) as event:
                assert event.link is not clearing.link
            assert list(katas.idle) == [clearing.link, event.link]
            katas.idle.reverse()
            eventually(lambda: event.link.is_free(1.0), "it has cleared up")
            with closing(katas.event(SPIDER)) as again:
                assert again.link is event.link
        finally:
            os.kill(process.pid, signal.SIGCONT)
        eventually(lambda: clearing.link.is_free(1.0), "it has cleared up")
        katas.idle.remove(event.link)
        event.link.close()
        with closing(katas.event(LION)) as event:
            assert event.link is clearing.link


def test_a_keeper_needs_nothing_but_python(tmp_path: Path) -> None:
    """Its program brings all of the harness that it takes, and only the standard library is
    installed.
    """
    (tmp_path / "keeper.pyz").write_bytes(bundle())
    command = [sys.executable, "-I", "-S", str(tmp_path / "keeper.pyz"), str(tmp_path / "katas")]
    done = subprocess.run(command, input=b"", capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_keeper_is_of_this_very_harness() -> None:
    """No image holds an older one."""
    with zipfile.ZipFile(BytesIO(bundle())) as archive:
        assert (
            archive.read("harness/inside/errors.py").decode() == Path(errors.__file__).read_text()
        )
