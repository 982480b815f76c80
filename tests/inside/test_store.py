"""The katas: the same for those in a folder and those in a volume behind a keeper."""

from __future__ import annotations

import errno
import functools
import io
import itertools
import json
import os
import stat
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given

from harness.inside import archive, disk, locks
from harness.inside.channel import LARGE
from harness.inside.delta import Delta
from harness.inside.disk import remove_tree
from harness.inside.errors import KatasError, NoSuchAvatar, StreamCut
from harness.inside.folder_katas import FolderKatas
from harness.inside.layout import (
    ACCEPTING,
    HISTORY,
    INCOMING,
    INCREMENTS,
    LAYER_LIST,
    SANDBOX,
    STAGING,
    VISIBLE,
    Avatar,
    avatar_folder,
    kata_folder,
)
from harness.inside.store import Katas
from harness.inside.tree import difference, snapshot
from harness.katas import commits, keeper_link, volume_event
from harness.katas.visible import FILE, PROGRAM, VisibleFile, VisibleFiles
from harness.katas.volume_katas import VolumeKatas
from harness.verify.testing.planting import Planned, expected, planted, scratch_folder
from harness.verify.testing.strategies import trees
from tests.children import killed_before, unprivileged
from tests.events import (
    LION,
    SPIDER,
    acceptance,
    chunks_of,
    folder_of,
    holds,
    opened,
    packed,
    play,
    save,
    settle,
    stage,
    time_out,
    tree,
    visible,
)
from tests.support import eventually, on_disk, one_line

KINDS = ("folder", "volume")

FILES = {"cyber-dojo.sh": "#!/bin/sh\nmake\n", "src/a.c": "1", "src/b.c": "1"}


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def shared(kind: str, home: Path) -> Iterator[Katas]:
    """The same for all tests, as a keeper takes a while to start."""
    with opened(kind, home) as found:
        yield found


@pytest.fixture
def katas(shared: Katas, kind: str, home: Path) -> Katas:
    """Empty ones."""
    settle(shared)
    remove_tree(folder_of(kind, home))
    folder_of(kind, home).mkdir()
    return shared


@pytest.fixture
def lion(kind: str, home: Path) -> Path:
    """Where the katas keep the lion."""
    return folder_of(kind, home) / avatar_folder(LION)


def build(sandbox: Path) -> None:
    """A run that makes a product."""
    (sandbox / "a.o").write_text("product")


def delete(sandbox: Path) -> None:
    (sandbox / "a.o").unlink()


def file_to_folder(sandbox: Path) -> None:
    (sandbox / "a.o").unlink()
    (sandbox / "a.o").mkdir()


def folder_to_symlink(sandbox: Path) -> None:
    remove_tree(sandbox / "src")
    (sandbox / "src").symlink_to("/")


