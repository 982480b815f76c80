"""What an edit means, with every runner on every engine: bare make in place, on a twin of the
player's folder, is the measure.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from harness.inside.errors import UsageError
from harness.inside.layout import Avatar
from harness.katas.visible import VisibleFile, VisibleFiles
from harness.runners.base import BaseRunner
from tests.support import completed

HOUR = 3600 * 10**9

MAKE = """#!/bin/sh
make -s 2>&1; cat product
"""
MAKEFILE = "product: source\n\t@echo making; cp source product\n"


def files_of(folder: Path, **ages: int) -> VisibleFiles:
    """A project whose product is its source, as a folder with these stamps."""
    for name, text in {"cyber-dojo.sh": MAKE, "Makefile": MAKEFILE}.items():
        (folder / name).write_text(text)
        os.utime(folder / name, ns=(1, 1))
    (folder / "cyber-dojo.sh").chmod(0o755)
    for name, age in ages.items():
        os.utime(folder / name, ns=(age, age))
    return VisibleFiles.from_folder(folder)


def sh(*lines: str) -> str:
    """A cyber-dojo.sh of these lines."""
    return "\n".join(["#!/bin/sh", *lines, ""])


def keeps(runner: BaseRunner) -> bool:
    """Whether it keeps what a run made."""
    return runner.name != "tmp"


def test_products_that_are_older_than_their_source_are_made_anew(
    runner: BaseRunner, avatar: Avatar, tmp_path: Path
) -> None:
    """And those that are newer are not: the player made them from it."""
    (tmp_path / "source").write_text("new\n")
    (tmp_path / "product").write_text("old\n")
    run = runner.run(avatar, files_of(tmp_path, source=20, product=10))
    assert completed(run).stdout == "making\nnew\n"
    other = Avatar(avatar.kata, "other")
    run = runner.run(other, files_of(tmp_path, source=10, product=20))
    assert completed(run).stdout == "old\n"


def test_a_product_of_the_player_s_does_not_come_back_over_the_run_s(
    runner: BaseRunner, avatar: Avatar, tmp_path: Path
) -> None:
    """It was sent once, and never touched again: an edit is told against what was sent last."""
    (tmp_path / "source").write_text("one\n")
    (tmp_path / "product").write_text("one\n")
    completed(runner.run(avatar, files_of(tmp_path, source=10, product=20)))
    (tmp_path / "source").write_text("two\n")
    edited = files_of(tmp_path, source=30, product=20)
    assert completed(runner.run(avatar, edited)).stdout == "making\ntwo\n"
    for _ in range(2):
        expected = "two\n" if keeps(runner) else "making\ntwo\n"
        assert completed(runner.run(avatar, edited)).stdout == expected


def test_products_made_by_the_player_meanwhile_are_newer_than_their_source(
    runner: BaseRunner, avatar: Avatar, tmp_path: Path
) -> None:
    """Both are edits, and have their order; the other way round the source is the newer one."""
    (tmp_path / "source").write_text("one\n")
    completed(runner.run(avatar, files_of(tmp_path, source=10)))
    (tmp_path / "source").write_text("two\n")
    (tmp_path / "product").write_text("two, by the player\n")
    now = time.time_ns()
    run = runner.run(avatar, files_of(tmp_path, source=now - 1, product=now))
    assert completed(run).stdout == "two, by the player\n"
    (tmp_path / "source").write_text("three\n")
    (tmp_path / "product").write_text("two, again\n")
    now = time.time_ns()
    run = runner.run(avatar, files_of(tmp_path, source=now, product=now - 1))
    assert completed(run).stdout == "making\nthree\n"


@pytest.mark.parametrize("which", ["unrelated", "product"])
def test_what_a_run_left_ahead_of_the_clock_hides_no_edit(
    runner: BaseRunner, avatar: Avatar, which: str
) -> None:
    """Nor does it have anything made again when nothing was edited, or the clock be complained
    of.
    """
    touch = f"[ -e {which}.touched ] || touch -d '+2 hours' {which}.touched {which}"
    make = sh(f"make -s 2>&1; {touch}; cat product")
    files = VisibleFiles({"cyber-dojo.sh": make, "Makefile": MAKEFILE, "source": "one\n"})
    assert completed(runner.run(avatar, files)).stdout == "making\none\n"
    files = files.edited("source", "two\n")
    assert completed(runner.run(avatar, files)).stdout == "making\ntwo\n"
    for _ in range(2):
        expected = "two\n" if keeps(runner) else "making\ntwo\n"
        assert completed(runner.run(avatar, files)).stdout == expected


def test_files_of_the_player_s_are_brought_to_the_clock(
    runner: BaseRunner, avatar: Avatar, tmp_path: Path
) -> None:
    """In their order: make warns of no clock skew."""
    ahead = time.time_ns() + HOUR
    (tmp_path / "source").write_text("one\n")
    (tmp_path / "product").write_text("old\n")
    run = runner.run(avatar, files_of(tmp_path, source=ahead + 2, product=ahead + 1))
    assert completed(run).stdout == "making\none\n"


def test_a_file_that_is_edited_while_the_run_goes_on(
    runner: BaseRunner, avatar: Avatar, tmp_path: Path
) -> None:
    """What was there when the button was pressed is what is kept; the next press sends the edit."""
    (tmp_path / "source").write_text("one\n")
    files = files_of(tmp_path, source=10)
    run = runner.run(
        avatar,
        files,
        on_output=lambda output: (tmp_path / "source").write_text("edited meanwhile\n"),
    )
    assert completed(run).stdout == "making\none\n"
    run = runner.run(avatar, files, on_output=lambda output: (tmp_path / "source").unlink())
    assert completed(run).stdout == "making\nedited meanwhile\n"


def test_empty_folders_travel(runner: BaseRunner, avatar: Avatar, tmp_path: Path) -> None:
    """What a run puts there stays there, and what the player deletes goes."""
    (tmp_path / "obj").mkdir()
    (tmp_path / "cyber-dojo.sh").write_text(sh("ls -d obj out 2>/dev/null; echo x >obj/made"))
    (tmp_path / "cyber-dojo.sh").chmod(0o755)
    assert runner.run(avatar, VisibleFiles.from_folder(tmp_path)).stdout == "obj\n"
    (tmp_path / "out").mkdir()
    assert runner.run(avatar, VisibleFiles.from_folder(tmp_path)).stdout == "obj\nout\n"
    (tmp_path / "out").rmdir()
    assert runner.run(avatar, VisibleFiles.from_folder(tmp_path)).stdout == "obj\n"


def test_a_change_of_mode_alone_has_nothing_made_anew(runner: BaseRunner, avatar: Avatar) -> None:
    """As chmod in place, be it to give or to take the permission to execute."""
    make = sh("make -s 2>&1; [ -x source ] && echo executable; cat product")
    files = VisibleFiles({"cyber-dojo.sh": make, "Makefile": MAKEFILE, "source": "#!one\n"})
    again = "" if keeps(runner) else "making\n"
    assert completed(runner.run(avatar, files)).stdout == "making\nexecutable\n#!one\n"
    plain = VisibleFiles({**files, b"source": _with_mode(files, 0o100644)})
    assert completed(runner.run(avatar, plain)).stdout == again + "#!one\n"
    assert completed(runner.run(avatar, files)).stdout == again + "executable\n#!one\n"


def test_what_a_run_deleted_and_the_player_gave_another_mode(
    runner: BaseRunner, avatar: Avatar
) -> None:
    """Is put back with the stamp that it had, and the new mode: its content was not edited."""
    make = sh("make -s 2>&1; [ -x source ] && echo executable; cat product; rm source")
    files = VisibleFiles({"cyber-dojo.sh": make, "Makefile": MAKEFILE, "source": "#!one\n"})
    again = "" if keeps(runner) else "making\n"
    assert completed(runner.run(avatar, files)).stdout == "making\nexecutable\n#!one\n"
    plain = VisibleFiles({**files, b"source": _with_mode(files, 0o100644)})
    assert completed(runner.run(avatar, plain)).stdout == again + "#!one\n"


def test_a_fresh_start(runner: BaseRunner, avatar: Avatar) -> None:
    """Nothing of the earlier runs is there; the history goes on."""
    files = VisibleFiles({"cyber-dojo.sh": sh("ls; echo x >made")})
    completed(runner.run(avatar, files))
    run = runner.run(avatar, files, fresh=True)
    assert (run.stdout, run.tag) == ("cyber-dojo.sh\n", 2)


class TestProducts:
    """run(..., products=True)"""

    def test_what_a_run_made_changed_and_deleted(self, runner: BaseRunner, avatar: Avatar) -> None:
        """With its contents, whether the katas keep them or not; folders are not files."""
        do = sh(
            "mkdir d; echo made >d/made; echo more >>changed; rm deleted; ln -s changed link; chmod 700 mode; touch same",
            "truncate -s 1M sparse; echo end >>sparse; ln changed hard; : >\"$(printf 'two\\nlines')\"",
        )
        files = VisibleFiles(
            {"cyber-dojo.sh": do}
            | dict.fromkeys(("changed", "deleted", "mode", "kept", "same"), "1\n")
        )
        run = completed(runner.run(avatar, files, products=True))
        found = run.products
        assert found
        assert found.made == (b"d/made", b"hard", b"link", b"sparse", b"two\nlines")
        assert found.changed == (b"changed", b"mode", b"same")
        assert found.deleted == (b"deleted",)
        assert found.read("d/made") == b"made\n"
        assert found.read(b"changed") == found.read("hard") == b"1\nmore\n"
        assert found.read("link") == b"changed"
        assert found.read("sparse") == bytes(1 << 20) + b"end\n"
        with pytest.raises(UsageError, match="neither made nor changed 'kept'"):
            found.read("kept")

    def test_they_are_only_told_when_they_are_asked_for(
        self, runner: BaseRunner, avatar: Avatar
    ) -> None:
        """It takes time."""
        assert runner.run(avatar, {"cyber-dojo.sh": sh("echo x >made")}).products is None


def _with_mode(files: VisibleFiles, mode: int) -> VisibleFile:
    return VisibleFile(files[b"source"].read(), mode)


class Folder:
    """A player's folder with a source, and what a build of the player's own made from it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str, age: int) -> None:
        (self.path / name).write_text(text)
        os.utime(self.path / name, ns=(age, age))

    def remove(self, *names: str) -> None:
        for name in names:
            (self.path / name).unlink()

    def files(self, *, exclude: tuple[str, ...] = ()) -> VisibleFiles:
        files_of(self.path)
        return VisibleFiles.from_folder(self.path, exclude=exclude)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def ages(count: int) -> list[int]:
    """Moments of the last minute, a second apart."""
    now = time.time_ns()
    return [now - (60 - second) * 10**9 for second in range(count)]


