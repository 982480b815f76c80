"""Bad input: one clear line, exit status 2, nothing lost, no traceback."""

from __future__ import annotations

import argparse
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.cli import main
from harness.engines.folders import sandboxes_home
from harness.engines.owner import OWNER_LABEL
from harness.inside.folder_katas import FolderKatas
from harness.inside.layout import STORE

NOWHERE = "unix:///nonexistent/docker.sock"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree that can be played."""
    folder = tmp_path / "tree"
    folder.mkdir()
    script = folder / "cyber-dojo.sh"
    script.write_text("#!/bin/sh\necho hello\n")
    script.chmod(0o755)
    (folder / "a.c").write_text("int a;\n")
    return folder


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a command is refused with."""
    assert main(arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("harness: ")
    assert sum(line.startswith("harness: ") for line in lines) == 1
    return lines[-1]


def test_no_engine(
    tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says where it looked, and what to do."""
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)
    line = refused(capsys, "run", str(tree), "--engine", "docker")
    assert NOWHERE in line
    assert "DOCKER_HOST" in line


def test_an_image_that_the_engine_cannot_show(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "the image alpine takes bubblewrap" in refused(
        capsys, "run", str(tree), "--engine", "local-plain", "--image", "alpine"
    )


def test_a_tree_that_does_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no folder" in refused(
        capsys, "run", str(tmp_path / "none"), "--engine", "local"
    )
    line = refused(capsys, "compare", "--tree", "no-such-tree", "--engine", "local")
    assert "typical" in line
    assert "lua" in line


def test_a_tree_without_a_name(
    tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from a variable that is not set: that is not the folder where one is."""
    monkeypatch.chdir(tree)
    assert "name of the folder is empty" in refused(capsys, "run", "", "--engine", "local")
    line = refused(capsys, "compare", "--tree", "", "--edit", "a.c", "--engine", "local")
    assert "there is no tree without a name; give a folder" in line


def test_the_whole_machine(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody waits until all of it is read."""
    for name in ("/", "//", "/usr/.."):
        assert "/ is the whole machine" in refused(capsys, "run", name, "--engine", "local")


@pytest.mark.parametrize("katas", [".", "../tree", "link"])
def test_katas_that_would_be_the_tree_itself(
    tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, katas: str
) -> None:
    """They would be sent with each press, and double. Nothing is written."""
    monkeypatch.chdir(tree)
    (tree / "link").symlink_to(".")
    before = sorted(tree.iterdir())
    command = ("run", ".", "--engine", "local", "--runner", "tmp", "--katas", katas)
    assert ". is a folder of katas" in refused(capsys, *command)
    assert sorted(tree.iterdir()) == before
    (tree / STORE).touch()
    assert ". is a folder of katas" in refused(capsys, "run", ".", "--engine", "local")


def test_a_tree_that_is_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert "is empty" in refused(capsys, "run", str(tmp_path / "empty"), "--engine", "local")


def test_a_tree_without_its_command(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "cyber-dojo.sh").unlink()
    assert "no cyber-dojo.sh" in refused(capsys, "run", str(tree), "--engine", "local")
    arguments = (
        "compare",
        "--tree",
        str(tree),
        "--edit",
        "a.c",
        "--engine",
        "local",
        "--out",
        "r.jsonl",
    )
    assert "no cyber-dojo.sh" in refused(capsys, *arguments)
    assert not Path("r.jsonl").exists()


def test_a_command_that_is_no_program(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Found before anything is played."""
    (tree / "cyber-dojo.sh").chmod(0o644)
    assert "chmod +x" in refused(capsys, "run", str(tree), "--engine", "local")
    arguments = (
        "compare",
        "--tree",
        str(tree),
        "--edit",
        "a.c",
        "--engine",
        "local",
        "--out",
        "r.jsonl",
    )
    assert "chmod +x" in refused(capsys, *arguments)
    assert not Path("r.jsonl").exists()


def test_an_edit_that_names_no_file(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("compare", "--tree", str(tree), "--engine", "local")
    assert "has no file" in refused(capsys, *arguments, "--edit", "b.c")
    assert "has no file" in refused(capsys, *arguments, "--edit", "../tree/a.c/")
    assert "--edit FILE" in refused(capsys, *arguments)
    (tree / "link.c").symlink_to("a.c")
    assert "link.c is a symlink" in refused(capsys, *arguments, "--edit", "link.c")
    assert "edits of its own" in refused(capsys, "compare", "--tree", "typical", "--edit", "a.c")


def test_parameters_of_the_typical_tree(capsys: pytest.CaptureFixture[str]) -> None:
    assert "size" in refused(capsys, "compare", "--tree", "typical:size=1", "--engine", "local")


def test_a_tree_of_nothing_that_can_be_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was left out says why."""
    (tmp_path / "passwd").symlink_to("/etc/passwd")
    said = refused(capsys, "run", str(tmp_path), "--engine", "local")
    assert "is empty; left out: passwd (points out of the tree)" in said


def test_a_kata_id_and_an_avatar_that_are_none(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("run", str(tree), "--engine", "local")
    for kata in ("123", "lowercase0", "../../../..", "0123456789A"):
        assert "10 of 0-9 and A-Z" in refused(capsys, *arguments, "--kata", kata)
    assert "is not an avatar's name" in refused(capsys, *arguments, "--avatar", "../lion")


def test_an_avatar_that_does_not_exist(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    katas = ("--katas", str(tmp_path / "katas"), "--engine", "local")
    assert "there is no folder" in refused(capsys, "katas", "list", *katas)
    played = main(
        (
            "run",
            str(tree),
            "--runner",
            "katas-volume",
            *katas,
            "--kata",
            "0123456789",
            "--avatar",
            "lion",
        )
    )
    assert played == 0
    capsys.readouterr()
    assert "no avatar 0123456789/tiger" in refused(
        capsys, "katas", "show", "0123456789", "tiger", *katas
    )
    assert "no avatar ABCDEFGHIJ/lion" in refused(
        capsys, "katas", "diff", "ABCDEFGHIJ", "lion", "0", "1", *katas
    )
    assert "no kata ABCDEFGHIJ" in refused(capsys, "katas", "download", "ABCDEFGHIJ", *katas)
    assert "no tag 7" in refused(capsys, "katas", "show", "0123456789", "lion", "7", *katas)
    for folder in (".", "", "/", str(tmp_path)):
        line = refused(capsys, "katas", "download", "0123456789", "--out", folder, *katas)
        assert "is a folder" in line
    for place in ("", "volume:"):
        assert "is empty" in refused(capsys, "katas", "list", "--katas", place)
    assert not list(tmp_path.glob("*.tgz"))


def test_a_runner_that_does_not_exist(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, "run", str(tree), "--runner", "none", "--engine", "local")
    assert "katas-data-container" in line


def test_katas_in_the_wrong_kind_of_place(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("run", str(tree), "--engine", "local")
    assert "in a folder" in refused(capsys, *arguments, "--runner", "tmp", "--katas", "volume:x")
    for place in ("/some/folder", "", "bare-name"):
        assert "in a volume: give volume:NAME" in refused(capsys, *arguments, "--katas", place)
    for place in ("volume:", "volume:a/b", "volume:.."):
        assert "is not a volume's name" in refused(capsys, *arguments, "--katas", place)


def test_a_command_that_is_empty(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "the command is empty" in refused(
        capsys, "run", str(tree), "--engine", "local", "--command", " "
    )


def test_a_file_that_is_too_large(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused before anything is copied."""
    with (tree / "large").open("wb") as file:
        file.truncate(600 << 20)
    assert "the limit of a file" in refused(capsys, "run", str(tree), "--engine", "local")


def test_an_output_that_cannot_be_written() -> None:
    """A full disk behind stdout is one line too."""
    with Path("/dev/full").open("wb", buffering=0) as full:
        done = subprocess.run(
            [sys.executable, "-m", "harness", "clean", "--dry-run"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert b"Traceback" not in done.stderr
    assert done.returncode == 2


def test_a_result_that_would_be_written_over(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r.jsonl"
    out.write_text("mine")
    arguments = (
        "compare",
        "--tree",
        str(tree),
        "--edit",
        "a.c",
        "--engine",
        "local",
        "--out",
        str(out),
    )
    assert "already exists" in refused(capsys, *arguments)
    assert out.read_text() == "mine"


def test_no_permission(tree: Path, tmp_path: Path) -> None:
    """Katas that cannot be written, as a user who is not root."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else for this test")
    katas = tmp_path / "locked"
    katas.mkdir(mode=0o700)
    for each in (tmp_path, *tmp_path.parents):
        if each.stat().st_mode & 0o005 != 0o005 and each.is_relative_to("/tmp"):
            each.chmod(each.stat().st_mode | 0o055)
    command = [
        sys.executable,
        "-m",
        "harness",
        "run",
        str(tree),
        "--runner",
        "tmp",
        "--katas",
        str(katas),
    ]
    become = ["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups"]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "HARNESS_HOME": str(tmp_path / "h"),
    }
    done = subprocess.run(
        [*become, *command, "--engine", "local"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Permission denied" in done.stderr.splitlines()[-1]


def test_no_space(tree: Path, tmp_path: Path) -> None:
    """Katas on a disk that is full; what was there before is there afterwards."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk for this test")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False
    ).returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")
    try:
        (tree / "large").write_bytes(os.urandom(100_000))
        command = [sys.executable, "-m", "harness", "run", str(tree), "--runner", "katas-volume"]
        command += ["--katas", str(disk), "--engine", "local"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2, done.stderr
        assert "No space left on device" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(
    ("number", "status", "said"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 129, "terminated"),
    ],
)
def test_an_interruption(
    number: signal.Signals, status: int, said: str, tree: Path, tmp_path: Path
) -> None:
    """By ctrl-C, or by what time-outs and CI systems send: everything that was started is gone."""
    (tree / "cyber-dojo.sh").write_text("#!/bin/sh\ntouch started\nsleep 1234\n")
    command = [
        sys.executable,
        "-m",
        "harness",
        "run",
        str(tree),
        "--runner",
        "katas-volume",
        "--engine",
        "local",
    ]
    command += ["--katas", str(tmp_path / "katas"), "--max-seconds", "60"]
    child = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        # Whatever the shell that started this ignores, as one does for what it starts in the
        # background.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # noqa: PLW1509
    )
    deadline = time.monotonic() + 30
    while not list((tmp_path / "katas").glob("*/*/lion/sandbox/started")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child.send_signal(number)
    _, err = child.communicate(timeout=30)
    assert child.returncode == status
    assert err.strip().splitlines()[-1].startswith(f"harness: {said}")
    owners = [each.read_text() for each in sandboxes_home().glob(f"*/{OWNER_LABEL}")]
    assert not [owner for owner in owners if f"/{child.pid}/" in owner]
    assert (
        subprocess.run(["pgrep", "-f", "^sleep 1234$"], capture_output=True, check=False).returncode
        == 1
    )


def test_an_interruption_while_the_program_is_read() -> None:
    """Which takes most of a second: one line, and no traceback."""
    program = (
        "import sys, harness.cli\n"
        "class Interrupts:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'harness.cli.entry': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupts())\n"
        "sys.exit(harness.cli.main(['doctor']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (
        130,
        "harness: interrupted before anything was started\n",
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_standard_stream_that_is_closed(closed: str, tree: Path, tmp_path: Path) -> None:
    """As some services start what they start: it is played, and what is printed gets into no
    file.
    """
    katas = tmp_path / "katas"
    command = [
        sys.executable,
        "-m",
        "harness",
        "run",
        str(tree),
        "--engine",
        "local",
        "--katas",
        str(katas),
    ]
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", *command, "--runner", "katas-volume"]
    for _ in range(2):
        done = subprocess.run(shell, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert [event.tag for event in FolderKatas(katas).list().popitem()[1]["lion"]] == [1, 2]


def test_a_locale_of_ascii_alone(tree: Path, tmp_path: Path) -> None:
    """Python takes each text for such then, unless it is told: what the harness sends to a keeper
    is not.
    """
    command = [
        sys.executable,
        "-m",
        "harness",
        "run",
        str(tree),
        "--engine",
        "local",
        "--runner",
        "katas-data-container",
    ]
    ascii_alone = {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "HARNESS_HOME": str(tmp_path / "home"),
    }
    done = subprocess.run(
        command, env={**os.environ, **ascii_alone}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_mistake_of_the_harness_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1 means refuted or regressed."""

    def broken(arguments: Sequence[str]) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("harness.cli.entry.make_parser", broken)
    assert main(["gate"]) == 70
    assert "ZeroDivisionError\nharness: this is a bug in the harness" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", "--blocks", "0"],
        ["run"],
        ["nothing"],
        ["run", ".", "--max-seconds", "-1"],
        ["run", ".", "--max-seconds", "1e9"],
    ],
)
def test_a_usage_error_is_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A number that is none, a missing argument, an unknown command."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("harness")
    assert said.endswith(" --help\n")
    assert said.count("\n") == 1


def test_ctrl_c_while_the_program_loads(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, as at any other time."""

    def interrupted(arguments: Sequence[str]) -> argparse.ArgumentParser:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.cli.entry.make_parser", interrupted)
    assert main(["doctor"]) == 130
    assert capsys.readouterr().err.startswith("harness: interrupted")


def test_the_tree_is_only_read(tree: Path) -> None:
    """Not even a stamp of the user's own files changes."""
    before = {path: path.stat() for path in tree.iterdir()}
    assert main(("run", str(tree), "--engine", "local", "--runner", "tmp")) == 0
    after = {path: path.stat() for path in tree.iterdir()}
    assert {path: (found.st_mtime_ns, found.st_ctime_ns) for path, found in before.items()} == {
        path: (found.st_mtime_ns, found.st_ctime_ns) for path, found in after.items()
    }
    assert all(stat.S_ISREG(found.st_mode) for found in after.values())


def test_scenarios_and_pairs_that_cannot_be_measured(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A header that was not named, or is not there; a runner against itself that is not compared at
    all.
    """
    arguments = (
        "compare",
        "--tree",
        str(tree),
        "--edit",
        "a.c",
        "--engine",
        "local",
        "--out",
        "r.jsonl",
    )
    line = refused(capsys, *arguments, "--scenario", "header")
    assert "--edit-header FILE" in line
    assert "has no file" in refused(capsys, *arguments, "--edit-header", "none.h")
    line = refused(capsys, *arguments, "--runner", "tmp", "--aa", "katas-volume")
    assert "is not among the runners to compare: tmp" in line
    assert "edits of its own" in refused(
        capsys, "compare", "--tree", "typical", "--edit-header", "a.h"
    )
    assert not (tmp_path / "r.jsonl").exists()


def test_ctrl_c_inside_an_import_that_turns_it_into_another_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As C extensions do: it is an interruption, and no bug."""

    def interrupted(arguments: Sequence[str]) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as error:
            raise ImportError("numpy could not be imported") from error

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        monkeypatch.setattr("harness.cli.entry.make_parser", interrupted)
        assert main(["doctor"]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err.startswith("harness: interrupted")