class TestDelta:
    """What is compared, saved and deleted."""

    def test_at_first_everything_is_new(self, katas: Katas) -> None:
        """And nothing was accepted yet."""
        comparison = play(katas, LION, FILES)
        names = tuple(sorted(name.encode() for name in FILES))
        assert comparison.delta == Delta((), (), names, ())
        assert (comparison.head, comparison.tag) == (None, 0)
        assert comparison.missing == {file.blob for file in visible(FILES).values()}

    def test_only_what_differs_is_to_be_copied(self, katas: Katas) -> None:
        """A changed file, a new one and a deleted one."""
        play(katas, LION, FILES)
        edited = {**FILES, "src/a.c": "2", "new": "1"}
        del edited["src/b.c"]
        comparison = play(katas, LION, edited)
        assert comparison.delta == Delta(
            (b"cyber-dojo.sh",), (b"src/a.c",), (b"new",), (b"src/b.c",)
        )
        assert comparison.tag == 1
        assert holds(katas) == {"cyber-dojo.sh", "src", "src/a.c", "new"}

    def test_no_change_leaves_every_stat_identical(self, katas: Katas) -> None:
        """Whether the tree travels or not."""
        play(katas, LION, FILES, run=build)
        before = tree(katas)
        assert play(katas, LION, FILES).delta.written == ()
        play(katas, LION, FILES, run=lambda sandbox: None)
        assert tree(katas) == before

    def test_one_change_changes_one_file(self, katas: Katas) -> None:
        """All others keep their stamps to the nanosecond, through the pipe and back."""
        play(katas, LION, FILES, run=build)
        before = tree(katas)
        play(katas, LION, {**FILES, "src/a.c": "2"}, run=lambda sandbox: None)
        found = difference(before, tree(katas))
        assert (found.added, found.removed, found.changed) == ((), (), (b"src/a.c",))

    def test_what_a_run_made_of_a_file_stays(self, katas: Katas) -> None:
        """Contents are compared with what was sent last: a generated file does not go back to what
        it was.
        """
        play(
            katas,
            LION,
            FILES,
            run=lambda sandbox: (sandbox / "src" / "a.c").write_text("by the run"),
        )
        before = tree(katas)
        assert play(katas, LION, FILES).delta.written == ()
        assert tree(katas) == before

    def test_what_a_run_took_away_is_put_back_as_it_was(self, katas: Katas) -> None:
        """Deleted, or turned into something else: with the stamp that it had, so that nothing is
        made anew for it.
        """
        play(katas, LION, FILES)
        before = tree(katas)

        def spoil(sandbox: Path) -> None:
            (sandbox / "cyber-dojo.sh").unlink()
            (sandbox / "src" / "a.c").unlink()
            (sandbox / "src" / "a.c").mkdir()
            (sandbox / "src" / "a.c" / "made").touch()

        play(katas, LION, FILES, run=spoil)
        assert play(katas, LION, FILES).delta.gone == (b"cyber-dojo.sh", b"src/a.c")
        assert difference(before, tree(katas)).changed == (b".", b"src")

    def test_an_older_record_of_names_alone_is_understood(self, tmp_path: Path) -> None:
        """What the sandbox holds is taken for what was sent; only an edit is an edit."""
        katas = FolderKatas(tmp_path / "older")
        play(katas, LION, FILES)
        (katas.sandbox(LION).parent / "visible.json").write_text(json.dumps(sorted(FILES)))
        assert play(katas, LION, {**FILES, "src/a.c": "2"}).delta.written == (b"src/a.c",)
        assert play(katas, LION, {**FILES, "src/a.c": "2"}).delta.written == ()

    def test_a_fresh_start_empties_the_sandbox_alone(self, katas: Katas) -> None:
        """The history goes on."""
        play(katas, LION, FILES, run=build)
        with closing(katas.event(LION)) as event:
            event.start_afresh()
            comparison = save(event, {"only": "1"})
            assert comparison.delta == Delta((), (), (b"only",), ())
            event.accept(acceptance({"only": "1"}, comparison))
        assert holds(katas) == {"only"}
        assert [each.tag for each in katas.list()[LION.kata]["lion"]] == [1, 2]

    def test_names_and_contents_of_every_kind_are_kept(self, katas: Katas) -> None:
        """What Linux allows, nested, empty and binary."""
        names = [
            b"-rf",
            b"two\nlines",
            b"\xff\xfe",
            b"'\"\\",
            b" ",
            b".hidden",
            b"a/b/c d",
            b"sandbox",
        ]
        files = visible({os.fsdecode(name): bytes(range(256)) for name in [*names, b"sub/lock"]})
        play(katas, LION, files, run=build)
        assert play(katas, LION, files).delta.written == ()
        with katas.history(LION) as history:
            assert commits.read_commit(history, 2).files == {
                name: file.read() for name, file in files.items()
            }


class TestTimedOut:
    """A test event that is not accepted: only the visible files differ."""

    def test_nothing_but_the_visible_files_differs(self, katas: Katas) -> None:
        """No tag, no commit, no product."""
        play(katas, LION, FILES, run=build)
        before, listed = tree(katas), katas.list()
        time_out(katas, LION, {**FILES, "src/a.c": "2"})
        assert difference(before, tree(katas)).changed == (b"src/a.c",)
        assert katas.list() == listed

    def test_what_it_brought_is_known_next_time(self, katas: Katas) -> None:
        """Its files are unchanged then, and deleted if they are not sent again."""
        play(katas, LION, FILES)
        time_out(katas, LION, {**FILES, "kept": "1", "dropped": "1"})
        comparison = play(katas, LION, {**FILES, "kept": "1"})
        assert comparison.delta.written == ()
        assert comparison.delta.deleted == (b"dropped",)
        assert comparison.tag == 1

    def test_what_it_deleted_stays_deleted(self, katas: Katas) -> None:
        """And comes back if it is sent again."""
        play(katas, LION, FILES)
        time_out(katas, LION, {"cyber-dojo.sh": ""})
        assert holds(katas) == {"cyber-dojo.sh"}
        assert play(katas, LION, FILES).delta.new == (b"src/a.c", b"src/b.c")


