"""The commands as a user types them, on the local engine; what they do to an engine is tested with
the engines.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

import harness
from harness.cli import main
from harness.engines.folders import state_home
from harness.engines.local import engine as local
from harness.engines.local.bubblewrap import bubblewrap_problem
from harness.engines.owner import OWNER_LABEL, TEMPORARY, Owner

LOCAL = ("--engine", "local")
SMALL = "typical:cost=0.1"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree that can be played, whose output is its only source."""
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "cyber-dojo.sh").write_text("#!/bin/sh\nmake -s && cat built; exit 3\n")
    (folder / "cyber-dojo.sh").chmod(0o755)
    (folder / "Makefile").write_text("built: source\n\techo building; cp source built\n")
    (folder / "source").write_text("one\n")
    return folder


def compare(tree: Path, blocks: int, *options: str) -> int:
    """The exit status of a comparison on this tree, recorded in r.jsonl."""
    arguments = (
        "compare",
        "--tree",
        str(tree),
        "--edit",
        "source",
        "--blocks",
        str(blocks),
        "--out",
        "r.jsonl",
    )
    return main((*arguments, *LOCAL, *options))


@pytest.mark.parametrize("command", ["run", "compare"])
def test_where_nothing_isolates_it_plays_and_warns(
    command: str, tree: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless plain processes were asked for by name."""
    monkeypatch.setattr(local, "bubblewrap_problem", lambda: "not here")
    (tree / "cyber-dojo.sh").write_text("#!/bin/sh\nmake -s && cat built\n")
    played = {
        "run": ("run", str(tree)),
        "compare": ("compare", "--tree", str(tree), "--edit", "source", "--blocks", "1"),
    }
    for name, warned in (("local", 1), ("local-plain", 0)):
        out = ("--out", f"{name}.jsonl") if command == "compare" else ()
        assert main((*played[command], "--runner", "tmp", "--engine", name, *out)) == 0
        assert capfd.readouterr().err.count("NOT ISOLATED") == warned


@pytest.mark.parametrize("runner", ["tmp", "katas-volume", "katas-data-container"])
def test_run_plays_a_test_event_and_the_next_one_is_incremental(
    runner: str, tree: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It prints the output, exits with the command's own status, and keeps the katas for the next
    time.
    """
    arguments = ("run", "--runner", runner, *LOCAL, str(tree))
    assert main(arguments) == 3
    out, err = capfd.readouterr()
    assert out == "building\none\n"
    assert "completed, exit status 3, tag 1" in err
    assert "<<RUN>>" in err
    assert main(arguments) == 3
    assert capfd.readouterr().out == ("building\none\n" if runner == "tmp" else "one\n")
    (tree / "source").write_text("two\n")
    assert main(arguments) == 3
    out, err = capfd.readouterr()
    assert out == "building\ntwo\n"
    assert "tag 3" in err


def test_run_tells_what_it_goes_on_from_and_what_it_left_out(
    tree: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Another project may have been at this path before; --fresh begins in an empty sandbox."""
    (tree / ".gitignore").write_text("*.log\n")
    for name in ("a.log", "notes.txt"):
        (tree / name).touch()
    arguments = ("run", *LOCAL, "--exclude", "notes.*", str(tree))
    main(arguments)
    err = capfd.readouterr().err
    assert "left out: a.log (.gitignore); notes.txt (--exclude)" in err
    assert "continues from" not in err
    main(arguments)
    out, err = capfd.readouterr()
    assert out == "one\n"
    assert "continues from tag 1 of" in err
    main((*arguments, "--fresh"))
    out, err = capfd.readouterr()
    assert (out, "continues from" in err, "tag 3" in err) == ("building\none\n", False, True)


def test_run_lets_no_output_command_a_terminal(tree: Path) -> None:
    """But for its colours; in a file it is as it was printed."""
    printed = r"\033[31mred\033[2J\033]0;owned\007"
    (tree / "cyber-dojo.sh").write_text(f"#!/bin/sh\nprintf '{printed}'\n")
    person, terminal = os.openpty()
    command = [sys.executable, "-m", "harness", "run", *LOCAL, str(tree)]
    for out in (terminal, subprocess.PIPE):
        done = subprocess.run(command, stdout=out, stderr=subprocess.DEVNULL, check=True)
    os.close(terminal)
    assert os.read(person, 1000) == b"\x1b[31mred\\x1b[2J\\x1b]0;owned\\x07\x1b[0m\r\n"
    assert done.stdout == b"\x1b[31mred\x1b[2J\x1b]0;owned\x07"
    os.close(person)


def test_run_lists_what_the_run_changed(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """On stderr, since stdout is the program's."""
    main(("run", *LOCAL, "--changes", str(tree)))
    out, err = capfd.readouterr()
    assert (out, err.splitlines()[-1]) == ("building\none\n", "made     built")


def test_run_past_its_limit(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It exits as timeout(1) does, with what was printed until then, and there is no tag."""
    (tree / "cyber-dojo.sh").write_text("#!/bin/sh\necho early; while :; do :; done\n")
    assert main(("run", *LOCAL, "--max-seconds", "0.5", str(tree))) == 124
    out, err = capfd.readouterr()
    assert out == "early\n"
    assert "timed out after 0.5 s" in err


def test_run_tells_of_a_cache_that_is_lost(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """In one line, which says where it belongs; the run is accepted as any other."""
    (tree / "cyber-dojo.sh").write_text("#!/bin/sh\nmkdir -p ~/.cache/compiler && echo built\n")
    assert main(("run", *LOCAL, "--runner", "tmp", str(tree))) == 0
    out, err = capfd.readouterr()
    told = [line for line in err.splitlines() if "the run kept .cache in its HOME" in line]
    assert out == "built\n"
    if bubblewrap_problem():
        assert told == [], "HOME is this machine's own /tmp, and lasts"
    else:
        assert len(told) == 1
        assert "export HOME=$PWD/.home" in told[0]
    (tree / "cyber-dojo.sh").write_text(
        "#!/bin/sh\nexport HOME=$PWD/.home; mkdir -p ~/.cache/compiler\n"
    )
    assert main(("run", *LOCAL, "--runner", "tmp", str(tree))) == 0
    assert "in its HOME" not in capfd.readouterr().err


def test_run_that_is_faulty_says_why(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tree / "cyber-dojo.sh").write_text("#!/no/such/shell\n")
    assert main(("run", *LOCAL, str(tree))) == 2
    assert (
        "the interpreter of ./cyber-dojo.sh, /no/such/shell, is not in the image"
        in capfd.readouterr().err
    )


@pytest.mark.parametrize("runner", ["katas-volume", "katas-data-container"])
def test_katas_lists_what_can_be_read(
    runner: str, tree: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A damaged kata is one line and exit status 2; the others are listed, shown and played."""
    for kata in ("0123456789", "ABCDEFGHIJ"):
        assert (
            main(("run", "--runner", runner, *LOCAL, "--kata", kata, "--avatar", "lion", str(tree)))
            == 3
        )
    [damaged] = state_home().glob("**/AB/CDEFGHIJ/increments.json")
    damaged.write_text("{")
    capfd.readouterr()
    assert main(("katas", "list", *LOCAL)) == 2
    out, err = capfd.readouterr()
    assert "0123456789" in out
    assert ["increments.json is damaged" in line for line in err.splitlines()] == [True]
    assert main(("katas", "show", "0123456789", "lion", *LOCAL)) == 0
    assert main(("katas", "show", "ABCDEFGHIJ", "lion", *LOCAL)) == 2
    assert main(("katas", "download", "ABCDEFGHIJ", *LOCAL)) == 0
    assert main(("katas", "remove", "ABCDEFGHIJ", *LOCAL)) == 2
    assert "(test events: unknown)" in capfd.readouterr().err
    assert main(("katas", "remove", "ABCDEFGHIJ", "--yes", *LOCAL)) == 0
    assert main(("katas", "list", *LOCAL)) == 0
    assert (
        main(
            (
                "run",
                "--runner",
                runner,
                *LOCAL,
                "--kata",
                "0123456789",
                "--avatar",
                "lion",
                str(tree),
            )
        )
        == 3
    )


def test_katas_tells_of_each_that_cannot_be_read(
    tree: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two runners keep a kata of the same id, each in a place of its own: both are damaged, and
    each has its line.
    """
    for runner in ("katas-volume", "katas-data-container"):
        main(
            (
                "run",
                "--runner",
                runner,
                *LOCAL,
                "--kata",
                "ABCDEFGHIJ",
                "--avatar",
                "lion",
                str(tree),
            )
        )
    damaged = list(state_home().glob("**/AB/CDEFGHIJ/increments.json"))
    for each in damaged:
        each.write_text("{")
    capfd.readouterr()
    assert main(("katas", "list", *LOCAL)) == 2
    err = capfd.readouterr().err.splitlines()
    assert len(damaged) == len(err) == 2
    assert all("increments.json is damaged" in line for line in err)


@pytest.mark.parametrize("runner", ["katas-volume", "katas-data-container"])
def test_katas_looks_into_a_store(
    runner: str, tree: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The same in a folder and in a data-container: list, show, diff, download."""
    for content in ("one\n", "two\n"):
        (tree / "source").write_text(content)
        main(
            (
                "run",
                "--runner",
                runner,
                *LOCAL,
                "--kata",
                "0123456789",
                "--avatar",
                "lion",
                str(tree),
            )
        )
    main(
        ("run", "--runner", runner, *LOCAL, "--kata", "0123456789", "--avatar", "tiger", str(tree))
    )
    capfd.readouterr()

    assert main(("katas", "list", *LOCAL)) == 0
    listed = capfd.readouterr().out
    assert "0123456789" in listed
    assert "lion" in listed
    assert "tiger" in listed

    assert main(("katas", "show", "0123456789", "lion", *LOCAL)) == 0
    rows = [line.split()[0] for line in capfd.readouterr().out.splitlines() if "UTC" in line]
    assert rows == ["1", "2"]

    assert main(("katas", "show", "0123456789", "lion", "2", *LOCAL)) == 0
    out = capfd.readouterr().out
    assert out.endswith("building\ntwo\n")
    assert "Makefile" in out

    assert main(("katas", "diff", "0123456789", "lion", "1", "2", *LOCAL)) == 0
    diff = capfd.readouterr().out
    assert "-one\n+two\n" in diff
    assert "Makefile" not in diff

    assert main(("katas", "download", "0123456789", *LOCAL)) == 0
    with tarfile.open(tmp_path / "0123456789.tgz") as archive:
        names = archive.getnames()
    assert {
        "./lion/sandbox/built",
        "./tiger/sandbox/built",
        "./increments.json",
        "./lion/.git/HEAD",
    } <= set(names)
    assert not [name for name in names if name.endswith("lock")]


def test_no_name_is_a_command_for_the_terminal(
    tree: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nor is a reason, or an error: they are shown as what they are. What the player's program
    printed is the player's.
    """
    (tree / "cyber-dojo.sh").write_text("#!/bin/sh\nprintf '\\033[32mgreen\\n'\n")
    (tree / "a\x1b[31m\nb\xff").write_text("one\n")
    run = ("run", "--runner", "katas-volume", *LOCAL, "--kata", "0123456789", str(tree))
    assert main(run) == 0
    assert capfd.readouterr().out == "\x1b[32mgreen\n"
    main(("katas", "show", "0123456789", "lion", "1", *LOCAL))
    out = capfd.readouterr().out
    assert r"a\x1b[31m\nbÿ" in out
    assert out.endswith("\x1b[32mgreen\n")
    (tree / "cyber-dojo.sh").write_text("#!/no/\x1b[31msuch\n")
    for arguments in (
        run,
        ("run", *LOCAL, "no\x1b[31mfolder"),
        ("katas", "list", "--katas", "x\x1b]0;y\x07"),
    ):
        assert main(arguments) == 2
        err = capfd.readouterr().err
        assert r"\x1b" in err
        assert not {"\x1b", "\x07"} & set(err)


@pytest.mark.parametrize("runner", ["katas-volume", "katas-data-container"])
def test_katas_are_removed_when_that_is_said(
    runner: str, tree: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without --yes nothing is, and the status is 2; an avatar goes alone, and a kata with all of
    them.
    """
    for avatar in ("lion", "spider", "tiger"):
        main(
            (
                "run",
                "--runner",
                runner,
                *LOCAL,
                "--kata",
                "0123456789",
                "--avatar",
                avatar,
                str(tree),
            )
        )
    capfd.readouterr()
    for words in (("0123456789",), ("0123456789", "lion")):
        assert main(("katas", "remove", *words, *LOCAL)) == 2
        assert "--yes" in capfd.readouterr().err
    assert main(("katas", "remove", "0123456789", "lion", "--yes", *LOCAL)) == 0
    assert "removed 0123456789/lion from" in capfd.readouterr().err
    assert main(("katas", "show", "0123456789", "lion", *LOCAL)) == 2
    assert main(("katas", "remove", "0123456789", "lion", "--yes", *LOCAL)) == 2
    assert main(("katas", "show", "0123456789", "spider", *LOCAL)) == 0
    assert main(("katas", "remove", "0123456789", "--yes", *LOCAL)) == 0
    assert main(("katas", "show", "0123456789", "spider", *LOCAL)) == 2


def test_katas_in_several_places_are_told_apart(
    tree: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two runners keep histories of their own: neither is taken silently."""
    for runner in ("tmp", "katas-volume"):
        main(("run", "--runner", runner, *LOCAL, "--kata", "0123456789", str(tree)))
    capfd.readouterr()
    assert main(("katas", "show", "0123456789", "lion", *LOCAL)) == 2
    assert "choose one with --katas" in capfd.readouterr().err
    place = str(tree.parent / "home" / "katas" / "tmp")
    assert main(("katas", "show", "0123456789", "lion", "--katas", place, *LOCAL)) == 0


def test_builds_that_fail_are_not_compared(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Bare make's first one is the last, what it printed is shown, and nothing is recorded."""
    script = "#!/bin/sh\necho compiling; printf 'main.c:1: error: \\033[31mno such header\\n' >&2; exit 3\n"
    (tree / "cyber-dojo.sh").write_text(script)
    assert compare(tree, 9, "--runner", "tmp") == 2
    out, err = capfd.readouterr()
    assert err.count("block ") == 1
    assert (
        "compiling\nmain.c:1: error: \\x1b[31mno such header\nharness: bare make fails at its first full build"
        in err
    )
    assert err.endswith("give --command './cyber-dojo.sh || :'\n")
    assert not Path("r.jsonl").exists()
    assert not out


def test_a_status_that_is_no_failure_can_be_said_to_be_none(
    tree: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As the line that refuses it says: tests that fail are no build that failed."""
    assert compare(tree, 1, "--runner", "tmp", "--command", "./cyber-dojo.sh || :") == 0
    assert harness.load_results("r.jsonl")["right"].all()


def test_compare_writes_a_result_and_prints_one_table(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every counter is as it must be; the file can be read back."""
    arguments = (
        "compare",
        "--tree",
        SMALL,
        "--blocks",
        "3",
        "--seed",
        "1",
        "--out",
        "r.jsonl",
        *LOCAL,
    )
    assert main(arguments) == 0
    out, err = capfd.readouterr()
    assert "asked for" in err
    for word in (
        "bare-make",
        "tmp",
        "katas-volume",
        "katas-data-container",
        "files recompiled",
        "mtimes kept",
    ):
        assert word in out
    frame = harness.load_results("r.jsonl")
    assert frame["complete"].all()
    assert frame["right"].all()
    assert (frame["outcome"] == "completed").all()
    incremental = frame[frame["build"] == "incremental"].set_index("runner")
    exact = ["bare-make", "katas-volume", "katas-data-container"]
    assert set(incremental.loc[exact, "recompiled"]) == {1}
    assert set(incremental.loc[exact, "mtimes_changed"]) == {0}
    assert set(incremental.loc["tmp", "recompiled"]) == {24}
    assert set(incremental.loc["tmp", "mtimes_kept"]) == {0}
    assert (incremental.loc["katas-data-container", "bytes_out"] > 1e6).all()
    assert (incremental.loc["katas-volume", "bytes_in"] == 0).all()


def test_compare_on_a_tree_of_the_user_s_own(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Right is what the floor printed, and nothing is left behind."""
    (tree / "cyber-dojo.sh").write_text("#!/bin/sh\nmake -s && wc -l built\n")
    assert compare(tree, 2, "--runner", "katas-volume", "--runner", "tmp") == 0
    assert "katas-data-container" not in capfd.readouterr().out
    frame = harness.load_results("r.jsonl")
    assert frame["right"].all()
    assert sorted(set(frame["answer"])) == ["1 built", "2 built", "3 built"]


def test_compare_counts_what_timed_out(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A build that passes the limit is never dropped."""
    (tree / "cyber-dojo.sh").write_text("#!/bin/sh\nsleep 60\n")
    assert compare(tree, 1, "--runner", "katas-data-container", "--max-seconds", "0.2") == 2
    out = capfd.readouterr().out
    assert "timed out" in out
    assert "raise --max-seconds" in out
    assert (harness.load_results("r.jsonl")["outcome"] == "timed_out").all()


def test_clean_removes_what_a_dead_owner_left_and_nothing_else(
    home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A temporary volume whose process has gone; not the katas that a user keeps, nor those of a
    living process.
    """
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    child = subprocess.run(
        [sys.executable, "-c", "from harness.engines.owner import Owner; print(Owner.current())"],
        capture_output=True,
        text=True,
        check=True,
    )
    for name, owner, temporary in (
        ("dead", child.stdout, True),
        ("kept", child.stdout, False),
        ("odd", "me", True),
    ):
        (home / "volumes" / name).mkdir(parents=True)
        (home / "volumes" / name / OWNER_LABEL).write_text(owner.strip())
        if temporary:
            (home / "volumes" / name / TEMPORARY).touch()
    assert main(("clean", "--dry-run")) == 0
    assert f"would remove volume {home / 'volumes' / 'dead'}" in capfd.readouterr().out
    assert (home / "volumes" / "dead").exists()
    assert main(("clean",)) == 0
    assert sorted(each.name for each in (home / "volumes").iterdir()) == ["kept", "odd"]


def test_clean_tells_what_it_leaves_alone_and_why(
    home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line for each reason, however much there is of it; that is no reason to fail."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("harness.engines.local.leftovers.owners", lambda: ())
    elsewhere = replace(Owner.current(), namespaces="1-1")
    earlier = replace(Owner.current(), namespaces="", started=1)
    for name, owner in (*((f"v{number:02}", elsewhere) for number in range(10)), ("old", earlier)):
        (home / "volumes" / name).mkdir(parents=True)
        (home / "volumes" / name / OWNER_LABEL).write_text(str(owner))
        (home / "volumes" / name / TEMPORARY).touch()
    assert main(("clean",)) == 0
    out, err = capfd.readouterr()
    assert "nothing to remove" in out
    lines = [line for line in err.splitlines() if str(home) in line]
    assert len(lines) == 2
    assert any("v07 and 2 more: it belongs to another pid namespace" in line for line in lines)
    assert any("old: an earlier version of the harness made it" in line for line in lines)
    assert len(list((home / "volumes").iterdir())) == 11


def test_the_front_page_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    for command in ("compare", "scale", "load", "run", "katas", "doctor", "image", "clean"):
        assert f"\n    {command} " in out
