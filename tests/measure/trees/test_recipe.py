"""Recipes: what is refused, how an sdist is fetched and unpacked, and that the real ones do as they
say.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from harness.inside.errors import TreeError, UsageError
from harness.measure.trees.recipe import RecipeTree, TreeRecipe, edit, load_recipe, write_tree
from harness.measure.trees.sdist import Sdist, fetch, pip_download
from harness.measure.trees.source import SourceTree, TreeEdit
from tests import ROOT

RECIPES = ROOT / "fixtures" / "trees"

TINY = """\
name = "tiny"
licence = "MIT"
answer = "answer: 6"
omit = [".git", "docs"]

[source]
distribution = "tiny-c"
version = "1.0"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
folder = "src/tiny"

[edit]
path = "lib/six.c"
find = "{ return 6; }"
replace = "{ return 6 + {n}; }"
answer = "answer: 6 + {n}"

[files]
"cyber-dojo.sh" = '''
#!/bin/sh
make -s
'''
"extra/notes.txt" = "not executable"
"""

MEMBERS = {
    "tiny_c-1.0/setup.py": b"raise SystemExit('the setup.py of an sdist was run')",
    "tiny_c-1.0/src/tiny/lib/six.c": b"int six(void) { return 6; }\n",
    "tiny_c-1.0/src/tiny/docs/six.md": b"left out",
    "tiny_c-1.0/src/tiny/docs.c": b"kept",
    "tiny_c-1.0/src/tiny/.git": b"gitdir: nowhere",
    "tiny_c-1.0/src/tinyest/other.c": b"of another folder",
}


def packed(path: Path, members: Mapping[str, bytes | tarfile.TarInfo] = MEMBERS) -> Path:
    """An sdist with these members; a TarInfo is taken as it is, for what is no regular file."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
            else:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


def parsed(folder: Path, text: str = TINY) -> TreeRecipe:
    path = folder / "tiny.toml"
    path.write_text(text)
    return load_recipe(path)


def fitting(recipe: TreeRecipe, sdist: Path) -> TreeRecipe:
    """The recipe, for this very sdist."""
    digest = hashlib.sha256(sdist.read_bytes()).hexdigest()
    return replace(recipe, source=replace(recipe.source, sha256=digest))


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


class Downloads:
    """A downloader that brings a prepared sdist, and counts how often it is asked."""

    def __init__(self, sdist: Path) -> None:
        self.sdist, self.count = sdist, 0

    def __call__(self, source: Sdist, folder: Path) -> Path:
        self.count += 1
        return Path(shutil.copy(self.sdist, folder / f"{source.distribution}.tar.gz"))


def test_a_recipe_says_what_its_file_says(tmp_path: Path) -> None:
    recipe = parsed(tmp_path)

    assert (recipe.name, recipe.licence, recipe.answer) == ("tiny", "MIT", "answer: 6")
    assert recipe.source == Sdist("tiny-c", "1.0", "0" * 64, "src/tiny")
    assert recipe.omit == (".git", "docs")
    assert recipe.files["cyber-dojo.sh"] == "#!/bin/sh\nmake -s\n"
    assert recipe.change.path == "lib/six.c"


@pytest.mark.parametrize(
    ("good", "bad", "complaint"),
    [
        ('name = "tiny"', "", "name is missing"),
        ('name = "tiny"', 'name = "tiny"\ncolour = "red"', "colour is unknown"),
        ('name = "tiny"', 'name = "../tiny"', "name: expected letters"),
        ('name = "tiny"', "name = 7", "name: expected letters"),
        ('name = "tiny"', "name = tiny", "line 1"),
        ('"answer: 6"', '"6"', "answer: expected one line that starts with"),
        ('[".git", "docs"]', '".git"', "omit: expected a list"),
        ('"docs"]', '"../docs"]', "omit: '../docs': expected a path"),
        ('sha256 = "0', 'sha256 = "', "source: sha256: expected 64 hexadecimal digits"),
        ('version = "1.0"', 'version = "1.0 --pre"', "source: version: expected letters"),
        ('folder = "src/tiny"', 'folder = "/src/tiny"', "source: folder: expected a path"),
        ('path = "lib/six.c"', 'path = "lib/../../six.c"', "edit: path: expected a path"),
        ("6 + {n}; }", "6 + 1; }", "edit: replace: expected a text with {n}"),
        ('"answer: 6 + {n}"', '"answer: 7"', "edit: answer: expected one line"),
        ('"cyber-dojo.sh"', '"build.sh"', "files: cyber-dojo.sh is missing"),
        ('"extra/notes.txt"', '"/etc/notes.txt"', "files: '/etc/notes.txt': expected a path"),
        ('"not executable"', "755", "files: extra/notes.txt: expected a text"),
        ("[source]", "[sources]", "sources is unknown"),
        ("[edit]", "[source.edit]", "source: edit is unknown"),
    ],
)
def test_a_bad_recipe_is_refused_in_one_line_with_the_place(
    tmp_path: Path, good: str, bad: str, complaint: str
) -> None:
    assert good in TINY
    with pytest.raises(UsageError) as refusal:
        parsed(tmp_path, TINY.replace(good, bad, 1))
    message = str(refusal.value)
    assert message.startswith(f"{tmp_path / 'tiny.toml'}: ")
    assert complaint in message
    assert "\n" not in message