class TestStage:
    """A tree that comes back takes the sandbox's place when it is accepted, and only then."""

    @pytest.mark.parametrize("run", [delete, file_to_folder, folder_to_symlink])
    def test_the_sandbox_becomes_the_very_tree(
        self, katas: Katas, run: Callable[[Path], None]
    ) -> None:
        """Deletions and changes of type included."""
        play(katas, LION, FILES, run=build)
        came_back = {}

        def seen(sandbox: Path) -> None:
            run(sandbox)
            came_back.update(snapshot(sandbox, contents=True))

        play(katas, LION, FILES, run=seen)
        assert tree(katas) == came_back

    def test_until_it_is_accepted_nothing_changes(self, katas: Katas) -> None:
        """Dropped, it leaves no trace."""
        play(katas, LION, FILES)
        before = tree(katas)
        with closing(katas.event(LION)) as event:
            stage(event, build)
            assert event.snapshot(contents=True) == before
        assert tree(katas) == before

    def test_a_stream_that_fails_changes_nothing(self, katas: Katas) -> None:
        """Its own error passes through, and the same test event can go on."""

        def chunks() -> Iterator[bytes]:
            yield data
            raise ZeroDivisionError

        play(katas, LION, FILES)
        before = tree(katas)
        with closing(katas.event(LION)) as event:
            data = packed(event)[0][:1000]
            with pytest.raises(ZeroDivisionError):
                event.stage(chunks())
            assert event.snapshot(contents=True) == before
            comparison = event.compare(visible(FILES).manifest())
            stage(event, build)
            event.accept(acceptance(FILES, comparison))
        assert "a.o" in holds(katas)

    def test_a_stream_that_is_cut_is_not_accepted(self, katas: Katas) -> None:
        """Not even by who accepts the test event all the same."""
        play(katas, LION, FILES, run=build)
        before = tree(katas)
        with closing(katas.event(LION)) as event:
            comparison = event.compare(visible(FILES).manifest())
            data = b"".join(packed(event))
            with pytest.raises(StreamCut):
                event.stage([data[:1024]])
            event.accept(acceptance(FILES, comparison))
        assert tree(katas) == before

    def test_the_last_stream_counts(self, katas: Katas) -> None:
        """A tree can be staged again."""
        with closing(katas.event(LION)) as event:
            comparison = save(event, FILES)
            stage(event, lambda sandbox: (sandbox / "first").touch())
            stage(event, lambda sandbox: (sandbox / "second").touch())
            event.accept(acceptance(FILES, comparison))
        assert holds(katas) == {"cyber-dojo.sh", "src", "src/a.c", "src/b.c", "second"}


def test_any_tree_survives_any_number_of_test_events(katas: Katas) -> None:
    """Exact to the nanosecond, whatever a run made; only the sandbox itself is one that its owner
    can enter.
    """

    @on_disk
    @given(trees())
    def survives(planned: dict[bytes, Planned]) -> None:
        with planted(planned) as folder, closing(katas.event(LION)) as event:
            comparison = event.compare({})
            event.stage(chunks_of(folder))
            event.accept(acceptance({}, comparison))
        play(katas, LION, {}, run=lambda sandbox: None)
        wanted = expected(planned)
        if wanted[b"."].mode & 0o500 != 0o500:
            wanted[b"."] = replace(wanted[b"."], mode=wanted[b"."].mode | 0o700)
        assert tree(katas) == wanted

    survives()


class TestAtOnce:
    """Several test events under way."""

    def test_of_the_same_avatar_one_waits_for_the_other(self, katas: Katas) -> None:
        """The second sees what the first has saved."""
        waiting = threading.Event()
        seen: list[Delta] = []

        def second() -> None:
            waiting.set()
            with closing(katas.event(LION)) as event:
                seen.append(event.compare(visible(FILES).manifest()).delta)

        with closing(katas.event(LION)) as event:
            thread = threading.Thread(target=second)
            thread.start()
            waiting.wait()
            save(event, FILES)
            assert not seen
        thread.join()
        assert not seen[0].written

    def test_of_different_avatars_they_do_not_wait(self, katas: Katas) -> None:
        """Each goes on while the other one is open, and sees only its own."""
        with closing(katas.event(LION)) as first, closing(katas.event(SPIDER)) as second:
            one, other = save(first, {"lion": "1"}), save(second, {"spider": "1"})
            second.accept(acceptance({"spider": "1"}, other))
            first.accept(acceptance({"lion": "1"}, one))
        assert (holds(katas), holds(katas, SPIDER)) == ({"lion"}, {"spider"})
        assert {name: len(found) for name, found in katas.list()[LION.kata].items()} == {
            "lion": 1,
            "spider": 1,
        }

    def test_a_whole_team_accepts_at_once(self, katas: Katas) -> None:
        """increments.json loses nobody's test event."""
        team = [Avatar(LION.kata, f"animal{number}") for number in range(4)]

        def several(avatar: Avatar) -> None:
            for number in range(3):
                play(katas, avatar, {"a": str(number)})

        threads = [threading.Thread(target=several, args=[avatar]) for avatar in team]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        found = katas.list()[LION.kata]
        assert {name: [each.tag for each in events] for name, events in found.items()} == {
            avatar.name: [1, 2, 3] for avatar in team
        }

    def test_increments_json_is_written_by_one_at_a_time(self, tmp_path: Path) -> None:
        """Whoever holds the kata keeps the others from it, but from nothing else."""
        katas = FolderKatas(tmp_path)
        play(katas, LION, FILES)
        thread = threading.Thread(target=play, args=[katas, SPIDER, FILES])
        with locks.locked(str(tmp_path / kata_folder(LION.kata))):
            thread.start()
            eventually(
                (tmp_path / avatar_folder(SPIDER) / ACCEPTING).exists, "it is about to be accepted"
            )
            thread.join(0.1)
            assert thread.is_alive()
        thread.join()
        assert [each.tag for each in katas.list()[LION.kata]["spider"]] == [1]

    @pytest.mark.parametrize(
        "name", ["lock", "increments", "sandbox", "staging", "incoming", "git"]
    )
    def test_an_avatar_may_have_any_of_the_layout_s_own_names(
        self, katas: Katas, name: str
    ) -> None:
        """Beside others, before them or after."""
        play(katas, Avatar(LION.kata, name), FILES)
        play(katas, LION, FILES)
        play(katas, Avatar(LION.kata, name), FILES)
        assert len(katas.list()[LION.kata][name]) == 2


