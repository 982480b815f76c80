"""The guest's protocol is one table: guest.sh serves what is in it, and so does the fake engine."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from harness.engines import Engine, Execution, Sandbox, SandboxSpec
from harness.engines.guest.command_line import GUEST
from harness.engines.guest.protocol import (
    DIGESTED,
    MARK_SECONDS,
    Before,
    Carries,
    Follows,
    Request,
)
from harness.engines.streams import Stream
from harness.inside import tarpipe
from harness.inside.changes import (
    FIRST_MARK,
    LISTING_FORMAT,
    MARK_FORMAT,
    SECOND_MARK,
    Listing,
    can_tell,
)
from harness.inside.errors import EngineError, StreamCut
from harness.inside.tree import FIND_FORMAT, Snapshot, snapshot
from harness.verify.faults.wrapped import WrappedStream
from harness.verify.testing.fake import FakeEngine
from tests.support import PATIENCE, fill, script

ARMS = dict(re.findall(r"^    (\w+)\)(.*?)^        ;;", GUEST.partition("\nwhile")[2], re.M | re.S))
"""What guest.sh does for each request."""

FORMATS = {
    Before.ENTRIES: FIND_FORMAT,
    Before.LISTING: LISTING_FORMAT,
    Before.MARKS: MARK_FORMAT,
}


def test_guest_sh_serves_exactly_the_requests_of_the_table() -> None:
    assert ARMS.keys() == {request.word for request in Request}
    assert len({request.beginning for request in Request}) == len(Request)


@pytest.mark.parametrize("request_", Request, ids=lambda request: request.word)
class TestAnArm:
    """Of guest.sh, which serves one request."""

    def test_it_says_exactly_the_answers_of_the_table(self, request_: Request) -> None:
        """Each with a status, a stamp or nothing, as the table says."""
        arm = ARMS[request_.word]
        said = re.findall(r"\bsay (\w+)(.*)", arm)
        assert {word for word, _ in said} == set(request_.answers)
        carried = [rest for word, rest in said if word == request_.answer and ">&2" not in rest]
        assert carried
        for rest in carried:
            assert bool(rest.strip()) == (request_.carries is not Carries.NOTHING)
        statuses = [rest for rest in carried if re.search(r" (0|\$\?|\$status|\"\$\(cat st)", rest)]
        assert bool(statuses) == (request_.carries in (Carries.STATUS, Carries.RAN))

    def test_it_reads_what_the_table_says_that_follows(self, request_: Request) -> None:
        arm = ARMS[request_.word]
        assert ("argument" in arm) == bool(request_.arguments)
        assert ("read -r command" in arm) == (request_.follows is Follows.COMMAND)
        chunks = request_.follows in (Follows.TREE, Follows.PATHS, Follows.FILES)
        assert ("chunks |" in arm) == chunks
        assert ("xargs -0" in arm or "--null" in arm) == (
            chunks and request_.follows is not Follows.TREE
        )
        assert (f'$sandbox" {DIGESTED}\n' in arm) == (request_.follows is Follows.FILES)

    def test_it_prints_what_the_table_says_that_comes_before(self, request_: Request) -> None:
        arm = ARMS[request_.word]
        forms = re.findall(r"-printf '(.*?)'", arm)
        assert forms == [form for before, form in FORMATS.items() if before is request_.before]
        assert ("b2sum" in arm) == (request_.before is Before.DIGESTS)
        assert ("$pack " in arm) == (request_.before is Before.TREE)
        assert ('eval "$usage"' in arm) == (request_.before is Before.USAGE)

    def test_its_marks_are_those_of_the_table(self, request_: Request) -> None:
        arm = ARMS[request_.word]
        marks = f"{FIRST_MARK.decode()} {SECOND_MARK.decode()}"
        assert (f"find {marks} -printf" in arm) == (request_.before is Before.MARKS)
        assert (f"sleep {MARK_SECONDS} " in arm) == (request_.before is Before.MARKS)


class Heard(WrappedStream):
    """A stream that notes what is asked and what is answered."""

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream)
        self._output = {1: bytearray(), 2: bytearray()}
        self.nonce = b""
        self.asked: list[Request] = []

    def write(self, data: bytes, deadline: float) -> None:
        self.nonce = self.nonce or data.strip()
        self.asked += [request for request in Request if data.startswith(request.beginning)]
        super().write(data, deadline)

    def read(self, deadline: float) -> tuple[int, bytes]:
        source, data = super().read(deadline)
        if source:
            self._output[source] += data
        return source, data

    def answers(self) -> list[bytes]:
        """All of them, but for stamps, inodes and the words of complaints."""
        found = re.findall(rb"^%b (.*?) *$" % self.nonce, self._output[1] + self._output[2], re.M)
        lines = [re.sub(rb"\d{9,}\.\d{9}$|(?<=started )\d+$", b"N", line) for line in found]
        return [re.sub(rb"^(\w+ed [1-9]\d*) .+", rb"\1 COMPLAINT", line) for line in lines]


def refused(ask: Callable[[], object]) -> None:
    """Ask for what cannot be done, which is an error that gives a reason or none."""
    with pytest.raises(EngineError):
        ask()


def facts(listing: Listing) -> set[tuple[bytes, bytes, int]]:
    """What is the same in two listings of equal trees."""
    return {(path, listing.kind(path), listing.mode(path)) for path in listing.records}


def timeless(tree: Snapshot) -> set[tuple[bytes, str, int, int]]:
    return {(path, entry.kind, entry.mode, entry.size) for path, entry in tree.items()}


def ended(execution: Execution) -> tuple[object, ...]:
    """What a command did, without the name by which a shell calls itself."""
    complaint = execution.stderr.rpartition(b": ")[2]
    return execution.status, execution.stdout, complaint, execution.reason


def carried(chunks: list[bytes], folder: Path) -> dict[bytes, tuple[int, str]]:
    """What a tar stream carries."""
    folder.mkdir()
    tarpipe.unpack(str(folder), chunks)
    found = snapshot(folder, contents=True)
    return {path: (entry.mode, entry.digest) for path, entry in found.items() if path != b"."}


COMMANDS = (
    "./cyber-dojo.sh; echo wrong >&2; exit 3",
    "chmod +x lines.sh interpreter.sh",
    "exit 127",
    "exit 126",
    "./missing.sh",
    "./plain",
    "./lines.sh",
    "./interpreter.sh -x",
    "no-such-program --all",
)
"""One that runs, two that say that they did not, and others that cannot be started."""

FILES = script(
    "echo made >made; chmod 700 made; mkdir folder; echo out",
    **{
        "plain": "text",
        "lines.sh": "#!/bin/sh\r\n",
        "interpreter.sh": "#! /no/sh -e\n",
        "a b/c\n": "odd",
    },
)


def play(sandbox: Sandbox, folder: Path) -> list[object]:
    """Ask everything that there is, and much that cannot be done; return what is the same
    everywhere.
    """
    fill(sandbox, FILES)
    sandbox.get_ready()
    file_system, marks = sandbox.mark()
    before = sandbox.listing()
    found: list[object] = [file_system, facts(marks), can_tell(file_system, marks, before)]
    found += [facts(before)]
    assert sandbox.clock() > 10**18
    found += [(command, ended(sandbox.execute(command, PATIENCE))) for command in COMMANDS]
    refused(lambda: sandbox.execute("true", PATIENCE, roots=(1,)))
    found += [timeless(sandbox.observe()), facts(sandbox.listing())]
    assert sandbox.usage().processor_ns
    many = [b"made", b"plain", b"a b/c\n"]
    found += [sandbox.digest(many)]
    refused(lambda: sandbox.digest([b"made", b"missing"]))
    found += [carried(list(sandbox.pick([*many, b"folder"])), folder / "picked")]
    refused(lambda: list(sandbox.pick([b"missing"])))
    sandbox.delete([b"made", b"missing", b"plain/below"])
    refused(lambda: sandbox.delete([b"folder"]))
    found += [carried(list(sandbox.pack()), folder / "packed")]
    refused(lambda: sandbox.unpack(lambda write: write(b"no archive\npack\n" * 10_000)))
    return [*found, sandbox.execute("cat plain", PATIENCE).stdout]


def played(engine: Engine, folder: Path) -> tuple[list[object], list[Request], list[bytes]]:
    heard: list[Heard] = []

    def listen(stream: Stream) -> Stream:
        heard.append(Heard(stream))
        return heard[0]

    folder.mkdir()
    with closing(engine.open(SandboxSpec())) as sandbox:
        sandbox.wrap(listen)
        found = play(sandbox, folder)
    return found, heard[0].asked, heard[0].answers()


def test_the_fake_engine_answers_every_request_as_guest_sh_does(
    open_engine: Callable[[str], Engine], tmp_path: Path
) -> None:
    """What can be done and what cannot: with the same answers, and the same before them."""
    with closing(open_engine("local-plain")) as real:
        wanted, asked, answers = played(real, tmp_path / "real")
    with closing(FakeEngine(tmp_path / "home")) as fake:
        found, too, others = played(fake, tmp_path / "fake")
    assert set(asked) == set(Request), "a request of the table is not asked here"
    assert too == asked
    assert found == wanted
    assert others == answers


def test_the_fake_engine_knows_no_other_request(tmp_path: Path) -> None:
    """It does not answer what guest.sh would not."""
    with closing(FakeEngine(tmp_path)) as fake, closing(fake.open(SandboxSpec())) as sandbox:
        sandbox.get_ready()
        with pytest.raises(EngineError, match="has no request invent"):
            sandbox.guest.send(b"invent\n")


def test_more_names_than_one_piece_holds_reach_the_fake_engine(tmp_path: Path) -> None:
    """They are sent by another thread, while this one waits for the answer."""
    names = [b"%d-%b" % (number, b"x" * 200) for number in range(1000)]
    with closing(FakeEngine(tmp_path)) as fake, closing(fake.open(SandboxSpec())) as sandbox:
        fill(sandbox, {names[0].decode(): "1", names[-1].decode(): "2"})
        sandbox.delete(names)
        assert sandbox.observe().keys() == {b"."}
        with pytest.raises(StreamCut, match="could not read the tree"):
            sandbox.digest(names)
