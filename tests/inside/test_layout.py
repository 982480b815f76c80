"""Where things lie in the katas: every name that Linux allows is let in, and none that escapes."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings

from harness.inside.errors import UsageError
from harness.inside.layout import (
    NAME_BYTES,
    PATH_BYTES,
    PATH_PARTS,
    Avatar,
    avatar_folder,
    check_kata,
    is_git_folder,
    is_list_of_modules,
    kata_folder,
    printable_name,
    split_name,
)
from harness.verify.testing.planting import scratch_folder
from harness.verify.testing.strategies import AWKWARD_NAMES, paths
from tests.events import git, needs_git
from tests.support import on_disk, one_line


@pytest.mark.parametrize("kata", ["0000000000", "4A6C1FBFE1", "ZZZZZZZZZZ"])
def test_ten_of_digits_and_capitals_are_a_kata(kata: str) -> None:
    """As the original made them, and the whole alphabet."""
    check_kata(kata)


NO_KATAS = (
    "",
    "4A6C1FBFE",
    "4A6C1FBFE12",
    "4a6c1fbfe1",
    "../../../..",
    "4A/C1FBFE1",
    "4A6C1FBFE\n",
    "4A6C1FBFE1\n",
    "4A6C1FBF\0E",
    "\uff14A6C1FBFE1",
)


@pytest.mark.parametrize("kata", NO_KATAS)
def test_nothing_else_is_a_kata(kata: str) -> None:
    """In particular nothing that would be another folder; the message is one line nevertheless."""
    with pytest.raises(UsageError) as raised:
        check_kata(kata)
    assert one_line(raised.value)
    with pytest.raises(UsageError):
        Avatar(kata, "lion")


@pytest.mark.parametrize(
    "name", ["lion", "Lion2", "1", "two_words", "a-b", "lock", "sandbox", "x" * 64]
)
def test_letters_digits_and_dashes_are_an_avatar(name: str) -> None:
    """Also the words that the layout itself uses elsewhere."""
    assert Avatar("4A6C1FBFE1", name).name == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".git",
        "-rf",
        "_x",
        "a/b",
        "../lion",
        "a b",
        "a.json",
        "lion\n",
        "\u00e9",
        "x" * 65,
    ],
)
def test_nothing_else_is_an_avatar(name: str) -> None:
    """In particular nothing with a dot: the kata's own files have one."""
    with pytest.raises(UsageError):
        Avatar("4A6C1FBFE1", name)


def test_an_avatar_lies_in_its_kata() -> None:
    """katas/XX/YYYYYYYY/AVATAR: two characters of the id keep any one folder from filling up."""
    avatar = Avatar("4A6C1FBFE1", "spider")
    assert kata_folder(avatar.kata) == "4A/6C1FBFE1"
    assert avatar_folder(avatar) == "4A/6C1FBFE1/spider"
    assert str(avatar) == "4A6C1FBFE1/spider"


@settings(deadline=None)
@given(paths(depth=5))
def test_every_name_that_linux_allows_is_let_in(name: bytes) -> None:
    """And comes apart where its slashes are."""
    assert b"/".join(split_name(name)) == name


@on_disk
@given(paths())
def test_what_is_let_in_stays_inside(name: bytes) -> None:
    """By the kernel's own reading of the name."""
    with scratch_folder() as folder:
        root = os.fsencode(os.path.realpath(folder))
        here = root
        for part in split_name(name):
            here = os.path.join(here, part)
            os.mkdir(here)
        assert os.path.realpath(os.path.join(root, name)) == here
        assert here.startswith(root + b"/")


@pytest.mark.parametrize(
    "name", [b"..", b"../a", b"a/..", b"a/../b", b"a/../../b", b"/", b"/etc/passwd", b"//a"]
)
def test_a_name_that_escapes_is_refused(name: bytes) -> None:
    """Even if it would come back in the end; and the message says that it escapes."""
    with pytest.raises(UsageError, match="escapes its sandbox"):
        split_name(name)


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b".",
        b"./a",
        b"a/.",
        b"a//b",
        b"a/",
        b"a\0b",
        b"x" * (NAME_BYTES + 1),
        b"a/" + b"x" * 256,
    ],
)
def test_a_name_that_no_file_has_is_refused(name: bytes) -> None:
    """Or that another name stands for too: names are compared as they are."""
    with pytest.raises(UsageError, match="is not a file name"):
        split_name(name)