class TestLeftBehind:
    """Beside the sandbox there are only its history and the names of the visible files."""

    def test_nothing_else_is_left_by_a_test_event(self, katas: Katas, lion: Path) -> None:
        """Accepted or not."""
        play(katas, LION, FILES, run=build)
        settle(katas)
        assert sorted(os.listdir(lion)) == [HISTORY, SANDBOX, VISIBLE]
        with closing(katas.event(LION)) as event:
            save(event, {"other": "1"})
            stage(event, build)
        settle(katas)
        assert sorted(os.listdir(lion)) == [HISTORY, SANDBOX, VISIBLE]

    def test_what_a_crash_left_goes_with_the_next_test_event(
        self, katas: Katas, lion: Path
    ) -> None:
        """Half a tree, and half-written files."""
        play(katas, LION, FILES)
        settle(katas)
        for name in (STAGING, INCOMING):
            (lion / name / "deep").mkdir(parents=True)
            (lion / name / "deep" / "file").touch()
            (lion / name / "deep").chmod(0)
        assert "deep" not in holds(katas)
        settle(katas)
        assert sorted(os.listdir(lion)) == [HISTORY, SANDBOX, VISIBLE]

    def test_a_kill_at_any_step_of_a_save_is_made_up_for(self, tmp_path: Path) -> None:
        """The next test event brings the sandbox to what is sent then, and forgets no deletion."""
        for step in itertools.count():
            katas = FolderKatas(tmp_path / str(step))
            play(katas, LION, FILES)
            edit = functools.partial(time_out, katas, LION, {"src/a.c": "2", "new/c": "2"})
            killed = killed_before(step, edit)
            play(katas, LION, {"src/a.c": "3"})
            found = tree(katas)
            others = [entry.mtime_ns for path, entry in found.items() if path != b"src/a.c"]
            assert found.keys() - {b"new"} == {b".", b"src", b"src/a.c"}
            assert found[b"src/a.c"].mtime_ns > max(others)
            assert sorted(os.listdir(katas.root / avatar_folder(LION))) == [
                HISTORY,
                SANDBOX,
                VISIBLE,
            ]
            if not killed:
                break
        assert step > 10

    def test_a_kill_while_a_file_takes_the_place_of_a_folder_leaves_one_of_them(
        self, tmp_path: Path
    ) -> None:
        """A run may make any visible file a folder, in which it may not even write."""

        def spoil(sandbox: Path) -> None:
            (sandbox / "src" / "a.c").unlink()
            (sandbox / "src" / "a.c" / "in").mkdir(parents=True)
            (sandbox / "src" / "a.c").chmod(0o500)

        for step in itertools.count():
            katas = FolderKatas(tmp_path / str(step))
            play(katas, LION, FILES, run=spoil)
            killed = killed_before(step, functools.partial(time_out, katas, LION, FILES))
            assert b"src/a.c" in tree(katas), step
            if not killed:
                break
        assert step > 10

    def test_a_kill_while_a_mode_is_changed_leaves_what_the_run_wrote(self, tmp_path: Path) -> None:
        """Nothing is written there, so nothing can be half written."""

        before, after = (
            VisibleFiles({b"a.c": VisibleFile(b"1", mode)}) for mode in (FILE, PROGRAM)
        )
        for step in itertools.count():
            katas = FolderKatas(tmp_path / str(step))
            play(katas, LION, before, run=lambda sandbox: (sandbox / "a.c").write_text("formatted"))
            killed = killed_before(step, functools.partial(time_out, katas, LION, after))
            play(katas, LION, after)
            assert tree(katas)[b"a.c"].size == len("formatted"), step
            if not killed:
                break
        assert step > 4

    def test_a_kill_while_something_is_put_back_does_not_make_it_an_edit(
        self, tmp_path: Path
    ) -> None:
        """A file that a run made a folder has its stamp again, whichever of the test events it is
        that puts it back.
        """

        def spoil(sandbox: Path) -> None:
            (sandbox / "src" / "a.c").unlink()
            (sandbox / "src" / "a.c" / "in").mkdir(parents=True)

        for step in itertools.count():
            katas = FolderKatas(tmp_path / str(step))
            play(katas, LION, FILES)
            before = tree(katas)[b"src/a.c"]
            play(katas, LION, FILES, run=spoil)
            killed = killed_before(step, functools.partial(time_out, katas, LION, FILES))
            play(katas, LION, FILES)
            assert tree(katas)[b"src/a.c"] == before, step
            if not killed:
                break
        assert step > 10


