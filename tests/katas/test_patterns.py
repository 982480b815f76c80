"""Patterns of .gitignore mean what they mean to git, and none takes for ever."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.inside.errors import UsageError
from harness.katas.patterns import Malformed, Pattern, Patterns, lines_of
from harness.katas.visible import FOLDER, VisibleFiles
from harness.verify.testing.planting import scratch_folder
from tests.events import needs_git
from tests.support import one_line

PIECES = (
    *("a", "b", "ab", "a.o", "obj", "é", "A", "x y", "#h", "!n", "\t"),
    *("*", "?", "*.o", "a*", "*a*", "?b", "**", "***", "a**", "**b", "a**b", "*?*?"),
    *("[ab]", "[!a]*", "[^a]", "[a-c]", "[]a]", "[a-]", "[--9]", "[c-a]", "[[:alpha:]]*", "[a/b]"),
    *(
        "[[:x:]]",
        "[a",
        "[[:a]",
        "[\\]]",
        "[a\\-c]",
        "\\*",
        "\\a",
        "\\#h",
        "\\!n",
        "x\\ ",
        "a\\",
        "\\\\",
    ),
    *("[[:punct:]]", "[[:space:]]", "[[:xdigit:]-]", "[a-\\c]", "[^/]", "**\\"),
)
PARTS = (
    "a",
    "b",
    "ab",
    "a.o",
    "b.o",
    "obj",
    "é",
    "A",
    "x y",
    "x ",
    "#h",
    "!n",
    "*",
    "[a",
    "-",
    "]",
    "\\",
    "\t",
)

letters = st.text("aab*?/[]!\\ -.^b", min_size=1, max_size=8)
pieces = st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("/".join)
patterns = st.tuples(
    st.sampled_from(("", "", "!", "/", "!/", "**/")),
    st.one_of(pieces, pieces, letters),
    st.sampled_from(("", "", "", "/", "/*", "/**", "/*/", "/**/", " ", "  ", "\\ ", "\t", "\r")),
).map("".join)
names = st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).map("/".join)


def git(folder: str | Path, *words: str, given: bytes = b"", ok: Sequence[int] = (0,)) -> bytes:
    """What git prints, of which no setting of this machine has changed the meaning."""
    alone = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "HOME": os.devnull}
    done = subprocess.run(
        ["git", *words], cwd=folder, input=given, capture_output=True, check=False,
        env={**os.environ, **alone},
    )  # fmt: skip
    assert done.returncode in ok, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    git(folder, "init", "--quiet")
    return folder


def ignored(patterns: Patterns, path: bytes) -> bool:
    """Whether a path, or a folder above it, is excluded."""
    parts = path.split(b"/")
    return any(
        patterns.excludes(b"/".join(parts[:end]), is_folder=end < len(parts))
        for end in range(1, len(parts) + 1)
    )


@needs_git
@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(patterns, min_size=1, max_size=4), paths=st.sets(names, min_size=20, max_size=40)
)
def test_patterns_mean_what_they_mean_to_git(
    repository: Path, lines: list[str], paths: set[str]
) -> None:
    """Whatever they are made of: `git check-ignore` is asked of each path."""
    text = "\n".join(lines).encode()
    (repository / ".gitignore").write_bytes(text)
    asked = sorted(path.encode() for path in paths)
    said = git(
        repository, "check-ignore", "--no-index", "--stdin", "-z", "-v", "-n",
        given=b"".join(path + b"\0" for path in asked), ok=(0, 1),
    ).split(b"\0")  # fmt: skip
    rows = zip(said[2::4], said[3::4], strict=True)
    expected = {path for pattern, path in rows if pattern and not pattern.startswith(b"!")}
    ours = Patterns(lines_of(text))
    assert {path for path in asked if ignored(ours, path)} == expected


@needs_git
@settings(max_examples=60, deadline=None)
@given(
    files=st.sets(names, min_size=2, max_size=12),
    lists=st.lists(st.tuples(names, st.lists(patterns, min_size=1, max_size=4)), max_size=3),
    top=st.lists(patterns, max_size=4),
    exclude=st.lists(patterns, max_size=2),
    tracked=st.sets(st.integers(0, 11), max_size=2),
)
def test_what_is_sent_of_a_repository_is_what_git_lists(
    files: set[str],
    lists: list[tuple[str, list[str]]],
    top: list[str],
    exclude: list[str],
    tracked: set[int],
) -> None:
    """With .gitignore files in any folder, its own list of patterns, and files that it tracks."""
    with scratch_folder() as name:
        folder = Path(name)
        git(folder, "init", "--quiet")
        written = []
        for each in sorted(files):
            path = folder / each
            if not any(above.is_file() for above in path.parents) and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
                written.append(each)
        (folder / ".git/info/exclude").write_text("\n".join(exclude))
        for where, lines in (("", top), *lists):
            if (folder / where).is_dir():
                (folder / where / ".gitignore").write_bytes("\n".join(lines).encode())
        chosen = [each for at, each in enumerate(written) if at in tracked]
        if chosen:
            git(folder, "--literal-pathspecs", "add", "--force", "--", *chosen)
        (folder / "zzz").touch()
        git(folder, "add", "--force", "zzz")
        listed = git(folder, "ls-files", "-z", "--others", "--cached", "--exclude-standard")
        sent = VisibleFiles.from_folder(folder)
        assert {each for each, file in sent.items() if file.mode != FOLDER} == {
            each for each in listed.split(b"\0") if each
        }


@pytest.mark.parametrize(
    ("pattern", "named", "others"),
    [
        ("a*b", ["ab", "abxb", "abb"], ["abxbc", "b"]),  # the last star takes all it can
        ("a*b*c", ["abc", "abbcc", "axbxbxcxc"], ["acb", "abcx"]),
        ("a*b/c*d", ["ab/cd", "abxb/cdxd"], ["ab/x/cd", "abxb/cdx"]),
        ("*a**b", ["ab", "axxb"], ["a/b"]),
        ("**/b/c", ["b/c", "a/b/c", "b/b/c"], ["c", "b/x/c"]),
        ("**\\/**\\/c", ["a/b/c", "a/b/b/c"], ["c", "a/c"]),
        ("a/**/b/**/c", ["a/b/c", "a/x/b/y/z/c", "a/b/b/c"], ["a/c", "a/b", "x/a/b/c"]),
    ],
)
def test_a_star_matches_as_in_git(pattern: str, named: list[str], others: list[str]) -> None:
    """However often what follows it comes."""
    ours = Patterns([pattern.encode()])
    assert [
        name for name in named + others if ours.excludes(name.encode(), is_folder=False)
    ] == named


@pytest.mark.parametrize(
    "pattern",
    [
        "*a" * 12 + "b",
        "**" * 30 + "b",
        "a*" * 40 + "/b",
        "*?" * 60 + "b",
        "*[a-b]" * 60 + "/b",
        "**/a/" * 60 + "b",
        "**/*a/" * 60 + "b",
        "**/" * 999 + "b",
        "[" + "a-b" * 99_999 + "]c",
        "?" * 99_999,
    ],
)
def test_no_pattern_takes_for_ever(tmp_path: Path, pattern: str) -> None:
    """A repository that somebody cloned must not stop its first press."""
    (tmp_path / ".gitignore").write_text(pattern + "\n")
    deep = Path(*["a"] * 200)
    (tmp_path / deep).mkdir(parents=True)
    (tmp_path / deep / "x").touch()
    (tmp_path / ("a" * 250)).touch()
    assert set(VisibleFiles.from_folder(tmp_path)) == {
        b".gitignore",
        b"a" * 250,
        bytes(deep / "x"),
    }


@pytest.mark.parametrize("pattern", [b"[", b"a[b", b"[[:none:]]", b"a\\", b"[a\\", b"[a-", b"[!"])
def test_a_malformed_pattern_names_nothing(pattern: bytes) -> None:
    """In a .gitignore it is skipped, as git does."""
    with pytest.raises(Malformed):
        Pattern(pattern)
    assert Patterns([pattern, b"b"]).excludes(b"b", is_folder=False)
    assert Patterns([pattern]).excludes(pattern, is_folder=False) is None


@pytest.mark.parametrize("how", [".gitignore", "--exclude", "info/exclude"])
@pytest.mark.parametrize(
    ("lines", "left_out"),
    [
        (["obj/*", "!obj/.gitkeep"], {b"obj/a", b"obj/deep/"}),
        (["obj/**", "!obj/.gitkeep"], {b"obj/a", b"obj/deep/"}),
        (["obj/*/"], {b"obj/deep/"}),
        (["obj/**/"], {b"obj/deep/"}),
        (["obj/*"], {b"obj/a", b"obj/deep/", b"obj/.gitkeep"}),
        (["obj/"], {b"obj/"}),
    ],
)
def test_what_names_the_contents_of_a_folder_leaves_the_folder(
    tmp_path: Path, how: str, lines: list[str], left_out: set[bytes]
) -> None:
    """What is in it may be named again. Empty for that, it is sent as an empty folder."""
    for name in ("c", "obj/a", "obj/.gitkeep", "obj/deep/b"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    if how == ".gitignore":
        (tmp_path / how).write_text("\n".join(lines))
    elif how == "info/exclude":
        (tmp_path / ".git/info").mkdir(parents=True)
        (tmp_path / ".git/info/exclude").write_text("\n".join(lines))
    files = VisibleFiles.from_folder(tmp_path, exclude=lines if how == "--exclude" else ())
    reason = "--exclude" if how == "--exclude" else ".gitignore"
    assert set(files.left_out[reason]) == left_out
    kept = {b"obj/a", b"obj/.gitkeep", b"obj/deep/b"}
    kept -= {name for name in kept if any(name.startswith(each) for each in left_out)}
    expected = kept or ({b"obj"} if lines == ["obj/*"] else set())
    assert set(files) - {b".gitignore", b"c"} == expected


@needs_git
def test_what_is_in_an_ignored_folder_stays_out_though_it_is_named_again(tmp_path: Path) -> None:
    """Of such a folder git lists what it tracks, and nothing else, whatever is said further down."""
    for name in ("out/tracked", "out/.gitignore", "out/kept", "out/deep/kept"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".gitignore").write_text("out/\n!kept\n")
    (tmp_path / "out/.gitignore").write_text("!kept\n!deep\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--force", "out/tracked")
    files = VisibleFiles.from_folder(tmp_path)
    assert set(files) == {b".gitignore", b"out/tracked"}
    assert set(files.left_out[".gitignore"]) == {b"out/.gitignore", b"out/kept", b"out/deep/"}


def test_a_folder_whose_contents_its_repository_ignores_is_played(tmp_path: Path) -> None:
    """As one that it ignores by name: its owner named it, and only its own .gitignore counts."""
    for name in (".git/HEAD", "out/a.c", "out/a.o", "src/a.c", "src/deep/b"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".gitignore").write_text("*.o\nout/*\nsrc/**/\n")
    assert set(VisibleFiles.from_folder(tmp_path / "out")) == {b"a.c", b"a.o"}
    assert set(VisibleFiles.from_folder(tmp_path / "src")) == {b"a.c"}


@needs_git
def test_a_work_tree_of_its_own_has_the_list_of_its_repository(tmp_path: Path) -> None:
    """All work trees share `info/exclude`."""
    main, other = tmp_path / "main", tmp_path / "other"
    main.mkdir()
    git(main, "init", "--quiet")
    who = ("-c", "user.name=x", "-c", "user.email=x")
    git(main, *who, "commit", "--quiet", "--allow-empty", "--message", "x")
    git(main, "worktree", "add", "--quiet", str(other))
    (main / ".git/info/exclude").write_text("*.o\n")
    for name in ("a.c", "a.o"):
        (other / name).touch()
    assert set(VisibleFiles.from_folder(other)) == {b"a.c"}


@pytest.mark.parametrize("where", [".gitignore", ".git/info/exclude"])
def test_a_list_without_bound_is_refused(tmp_path: Path, where: str) -> None:
    (tmp_path / ".git/info").mkdir(parents=True)
    (tmp_path / "a").touch()
    with (tmp_path / where).open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UsageError, match=f"{where} has more than 16 MiB") as raised:
        VisibleFiles.from_folder(tmp_path)
    one_line(raised.value)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("[", "'\\[' is a pattern that names nothing, with an open \\["),
        ("a\\", "names nothing"),
        ("", "is empty"),
        (" ", "is empty"),
        ("!", "is empty"),
        ("/", "is empty"),
        ("./x", "'./x' has . or .. in it, which no name is; give '/x'"),
        ("!./x", "give '/x'"),
        ("a/../*.o", "give '/\\*.o'"),
        ("../x", "give a name in the folder"),
        (".", "give a name in the folder"),
        ("{}/obj/*.o", "is read from the folder on, not from /; give '/obj/\\*.o'"),
    ],
)
def test_a_pattern_to_exclude_that_names_nothing_is_refused(
    tmp_path: Path, pattern: str, said: str
) -> None:
    """In one line, which says how to write it."""
    (tmp_path / "a").touch()
    with pytest.raises(UsageError, match=said) as raised:
        VisibleFiles.from_folder(tmp_path, exclude=[pattern.format(tmp_path)])
    one_line(raised.value)


def test_an_anchored_pattern_may_look_like_a_path_of_the_machine(tmp_path: Path) -> None:
    """If the folder has what it begins with."""
    pattern = f"{tmp_path}/x"
    inner = tmp_path / pattern[1:]
    inner.parent.mkdir(parents=True)
    for name in ("x", "y"):
        inner.with_name(name).touch()
    files = VisibleFiles.from_folder(tmp_path, exclude=[pattern])
    assert set(files) == {bytes(inner.with_name("y").relative_to(tmp_path))}