def test_an_edit_that_is_taken_back_after_a_build_makes_the_product_stale(
    runner: BaseRunner, avatar: Avatar, folder: Folder
) -> None:
    """The player edits, builds, and undoes: the source is as it was sent, and newer than its
    product.
    """
    first, second, third = ages(3)
    folder.write("source", "one\n", first)
    assert completed(runner.run(avatar, folder.files())).stdout == "making\none\n"
    folder.write("product", "two\n", second)
    folder.write("source", "one\n", third)
    assert completed(runner.run(avatar, folder.files())).stdout == "making\none\n"


def test_an_edit_that_is_taken_back_counts_where_the_product_was_sent_before(
    runner: BaseRunner, avatar: Avatar, folder: Folder
) -> None:
    """No run made that product: it is an edit, and the source that was touched since is newer."""
    first, second, third, fourth = ages(4)
    folder.write("source", "one\n", first)
    folder.write("product", "one\n", second)
    assert completed(runner.run(avatar, folder.files())).stdout == "one\n"
    folder.write("product", "two\n", third)
    folder.write("source", "one\n", fourth)
    assert completed(runner.run(avatar, folder.files())).stdout == "making\none\n"


def test_a_product_out_of_a_cache_is_older_than_its_source(
    runner: BaseRunner, avatar: Avatar, folder: Folder
) -> None:
    """It takes the place of what a run made, with the stamp of the build that it came from."""
    first, second = ages(2)
    folder.write("source", "two\n", second)
    assert completed(runner.run(avatar, folder.files())).stdout == "making\ntwo\n"
    folder.write("product", "one\n", first)
    assert completed(runner.run(avatar, folder.files())).stdout == "making\ntwo\n"