class TestDownload:
    """The whole kata, for the whole team."""

    @staticmethod
    def names(katas: Katas) -> set[str]:
        data: list[bytes] = []
        count = katas.download(LION.kata, data.append)
        archive = b"".join(data)
        assert count == len(archive)
        with tarfile.open(fileobj=io.BytesIO(archive)) as found:
            return {name.removeprefix("./") for name in found.getnames()}

    def test_all_avatars_are_in_it(self, katas: Katas) -> None:
        """With everything in their sandboxes, their histories, and the kata's list of test
        events.
        """
        play(katas, LION, FILES, run=build)
        play(katas, SPIDER, FILES)
        names = self.names(katas)
        assert {
            "increments.json",
            "lion/sandbox/a.o",
            "spider/sandbox/src/a.c",
            "lion/.git/HEAD",
        } <= names
        assert {name.split("/")[0] for name in names} == {"increments.json", "lion", "spider"}

    def test_what_is_under_way_is_not(self, katas: Katas, lion: Path) -> None:
        """Nor is what a crash left; but a player's own files of such names are."""
        own = {
            f"{folder}{name}": "1"
            for folder in ("", "sub/")
            for name in ("lock", STAGING, "x.lock", INCOMING)
        }
        play(katas, LION, {**own, ACCEPTING: "1"})
        settle(katas)
        for name in (STAGING, INCOMING):
            (lion / name).mkdir()
            (lion / name / "file").touch()
        for path in (
            lion / ACCEPTING,
            lion / f"{ACCEPTING}.lock",
            lion.parent / "increments.json.lock",
        ):
            path.touch()
        names = self.names(katas)
        assert {name for name in names if name.count("/") == 1} == {
            "lion/.git",
            "lion/sandbox",
            "lion/visible.json",
        }
        assert {f"lion/sandbox/{name}" for name in own} <= names
        assert f"lion/sandbox/{ACCEPTING}" in names
        assert "increments.json.lock" not in names

    def test_no_program_in_it_runs_as_somebody_else(self, katas: Katas) -> None:
        """Whoever unpacks it as root has none that is root's; in the sandbox all stays as the run
        made it.
        """

        def run(sandbox: Path) -> None:
            (sandbox / "program").touch()
            (sandbox / "program").chmod(0o6755)
            (sandbox / "team").mkdir()
            (sandbox / "team").chmod(0o2775)

        play(katas, LION, FILES, run=run)
        assert (tree(katas)[b"program"].mode, tree(katas)[b"team"].mode) == (0o6755, 0o2775)
        assert isinstance(katas, FolderKatas | VolumeKatas)
        for take in (partial(katas.download, LION.kata), katas.export):
            archive: list[bytes] = []
            take(archive.append)
            with tarfile.open(fileobj=io.BytesIO(b"".join(archive))) as found:
                modes = {member.name.rpartition("/")[2]: member.mode for member in found}
            assert (modes["program"], modes["team"]) == (0o755, 0o775)
            assert not any(mode & 0o6000 for mode in modes.values())


class TestHistory:
    """What was accepted can be read back."""

    def test_each_test_event_is_shown(self, katas: Katas) -> None:
        """With its files, its output and its time."""
        play(katas, LION, FILES, stdout=b"first\xff")
        play(katas, LION, {"a": "2"}, stdout=b"second")
        with katas.history(LION) as history:
            first, second = commits.read_commit(history, 1), commits.read_commit(history, 2)
        assert (first.stdout, second.stdout) == (b"first\xff", b"second")
        assert first.files == {name.encode(): text.encode() for name, text in FILES.items()}
        assert second.files == {b"a": b"2"}

    def test_the_difference_of_two_is_shown(self, katas: Katas) -> None:
        """What the player changed in between."""
        play(katas, LION, {"a": "1\n"})
        play(katas, LION, {"a": "2\n"})
        with katas.history(LION) as history:
            assert b"\n-1\n+2\n" in commits.diff(history, 1, 2)

    def test_all_test_events_are_listed(self, katas: Katas) -> None:
        """By kata and avatar; one that was never accepted has an empty list."""
        assert katas.list() == {}
        play(katas, LION, FILES)
        play(katas, LION, FILES)
        time_out(katas, SPIDER, FILES)
        found = katas.list()
        assert [each.tag for each in found[LION.kata]["lion"]] == [1, 2]
        assert found[LION.kata]["spider"] == []

    @pytest.mark.parametrize("kata", [LION.kata, "ZZZZZZZZZZ"])
    def test_who_is_not_there_is_an_error(self, katas: Katas, kata: str) -> None:
        """Of one line, which says how to find who is there; and the katas go on."""
        play(katas, LION, FILES)
        with (
            pytest.raises(NoSuchAvatar, match="harness katas list") as raised,
            katas.history(Avatar(kata, "bee")),
        ):
            pass
        assert one_line(raised.value)
        with pytest.raises(NoSuchAvatar):
            katas.download("ZZZZZZZZZZ", lambda data: None)
        assert holds(katas)

    def test_to_look_makes_nobody(self, katas: Katas) -> None:
        """Only a test event makes an avatar."""
        with pytest.raises(NoSuchAvatar), katas.history(LION):
            pass
        assert katas.list() == {}