def test_an_unknown_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"lua6\.toml: No such file"):
        load_recipe(tmp_path / "lua6.toml")


def test_edits_are_numbered(tmp_path: Path) -> None:
    recipe = parsed(tmp_path)

    assert edit(recipe, b"a { return 6; } \xff", 1) == TreeEdit(
        "lib/six.c", b"a { return 6 + 1; } \xff", "answer: 6 + 1"
    )
    assert edit(recipe, b"{ return 6; }", 12) == TreeEdit(
        "lib/six.c", b"{ return 6 + 12; }", "answer: 6 + 12"
    )


@pytest.mark.parametrize("original", [b"", b"{ return 6; }{ return 6; }"])
def test_an_edit_needs_exactly_one_place(tmp_path: Path, original: bytes) -> None:
    with pytest.raises(
        UsageError, match=r"recipe tiny: edit\.find occurs [02] times in lib/six\.c, not once"
    ):
        edit(parsed(tmp_path), original, 1)


def test_a_tree_is_the_wanted_folder_and_the_supplied_files(tmp_path: Path) -> None:
    tree: SourceTree = RecipeTree(parsed(tmp_path), packed(tmp_path / "sdist"))
    tree.write(tmp_path / "tree")

    assert files(tmp_path / "tree") == {"lib/six.c", "docs.c", "cyber-dojo.sh", "extra/notes.txt"}
    assert (tmp_path / "tree" / "cyber-dojo.sh").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "tree" / "extra" / "notes.txt").stat().st_mode & 0o777 == 0o644
    assert tree.edit(3) == TreeEdit(
        "lib/six.c", b"int six(void) { return 6 + 3; }\n", "answer: 6 + 3"
    )


def test_a_recipe_that_does_not_fit_its_sdist_is_refused(tmp_path: Path) -> None:
    recipe, sdist = parsed(tmp_path), packed(tmp_path / "sdist")

    elsewhere = replace(recipe, source=replace(recipe.source, folder="src/huge"))
    with pytest.raises(UsageError, match="recipe tiny: the sdist has no folder src/huge"):
        write_tree(elsewhere, sdist, tmp_path / "tree")
    misdirected = replace(recipe, change=replace(recipe.change, path="lib/seven.c"))
    with pytest.raises(UsageError, match=r"recipe tiny: edit\.path: no file lib/seven\.c"):
        RecipeTree(misdirected, sdist).edit(1)


def linked(name: str, kind: bytes, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    ("hostile", "reason"),
    [
        ({"tiny_c-1.0/src/tiny/../../outside": b"of a path"}, "lies outside its folder"),
        (
            {"tiny_c-1.0/src/tiny/lib/../../../outside": b"of a deeper path"},
            "lies outside its folder",
        ),
        ({"a": linked("tiny_c-1.0/src/tiny/way", tarfile.SYMTYPE, "..")}, "way is neither a file"),
        (
            {"a": linked("tiny_c-1.0/src/tiny/hard", tarfile.LNKTYPE, "/etc/passwd")},
            "hard is neither a file",
        ),
        ({"a": linked("tiny_c-1.0/src/tiny/pipe", tarfile.FIFOTYPE, "")}, "pipe is neither a file"),
    ],
)
def test_an_sdist_cannot_write_outside(
    tmp_path: Path, hostile: Mapping[str, bytes | tarfile.TarInfo], reason: str
) -> None:
    sdist = packed(tmp_path / "sdist", {**MEMBERS, **hostile})
    with pytest.raises(TreeError, match=reason):
        write_tree(parsed(tmp_path), sdist, tmp_path / "below" / "tree")
    assert files(tmp_path) <= {"sdist", "tiny.toml", "below/tree/lib/six.c", "below/tree/docs.c"}