def test_an_older_copy_of_a_source_is_an_edit(
    runner: BaseRunner, avatar: Avatar, folder: Folder
) -> None:
    """`cp -p` and `mv` bring old stamps; make in place would miss that edit, and here it is
    seen.
    """
    first, second, third = ages(3)
    folder.write("source", "two\n", second)
    folder.write("other", "\n", third)
    completed(runner.run(avatar, folder.files()))
    folder.write("source", "one\n", first)
    assert completed(runner.run(avatar, folder.files())).stdout == "making\none\n"


def test_an_older_copy_of_what_a_run_rewrote_is_an_edit(
    runner: BaseRunner, avatar: Avatar, folder: Folder
) -> None:
    """A formatter in the run must not make a product of the source: `mv` brings back a backup."""
    first, second, third = ages(3)
    folder.write("source", "two\n", second)
    folder.write("other", "\n", third)
    files = {"cyber-dojo.sh": f"{MAKE}touch -r product source\n"}

    def play() -> str:
        files_of(folder.path)
        (folder.path / "cyber-dojo.sh").write_text(files["cyber-dojo.sh"])
        os.utime(folder.path / "cyber-dojo.sh", ns=(1, 1))
        return completed(runner.run(avatar, VisibleFiles.from_folder(folder.path))).stdout

    assert play() == "making\ntwo\n"
    folder.write("source", "one\n", first)
    assert play() == "making\none\n"