class TestWhoSees:
    """Katas hold what players wrote."""

    def test_a_folder_that_is_made_is_closed_to_others(self, tmp_path: Path) -> None:
        """What is above it is as anything that is made there."""
        katas = FolderKatas(tmp_path / "above" / "katas")
        katas.event(LION).close()
        assert stat.S_IMODE(katas.root.stat().st_mode) == 0o700

    def test_a_folder_that_is_there_stays_as_its_owner_wants_it(self, tmp_path: Path) -> None:
        (tmp_path / "katas").mkdir()
        (tmp_path / "katas").chmod(0o751)
        FolderKatas(tmp_path / "katas").event(LION).close()
        assert stat.S_IMODE((tmp_path / "katas").stat().st_mode) == 0o751

    def test_what_a_run_leaves_in_an_open_folder_is_closed_to_others(self, tmp_path: Path) -> None:
        """It may be a program with a set-id bit, by which any user becomes that of the run."""
        tmp_path.chmod(0o755)
        katas = FolderKatas(tmp_path)
        katas.event(LION).close()
        assert stat.S_IMODE(katas.sandbox(LION).parent.stat().st_mode) == 0o700

    def test_whoever_opens_an_avatar_to_others_has_it_so(self, tmp_path: Path) -> None:
        """The next test event does not close it again."""
        katas = FolderKatas(tmp_path)
        katas.event(LION).close()
        avatar = katas.sandbox(LION).parent
        avatar.chmod(0o755)
        katas.event(LION).close()
        assert stat.S_IMODE(avatar.stat().st_mode) == 0o755