def test_the_longest_names_are_let_in_and_longer_ones_refused() -> None:
    """What is too long for the kernel would make every later look at the sandbox fail."""
    longest = b"/".join([b"x" * NAME_BYTES] * (PATH_BYTES // (NAME_BYTES + 1)))
    deepest = b"/".join([b"x"] * PATH_PARTS)
    assert split_name(longest)
    assert split_name(deepest)
    for name in (longest + b"/" + b"x" * NAME_BYTES, deepest + b"/x"):
        with pytest.raises(UsageError, match="too long"):
            split_name(name)


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_a_message_shows_any_name_as_one_line_of_text(name: bytes) -> None:
    """No name can forge a second line, or break the terminal that it is printed on."""
    shown = printable_name(name)
    assert shown.isprintable()
    shown.encode()


def test_the_bounds_of_names_leave_room_for_the_folder_of_the_katas() -> None:
    """Of the 4,096 bytes of Linux's paths, and with one file name as long as file systems allow."""
    assert (NAME_BYTES, PATH_BYTES, PATH_PARTS) == (255, 4096 - 1024, 256)
    parts = [b"x" * 254] * 12
    for longest in ([b"x" * 255], [*parts, b"x" * 12], [b"x" * 11] * 256):
        assert split_name(b"/".join(longest)) == longest
    with pytest.raises(UsageError, match="is not a file name"):
        split_name(b"x" * 256)
    for longer in ([*parts, b"x" * 13], [b"x"] * 257):
        with pytest.raises(UsageError, match="too long"):
            split_name(b"/".join(longer))
    with pytest.raises(UsageError) as caught:
        split_name(b"/".join([b"abcd"] * 700))
    assert f"{printable_name(b'abcd/' * 12)}... is too long" in str(caught.value)


def test_git_s_own_folder_is_known_by_the_names_that_git_knows() -> None:
    """In any case, with what Apple's file system ignores, and with what Windows drops at the end
    (git's own tests of hasDotgit).
    """
    ignored = [*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF]
    assert len(ignored) == 4 + 5 + 6 + 1
    for each in ("\u200c", "\u200f", "\u202a", "\u202e", "\u206a", "\u206f", "\ufeff"):
        assert is_git_folder(f".g{each}it".encode())
    for each in ("\u200b", "\u2010", "\u2029", "\u202f", "\u2069", "\u2070", "\ufefe", "\uff00"):
        assert not is_git_folder(f".g{each}it".encode())
    for name in (b".git", b".GiT", b"git~1", b"GIT~1", b".git. .", b".git::$DATA", b".git \xff"):
        assert is_git_folder(name)
    for name in (b"git", b".gitx", b"git~2", b".git/", b"..git", b" .git", b".gi", b":.git"):
        assert not is_git_folder(name)


@needs_git
@pytest.mark.parametrize(
    ("mode", "complaint", "ours"),
    [
        ("100644", "hasDotgit", is_git_folder),
        ("120000", "gitmodulesSymlink", is_list_of_modules),
    ],
)
def test_git_clones_every_history_with_the_names_that_are_let_in(
    tmp_path: Path, mode: str, complaint: str, ours: Callable[[bytes], bool]
) -> None:
    """Names like `.git` and `.gitmodules` with what may stand before and after: those are refused
    that git itself complains about, and no others, but for what Apple's characters are mixed into.
    """
    heads = (".git", ".GiT", "git~1", "git~2", "git", ".gitmodules", ".gitModules", "gitmodules")
    shorts = ("gitmod~1", "gitmod~4", "gitmod~5", "gi7eba~1", "gi7eb~10", "GI7~1000", "~1000000")
    befores = ("", "a\\", "a", "\\", ".git\\", "a:", "\u200c")
    afters = ("", "\\", "\\q", " .", ". .", ".x", ":x", "::$INDEX", " :x", "0", "\\\\", "~1")
    names = ["".join(parts) for parts in itertools.product(befores, (*heads, *shorts), afters)]
    history = tmp_path / "history"
    git(history, "init", "--bare", "--quiet")
    blob = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"], input=b"x", cwd=history, check=True,
        capture_output=True,
    ).stdout.strip()  # fmt: skip
    trees = b"\n".join(b"%b blob %b\t%b\0\n" % (mode.encode(), blob, n.encode()) for n in names)
    made = subprocess.run(
        ["git", "mktree", "--batch", "-z"], input=trees.replace(b"\0\n", b"\0\0"), cwd=history,
        check=True, capture_output=True,
    ).stdout.split()  # fmt: skip
    assert len(made) == len(names)
    found = subprocess.run(["git", "fsck"], cwd=history, check=False, capture_output=True)
    said = set(re.findall(rb"in tree (\w+): %b:" % complaint.encode(), found.stderr))
    refused = {name for name, tree in zip(names, made, strict=True) if tree in said}
    assert refused
    more = {name for name in names if ours(name.encode())} ^ refused
    assert all("\u200c" in name and name not in refused for name in more)