def test_a_torn_sdist_is_refused(tmp_path: Path) -> None:
    sdist = packed(
        tmp_path / "sdist", MEMBERS | {"tiny_c-1.0/src/tiny/big.c": bytes(range(256)) * 4096}
    )
    sdist.write_bytes(sdist.read_bytes()[:-2000])
    with pytest.raises(TreeError, match="cannot write tiny from"):
        write_tree(parsed(tmp_path), sdist, tmp_path / "tree")


def test_an_sdist_is_fetched_once_and_again_if_torn(tmp_path: Path) -> None:
    download = Downloads(packed(tmp_path / "sdist"))
    recipe, cache = fitting(parsed(tmp_path), download.sdist), tmp_path / "some" / "cache"
    reports: list[str] = []

    kept = fetch(recipe.source, cache, reports.append, download)
    assert fetch(recipe.source, cache, reports.append, download) == kept
    assert kept.read_bytes() == download.sdist.read_bytes()
    assert download.count == 1
    assert reports == ["fetching tiny-c 1.0"]

    kept.write_bytes(kept.read_bytes()[:-1])
    assert fetch(recipe.source, cache, reports.append, download) == kept
    assert kept.read_bytes() == download.sdist.read_bytes()
    assert download.count == 2
    assert reports[1] == f"{kept} is damaged; it will be fetched again"
    assert list(cache.iterdir()) == [kept]


def test_an_sdist_with_another_checksum_is_not_kept(tmp_path: Path) -> None:
    download = Downloads(packed(tmp_path / "sdist"))
    with pytest.raises(
        TreeError, match=r"tiny-c 1\.0 has the SHA-256 [0-9a-f]+, but the recipe wants 0+"
    ):
        fetch(parsed(tmp_path).source, tmp_path / "cache", lambda _: None, download)
    assert files(tmp_path / "cache") == set()


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, no folder")
    with pytest.raises(TreeError, match=r"cannot keep tiny-c 1\.0 in the cache"):
        fetch(
            parsed(tmp_path).source,
            tmp_path / "cache",
            lambda _: None,
            Downloads(tmp_path / "none"),
        )


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip is configured, as a user would, to take distributions from instead of an
    index.
    """
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_pip_fetches_as_configured_and_runs_nothing_of_the_sdist(
    tmp_path: Path, shelf: Path
) -> None:
    sdist = packed(shelf / "tiny-c-1.0.tar.gz")
    recipe = fitting(parsed(tmp_path), sdist)
    assert pip_download(recipe.source, tmp_path).read_bytes() == sdist.read_bytes()


def test_pip_refuses_an_sdist_with_another_checksum(tmp_path: Path, shelf: Path) -> None:
    packed(shelf / "tiny-c-1.0.tar.gz")
    with pytest.raises(
        TreeError, match=r"pip cannot fetch tiny-c 1\.0: ERROR: .*DO NOT MATCH THE HASHES"
    ):
        pip_download(parsed(tmp_path).source, tmp_path)


def test_an_index_out_of_reach_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")  # discard: nobody listens
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(
        TreeError, match=r"pip cannot fetch tiny-c 1\.0: no answer from the package index"
    ):
        pip_download(parsed(tmp_path).source, tmp_path)


def last_line(folder: Path) -> str:
    """What cyber-dojo.sh prints last."""
    run = subprocess.run(
        ["./cyber-dojo.sh"], cwd=folder, capture_output=True, text=True, check=True
    )
    return run.stdout.splitlines()[-1]


def objects(folder: Path) -> set[tuple[str, int]]:
    return {
        (path.relative_to(folder).as_posix(), path.stat().st_mtime_ns)
        for path in folder.rglob("*.o")
    }


@pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("make")), reason="needs gcc and make")
@pytest.mark.parametrize("name", ["lua", "zstd"])
def test_a_real_project_builds_and_an_edit_recompiles_one_object(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(RECIPES / f"{name}.toml")
    try:
        tree = RecipeTree(recipe, fetch(recipe.source, tmp_path / "cache", print))
    except TreeError as error:
        if "no answer from the package index" not in str(error):
            raise
        pytest.skip(str(error))
    folder = tmp_path / name
    tree.write(folder)

    assert last_line(folder) == tree.answer
    for number in (1, 2):
        known, before = tree.edit(number), objects(folder)
        (folder / known.path).write_bytes(known.content)
        assert last_line(folder) == known.answer
        assert [path for path, _ in objects(folder) - before] == [
            Path(known.path).with_suffix(".o").as_posix()
        ]