class TestRefusals:
    """Katas that cannot be read or written."""

    @unprivileged
    def test_a_folder_that_is_not_writable(self, tmp_path: Path) -> None:
        """Says so, and where."""
        katas = FolderKatas(tmp_path / "katas")
        (tmp_path / "katas").mkdir(mode=0o555)
        with pytest.raises(KatasError, match="cannot be written: Permission denied") as raised:
            katas.event(LION)
        assert str(tmp_path / "katas") in one_line(raised.value)

    @unprivileged
    def test_a_folder_that_is_not_readable(self, tmp_path: Path) -> None:
        """For a download too."""
        katas = FolderKatas(tmp_path / "katas")
        play(katas, LION, FILES)
        lion = tmp_path / "katas" / avatar_folder(LION)
        lion.parent.chmod(0o300)
        with pytest.raises(KatasError, match="cannot be read"):
            katas.download(LION.kata, lambda data: None)
        lion.parent.chmod(0o700)

    def test_a_file_system_without_exchange(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Is found out by the first tree that comes back, before anything is accepted."""

        def cannot(*paths: str) -> None:
            raise OSError(errno.EINVAL, "Invalid argument")

        katas = FolderKatas(tmp_path)
        monkeypatch.setattr(disk, "exchange", cannot)
        with closing(katas.event(LION)) as event:
            save(event, {"a": "1"})
            with pytest.raises(
                KatasError, match="cannot exchange two folders in one step"
            ) as refused:
                stage(event, build)
            one_line(refused.value)
            assert list(event.snapshot()) == [b".", b"a"]
        monkeypatch.undo()
        assert not (tmp_path / avatar_folder(LION) / STAGING).exists()
        play(katas, LION, {"a": "2"}, run=build)
        assert [each.tag for each in katas.list()[LION.kata][LION.name]] == [1]

    @pytest.mark.parametrize("name", ["visible.json", "../increments.json"])
    def test_a_damaged_file(self, katas: Katas, lion: Path, name: str) -> None:
        """Is called that."""
        play(katas, LION, FILES)
        (lion / name).write_text("{")
        with pytest.raises(KatasError, match="damaged"):
            play(katas, LION, FILES)

    @pytest.mark.parametrize("damage", ["visible", "layers", "gone"])
    def test_one_that_cannot_be_read_is_weighed_as_such(
        self, katas: Katas, lion: Path, damage: str
    ) -> None:
        """And the others are weighed as always."""
        play(katas, LION, FILES)
        play(katas, SPIDER, FILES)
        before = katas.usage()[LION.kata]["spider"]
        settle(katas)
        if damage == "visible":
            (lion / VISIBLE).write_text("{")
        elif damage == "layers":
            (lion / LAYER_LIST).write_text("{")
        else:
            remove_tree(lion / HISTORY)
        found = katas.usage()[LION.kata]
        assert found["spider"] == before
        assert not before.problem
        assert f"{lion} cannot be read" in found["lion"].problem
        assert "\n" not in found["lion"].problem

    def test_one_that_cannot_be_read_is_listed_with_the_others(
        self, katas: Katas, lion: Path
    ) -> None:
        """By what it had accepted; and the others are listed and downloaded as always."""
        elsewhere = Avatar("0123456789")
        for avatar in (LION, SPIDER, elsewhere):
            play(katas, avatar, FILES)
        settle(katas)
        (lion / ACCEPTING).write_text("{")
        found = katas.list()
        assert {name: [each.tag for each in told] for name, told in found[LION.kata].items()} == {
            "lion": [1],
            "spider": [1],
        }
        assert found[elsewhere.kata].keys() == {elsewhere.name}
        assert katas.download(elsewhere.kata, lambda data: None)

    @pytest.mark.parametrize("content", ["{", '{"lion": [{"tag": 1}]}'])
    def test_a_kata_that_cannot_be_read_is_told_of(
        self, katas: Katas, lion: Path, content: str
    ) -> None:
        """And the other katas are listed as always; with nobody to tell, it is an error."""
        elsewhere = Avatar("0123456789")
        for avatar in (LION, elsewhere):
            play(katas, avatar, FILES)
        settle(katas)
        (lion.parent / INCREMENTS).write_text(content)
        unread: dict[str, str] = {}
        assert katas.list(unread=unread.__setitem__).keys() == {elsewhere.kata}
        assert unread.keys() == {LION.kata}
        assert "increments.json is damaged" in unread[LION.kata]
        for whole in (None, LION.kata):
            with pytest.raises(KatasError, match="is damaged") as told:
                katas.list(whole)
            one_line(told.value)
        assert katas.list(elsewhere.kata).keys() == {elsewhere.kata}
        assert katas.list("Z" * 10) == {}

    def test_a_nest_of_folders_shuts_nobody_out(self, katas: Katas, lion: Path) -> None:
        """Where a run was mounted in place, and left one deeper than any path: all that reads the
        katas gets along with it.
        """
        play(katas, LION, FILES)
        settle(katas)
        here = os.open(lion / SANDBOX, os.O_RDONLY)
        for _ in range(30):
            os.mkdir("n" * 200, dir_fd=here)
            below = os.open("n" * 200, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open("file", os.O_CREAT, dir_fd=here))
        os.close(here)
        play(katas, LION, {**FILES, "src/a.c": "2"})
        assert not katas.usage()[LION.kata]["lion"].problem
        assert katas.download(LION.kata, lambda data: None)
        assert katas.list()[LION.kata]["lion"][-1].tag == 2
        katas.remove(LION.kata, "lion")
        assert not lion.exists()

    def test_a_nest_that_fits_in_no_archive(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Is told, with whose it is, before tar takes all memory for its paths."""
        katas = FolderKatas(tmp_path)
        play(katas, LION, FILES)
        (tmp_path / avatar_folder(LION) / SANDBOX / "/".join(["n"] * 20)).mkdir(parents=True)
        monkeypatch.setattr(archive, "DEEPEST", 30)
        for ask in (partial(katas.download, LION.kata), katas.export):
            with pytest.raises(KatasError, match="4A6C1FBFE1/lion") as raised:
                ask(lambda data: None)
            assert "harness katas remove" in one_line(raised.value)

    def test_holes_that_fit_in_no_archive(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An archive that every tar can read holds them as zeros: terabytes that cost a run nothing
        would be packed for days.
        """
        katas = FolderKatas(tmp_path)
        play(katas, LION, FILES)
        sandbox = tmp_path / avatar_folder(LION) / SANDBOX
        with (sandbox / "sparse").open("wb") as sparse:
            sparse.truncate(1 << 20)
        for number in range(9):
            os.link(sandbox / "sparse", sandbox / f"again.{number}")
        monkeypatch.setattr(archive, "HOLES", 2 << 20)
        assert katas.download(LION.kata, lambda data: None)
        monkeypatch.setattr(archive, "HOLES", 1000)
        for ask in (partial(katas.download, LION.kata), katas.export):
            with pytest.raises(
                KatasError, match="files with holes of more than 1000 bytes"
            ) as raised:
                ask(lambda data: None)
            assert "harness katas remove" in one_line(raised.value)

    def test_a_full_disk(self, kind: str, tmp_path: Path) -> None:
        """The test event fails, the katas are as they were, and go on as soon as there is room."""
        with tmpfs(tmp_path / "disk", kib=640) as home, opened(kind, home) as katas:
            play(katas, LION, FILES, run=build)
            before = tree(katas)
            with pytest.raises(KatasError, match="No space left") as raised:
                time_out(katas, LION, {**FILES, "src/a.c": os.urandom(1 << 20)})
            assert one_line(raised.value)
            assert difference(before, tree(katas)).changed in ((), (b"src",))
            with pytest.raises((KatasError, StreamCut), match="No space left"):
                play(
                    katas,
                    LION,
                    FILES,
                    run=lambda sandbox: (sandbox / "b.o").write_bytes(os.urandom(1 << 20)),
                )
            assert difference(before, tree(katas)).changed in ((), (b"src",))
            play(katas, LION, {**FILES, "src/a.c": "2"}, run=build)
            assert [each.tag for each in katas.list()[LION.kata]["lion"]] == [1, 2]


@contextmanager
def tmpfs(folder: Path, *, kib: int) -> Iterator[Path]:
    """A small disk."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "harness-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


class TestUnprivileged:
    """The same for a user who is not root."""

    @pytest.mark.parametrize("kind", KINDS)
    @unprivileged
    def test_test_events_go_on(self, tmp_path: Path, kind: str) -> None:
        """Exact, with deletions, and with what was accepted."""
        with opened(kind, tmp_path) as katas:
            play(katas, LION, FILES, run=build)
            before = tree(katas)
            play(katas, LION, FILES, run=lambda sandbox: None)
            assert tree(katas) == before
            comparison = play(
                katas, LION, {"src/a.c": "2"}, run=lambda sandbox: (sandbox / "a.o").unlink()
            )
            assert comparison.tag == 2
            assert holds(katas) == {"src", "src/a.c"}
            assert TestDownload.names(katas) >= {"lion/sandbox/src/a.c"}

    @pytest.mark.parametrize("kind", KINDS)
    @unprivileged
    def test_a_run_that_forbids_everything_is_put_right(self, tmp_path: Path, kind: str) -> None:
        """A file, a folder and the sandbox itself without any permission, in the katas as in a
        mount.
        """
        with opened(kind, tmp_path) as katas:
            play(katas, LION, FILES, run=build)
            sandbox = folder_of(kind, tmp_path) / avatar_folder(LION) / SANDBOX
            (sandbox / "src" / "a.c").chmod(0)
            (sandbox / "src").chmod(0)
            sandbox.chmod(0)
            play(katas, LION, {**FILES, "src/a.c": "2", "src/new": "2"})
            comparison = play(katas, LION, {**FILES, "src/a.c": "2"})
            assert comparison.delta.deleted == (b"src/new",)
            assert comparison.delta.written == ()
            assert holds(katas) == {"cyber-dojo.sh", "src", "src/a.c", "src/b.c", "a.o"}

    @pytest.mark.parametrize("kind", KINDS)
    @unprivileged
    def test_an_old_tree_without_permission_is_removed(self, tmp_path: Path, kind: str) -> None:
        """Nothing of it is left when the next has taken its place."""
        with opened(kind, tmp_path) as katas:
            play(katas, LION, FILES)
            lion = folder_of(kind, tmp_path) / avatar_folder(LION)
            (lion / SANDBOX / "src").chmod(0)
            with closing(katas.event(LION)) as event:
                comparison = event.compare({})
                with scratch_folder() as folder:
                    event.stage(chunks_of(folder))
                event.accept(acceptance({}, comparison))
            eventually(lambda: not (lion / STAGING).exists(), "the old tree has gone")
            assert holds(katas) == set()


def test_an_interruption_in_the_middle_of_a_piece_leaves_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the keeper, for the rest of the piece, nor whoever pressed ctrl-C, for the keeper's
    answer.
    """
    monkeypatch.setattr(keeper_link, "ANSWER_SECONDS", 20.0)
    with opened("volume", tmp_path) as katas:
        event = katas.event(LION)
        assert isinstance(event, volume_event.VolumeEvent)
        stream = event.link.stream
        write = stream.write

        def interrupted(data: bytes, deadline: float) -> None:
            write(data[: len(data) // 2] if len(data) > LARGE else data, deadline)
            if len(data) > LARGE:
                raise KeyboardInterrupt

        monkeypatch.setattr(stream, "write", interrupted)
        with closing(event), pytest.raises(KeyboardInterrupt):
            event.stage([bytes(2 * LARGE)])
        with closing(katas.event(LION)) as again:
            assert set(again.snapshot()) == {b"."}