def test_a_folder_that_was_written_anew_says_nothing_by_its_stamps(
    runner: BaseRunner, avatar: Avatar, folder: Folder
) -> None:
    """A clone stamps its files in whatever order it writes them; the edit is the source all the
    same.
    """
    sent = ("source", "one\n"), ("other", "\n")
    for (name, text), age in zip(sent, ages(2), strict=True):
        folder.write(name, text, age)
    completed(runner.run(avatar, folder.files()))
    for name, age in zip(
        ("source", "other", "Makefile", "cyber-dojo.sh"), ages(9)[5:], strict=True
    ):
        text = "two\n" if name == "source" else (folder.path / name).read_text()
        folder.write(name, text, age)
    again = VisibleFiles.from_folder(folder.path)
    assert completed(runner.run(avatar, again)).stdout == "making\ntwo\n"
    expected = "two\n" if keeps(runner) else "making\ntwo\n"
    assert completed(runner.run(avatar, again)).stdout == expected


def test_a_clone_of_what_a_run_formatted_is_an_edit(
    runner: BaseRunner, avatar: Avatar, folder: Folder
) -> None:
    """What the clone wrote after it is not newer: it builds nothing but what depends on the
    edit.
    """
    makefile = f"all: product second\n{MAKEFILE}second: other\n\t@echo second; cp other second\n"

    def play(text: str, age: int) -> str:
        folder.write("source", text, age)
        folder.write("other", "\n", age + 1)
        folder.write("Makefile", makefile, age + 2)
        folder.write("cyber-dojo.sh", f"{MAKE}touch source\n", age + 3)
        (folder.path / "cyber-dojo.sh").chmod(0o755)
        files = VisibleFiles.from_folder(folder.path)
        return completed(runner.run(avatar, files)).stdout

    first, second = ages(2)
    assert play("one\n", first) == "making\nsecond\none\n"
    expected = "making\ntwo\n" if keeps(runner) else "making\nsecond\ntwo\n"
    assert play("two\n", second) == expected


def test_what_is_left_out_from_now_on_stays_as_the_run_made_it(
    runner: BaseRunner, avatar: Avatar, folder: Folder
) -> None:
    """It is still in the player's folder: nobody deleted it, and a press with no edit makes
    nothing.
    """
    if not keeps(runner):
        pytest.skip("tmp keeps nothing that a run made")
    first, second = ages(2)
    folder.write("product", "old\n", first)
    folder.write("source", "one\n", second)
    assert completed(runner.run(avatar, folder.files())).stdout == "making\none\n"
    for _ in range(2):
        left_out = folder.files(exclude=("product",))
        assert completed(runner.run(avatar, left_out)).stdout == "one\n"
    assert completed(runner.run(avatar, folder.files())).stdout == "one\n"


