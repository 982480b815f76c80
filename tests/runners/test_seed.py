"""What a sandbox that stands by holds, told within bounds, whatever a run makes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest

from harness.engines import Engine
from harness.engines.guest import sandbox
from harness.inside.changes import Listing
from harness.katas.visible import FILE, FOLDER, PROGRAM, VisibleFile, VisibleFiles
from harness.runners import seed
from harness.runners.katas_data_container import KatasDataContainer
from tests.support import an_avatar, make_runner, play, snapshot

once = pytest.mark.parametrize("shared_engine", ["local", "docker26"], indirect=True)


@pytest.fixture
def seeded(shared_engine: Engine) -> Iterator[KatasDataContainer]:
    with closing(
        make_runner("katas-data-container", shared_engine, standby="seeded", observe=True)
    ) as opened:
        assert isinstance(opened, KatasDataContainer)
        yield opened


class Disk:
    """Both a sandbox and the katas, that tell how much of their files they were asked to read."""

    def __init__(self, contents: Mapping[bytes, bytes]) -> None:
        self.contents = contents
        self.read = 0

    def digest(self, paths: Collection[bytes]) -> dict[bytes, str]:
        self.read += sum(len(self.contents[path]) for path in paths)
        return {path: hashlib.blake2b(self.contents[path]).hexdigest() for path in paths}

    def digests(self, sizes: Mapping[bytes, int]) -> dict[bytes, str]:
        return self.digest(
            [path for path, size in sizes.items() if len(self.contents[path]) == size]
        )


def others(
    now: Mapping[bytes, bytes], before: Mapping[bytes, bytes]
) -> tuple[set[bytes], int, int]:
    """What is to be brought back of these, and how much of either side was read to find that
    out.
    """
    one: Any
    one, other = Disk(now), Disk(before)
    listing = Listing({path: b"f 644 %d 1.0 1.0 1 1" % len(each) for path, each in now.items()}, {})
    found = seed.differing(one, other, listing, sorted(now))  # type: ignore[arg-type]
    return set(found), one.read, other.read


def test_what_is_the_same_stays() -> None:
    """And what is another, or has another size, is brought back."""
    now = {b"same": b"1", b"other": b"2", b"longer": b"33"}
    assert others(now, {b"same": b"1", b"other": b"3", b"longer": b"3"})[0] == {b"other", b"longer"}


def test_no_more_is_read_than_a_sandbox_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand sparse files of half a gigabyte are brought back, since their holes are not piped:
    the small ones are compared all the same.
    """
    monkeypatch.setattr(seed, "MOST_BYTES", 100)
    now = {b"small": b"1", **{b"large %d" % number: bytes(60) for number in range(1000)}}
    found, here, there = others(now, now)
    assert b"small" not in found
    assert len(found) == 999
    assert (here, there) == (61, 61)


@once
def test_a_tree_that_cannot_be_listed_is_no_head_start(
    seeded: KatasDataContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container stands by all the same, and holds nothing: what went meanwhile does not come back
    with it.
    """
    avatar = an_avatar()
    play(seeded, avatar, "echo 1 >made; echo 1 >gone")
    monkeypatch.setattr(sandbox, "LISTING", 100)
    seeded.prepare(avatar)
    with closing(KatasDataContainer(seeded.engine, seeded.katas)) as other:
        monkeypatch.setattr(other.katas, "close", lambda: None)
        play(other, avatar, "rm gone")
    run = play(seeded, avatar, "ls")
    assert run.stdout.split() == ["cyber-dojo.sh", "made"]


@once
def test_what_cannot_be_listed_comes_back_whole(
    seeded: KatasDataContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The katas hold what the run left, as always."""
    avatar = an_avatar()
    play(seeded, avatar, "echo 1 >made")
    seeded.prepare(avatar)
    monkeypatch.setattr(sandbox, "LISTING", 100)
    play(seeded, avatar, "rm made; mkdir folder; echo 2 >folder/other")
    assert {b"folder/other"} == set(snapshot(seeded.katas, avatar)) - {
        b".",
        b"cyber-dojo.sh",
        b"folder",
    }


@once
def test_what_a_run_puts_in_the_place_of_an_empty_folder_outlives_it(
    seeded: KatasDataContainer,
) -> None:
    """The player deletes an empty folder, which is no file any more."""
    avatar = an_avatar()
    script, folder = VisibleFile(b"#!/bin/sh\nls\n", PROGRAM), VisibleFile(b"", FOLDER)
    makes = VisibleFile(b"#!/bin/sh\nrmdir empty; echo 1 >empty\n", PROGRAM)
    seeded.run(avatar, VisibleFiles({b"cyber-dojo.sh": makes, b"empty": folder}), max_seconds=60)
    seeded.prepare(avatar)
    run = seeded.run(avatar, VisibleFiles({b"cyber-dojo.sh": script}), max_seconds=60)
    assert run.stdout.split() == ["cyber-dojo.sh", "empty"]


@once
def test_a_mode_is_changed_by_all_names_of_a_file(seeded: KatasDataContainer) -> None:
    """As chmod in place does: a run had given it another one."""
    avatar = an_avatar()
    for mode in (FILE, PROGRAM):
        script = VisibleFile(
            b"#!/bin/sh\n[ -e too ] || ln seen too\n[ -x too ] && echo yes\n", PROGRAM
        )
        files = VisibleFiles({b"cyber-dojo.sh": script, b"seen": VisibleFile(b"1\n", mode)})
        run = seeded.run(avatar, files, max_seconds=60)
        seeded.prepare(avatar)
    assert run.stdout == "yes\n"


@once
def test_a_nest_is_refused_and_the_next_test_event_is_as_before(seeded: KatasDataContainer) -> None:
    """It is deeper than any path; the reason says so, and the output was in hand."""
    avatar = an_avatar()
    play(seeded, avatar, "echo 1 >made")
    seeded.prepare(avatar)
    nest = "i=0; while [ $i -lt 40 ]; do mkdir $0; cd -P $0; i=$((i+1)); done; echo made"
    name = "n" * 200
    run = seeded.run(
        avatar, {"cyber-dojo.sh": f"#!/bin/sh\n{nest.replace('$0', name)}\n"}, max_seconds=60
    )
    assert (run.outcome, run.tag, run.stdout) == ("faulty", None, "made\n")
    assert run.reason.rstrip().find("File name too long") > 0
    assert play(seeded, avatar, "cat made; ls").stdout.split() == ["1", "cyber-dojo.sh", "made"]