def test_what_is_left_out_and_changed_meanwhile_comes_back_as_a_product(
    runner: BaseRunner, avatar: Avatar, folder: Folder
) -> None:
    """Built on the player's machine from an older source: it is not the newest thing of all."""
    first, second, third, fourth = ages(4)
    folder.write("product", "old\n", first)
    folder.write("source", "one\n", second)
    completed(runner.run(avatar, folder.files()))
    completed(runner.run(avatar, folder.files(exclude=("product",))))
    folder.write("product", "other\n", third)
    folder.write("source", "two\n", fourth)
    completed(runner.run(avatar, folder.files(exclude=("product",))))
    assert completed(runner.run(avatar, folder.files())).stdout == "making\ntwo\n"


def test_what_is_left_out_and_then_removed_is_gone(
    runner: BaseRunner, avatar: Avatar, folder: Folder
) -> None:
    """As in place; a wildcard of the build must not find it for ever."""
    for name, age in zip(("source", "old"), ages(2), strict=True):
        folder.write(name, f"{name}\n", age)

    def play(*exclude: str) -> str:
        folder.files()
        (folder.path / "cyber-dojo.sh").write_text(sh("cat source old 2>/dev/null"))
        files = VisibleFiles.from_folder(folder.path, exclude=exclude)
        return completed(runner.run(avatar, files)).stdout

    assert play() == "source\nold\n"
    play("old")
    folder.remove("old")
    assert play("old") == "source\n"
    assert play() == "source\n"


def test_a_product_out_of_a_cache_is_older_than_what_a_run_generated(
    runner: BaseRunner, avatar: Avatar, folder: Folder
) -> None:
    """It is newer than every source that was sent, and older than the header that a run made."""
    first, second = ages(2)
    makefile = (
        "product: source header\n\t@echo making; cat source header >product\n"
        "header: Makefile\n\t@echo header >header\n"
    )

    def play() -> str:
        folder.files()
        folder.write("Makefile", makefile, 1)
        return completed(runner.run(avatar, VisibleFiles.from_folder(folder.path))).stdout

    folder.write("source", "one\n", first)
    assert play() == "making\none\nheader\n"
    folder.write("product", "other\n", second)
    assert play() == "making\none\nheader\n"


def test_a_product_out_of_a_cache_is_older_than_a_fresh_clone(
    runner: BaseRunner, avatar: Avatar, folder: Folder
) -> None:
    """All files have new stamps, and the product an old one: in place it would be made anew."""
    first, second, third = ages(3)
    folder.write("source", "one\n", first)
    assert completed(runner.run(avatar, folder.files())).stdout == "making\none\n"
    folder.write("product", "other\n", second)
    for name in ("source", "Makefile", "cyber-dojo.sh"):
        os.utime(folder.path / name, ns=(third, third))
    files = VisibleFiles.from_folder(folder.path)
    assert completed(runner.run(avatar, files)).stdout == "making\none\n"


def test_an_undone_edit_counts_where_the_player_s_clock_is_ahead(
    runner: BaseRunner, avatar: Avatar, folder: Folder
) -> None:
    """As over NFS: product and source are both from the future, in that order."""
    [first], later = ages(1), time.time_ns() + HOUR
    folder.write("source", "one\n", first)
    assert completed(runner.run(avatar, folder.files())).stdout == "making\none\n"
    folder.write("product", "two\n", later)
    folder.write("source", "one\n", later + 10**9)
    assert completed(runner.run(avatar, folder.files())).stdout == "making\none\n"


def test_an_edit_of_a_file_is_no_edit_of_its_folder(
    runner: BaseRunner, avatar: Avatar, tmp_path: Path
) -> None:
    """A folder may be a target, which must not become newer than its prerequisite by that."""
    if not keeps(runner):
        pytest.skip("tmp keeps nothing that a run made")
    (tmp_path / "gen").mkdir()
    makefile = "gen: source\n\t@cp source gen/out; touch gen; echo making\n"

    def play(source: str, readme: str, script: str) -> str:
        for name, text in {
            "source": f"{source}\n",
            "gen/README": f"{readme}\n",
            "Makefile": makefile,
            "cyber-dojo.sh": sh(script),
        }.items():
            (tmp_path / name).write_text(text)
        (tmp_path / "cyber-dojo.sh").chmod(0o755)
        return completed(runner.run(avatar, VisibleFiles.from_folder(tmp_path))).stdout

    assert play("one", "1", "make -s -B; cat gen/out") == "making\none\n"
    assert play("two", "1", "exit 1") == ""
    assert play("two", "2", "make -s; cat gen/out") == "making\ntwo\n"


@pytest.mark.parametrize("how", ["moved", "deleted"])
def test_a_folder_that_the_player_removed_takes_the_products_in_it_along(
    runner: BaseRunner, avatar: Avatar, tmp_path: Path, how: str
) -> None:
    """In place they are gone with it; a glob of the build must not find them."""
    (tmp_path / "cyber-dojo.sh").write_text(
        sh("for d in */; do [ -e $d/made ] || cp $d/source $d/made; done", "ls */made")
    )
    (tmp_path / "cyber-dojo.sh").chmod(0o755)
    for name in ("kept", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "source").write_text("1\n")
    run = runner.run(avatar, VisibleFiles.from_folder(tmp_path))
    assert completed(run).stdout == "kept/made\nold/made\n"
    if how == "moved":
        (tmp_path / "old").rename(tmp_path / "new")
    else:
        (tmp_path / "old" / "source").unlink()
        (tmp_path / "old").rmdir()
    run = runner.run(avatar, VisibleFiles.from_folder(tmp_path))
    assert completed(run).stdout == "kept/made\n" + ("new/made\n" if how == "moved" else "")


def test_a_file_in_the_place_of_a_folder_that_the_player_removed_stays(
    runner: BaseRunner, avatar: Avatar, tmp_path: Path
) -> None:
    """A run put it there: it is nothing that the player had."""
    if not keeps(runner):
        pytest.skip("tmp keeps nothing that a run made")
    (tmp_path / "cyber-dojo.sh").write_text(sh("[ -f f ] || { rm -r f; echo 1 >f; }", "ls"))
    (tmp_path / "cyber-dojo.sh").chmod(0o755)
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "source").write_text("1\n")
    completed(runner.run(avatar, VisibleFiles.from_folder(tmp_path)))
    (tmp_path / "f" / "source").unlink()
    (tmp_path / "f").rmdir()
    run = runner.run(avatar, VisibleFiles.from_folder(tmp_path))
    assert completed(run).stdout == "cyber-dojo.sh\nf\n"


def test_a_folder_that_the_player_only_emptied_keeps_what_runs_made(
    runner: BaseRunner, avatar: Avatar, tmp_path: Path
) -> None:
    """It is still there in the player's folder, and so are the products in place."""
    if not keeps(runner):
        pytest.skip("tmp keeps nothing that a run made")
    (tmp_path / "cyber-dojo.sh").write_text(sh("[ -e f/made ] || echo 1 >f/made", "ls f"))
    (tmp_path / "cyber-dojo.sh").chmod(0o755)
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "source").write_text("1\n")
    completed(runner.run(avatar, VisibleFiles.from_folder(tmp_path)))
    (tmp_path / "f" / "source").unlink()
    run = runner.run(avatar, VisibleFiles.from_folder(tmp_path))
    assert completed(run).stdout == "made\n"


@pytest.mark.parametrize("how", ["socket", "pipe", "link"])
def test_what_became_something_that_is_not_sent_is_gone(
    runner: BaseRunner, avatar: Avatar, tmp_path: Path, how: str
) -> None:
    """The player has the file no more: a glob of the build must not find the old one."""
    (tmp_path / "cyber-dojo.sh").write_text(sh("ls"))
    (tmp_path / "cyber-dojo.sh").chmod(0o755)
    (tmp_path / "source").write_text("1\n")
    completed(runner.run(avatar, VisibleFiles.from_folder(tmp_path)))
    (tmp_path / "source").unlink()
    if how == "link":
        (tmp_path / "source").symlink_to("/etc/hostname")
    elif how == "pipe":
        os.mkfifo(tmp_path / "source")
    else:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.relpath(tmp_path / "source"))
    run = runner.run(avatar, VisibleFiles.from_folder(tmp_path))
    assert completed(run).stdout == "cyber-dojo.sh\n"
