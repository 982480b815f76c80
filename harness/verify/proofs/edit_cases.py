"""Cases of the property *edits* that take more than a project and its stamps."""

from __future__ import annotations

import time

from harness.inside.errors import HarnessError
from harness.katas import commits
from harness.katas.visible import VisibleFiles
from harness.verify.proofs.shared.player_folders import twin_folders, write_file_at
from harness.verify.proofs.shared.subject import SECONDS, Subject, complete
from harness.verify.proofs.shared.verdict import Refuted

_SECOND = 10**9


def _travels(subject: Subject) -> None:
    """Empty folders travel; ignored files, and a repository inside the tree, do not."""
    with twin_folders() as (folder, _), subject.runner() as runner:
        write_file_at(folder / "cyber-dojo.sh", b"#!/bin/sh\nfind . -mindepth 1 | sort\n", None)
        for path in ("empty/in", "nested/.git"):
            (folder / path).mkdir(parents=True)
        for name in (".gitignore", "ignored.o", "nested/.git/HEAD", "nested/file"):
            write_file_at(folder / name, b"*.o\n", None)
        run = complete(runner, subject.avatar(), VisibleFiles.from_folder(folder))
        wanted = [
            "./.gitignore",
            "./cyber-dojo.sh",
            "./empty",
            "./empty/in",
            "./nested",
            "./nested/file",
        ]
        if run.stdout.splitlines() != wanted:
            raise Refuted(f"there came {run.stdout.split()}, not {wanted}")


def _frozen(subject: Subject) -> None:
    """What was sent is kept, whatever happens to the player's folder during the run."""
    with twin_folders() as (folder, _), subject.runner() as runner:
        write_file_at(folder / "cyber-dojo.sh", b"#!/bin/sh\ncat source\n", None)
        write_file_at(folder / "source", b"1\n", None)
        avatar = subject.avatar()

        def while_it_runs(output: object) -> None:
            write_file_at(folder / "source", b"22\n", None)
            (folder / "cyber-dojo.sh").unlink()

        try:
            run = runner.run(
                avatar,
                VisibleFiles.from_folder(folder),
                max_seconds=SECONDS,
                on_output=while_it_runs,
            )
        except HarnessError as error:
            raise Refuted(f"it was refused: {error}") from error
        if run.tag != 1:
            raise Refuted(f"a test event was {run.outcome}: {run.reason}")
        with runner.katas.history(avatar) as history:
            kept = commits.read_commit(history, 1).files
        if kept.get(b"source") != b"1\n" or b"cyber-dojo.sh" not in kept:
            raise Refuted(f"tag 1 holds {kept!r}, and the run printed {run.stdout!r}")


def _same_second(subject: Subject) -> None:
    """A program that compares whole seconds and sizes, as Python does, sees a quick edit."""
    with subject.runner() as runner:
        avatar = subject.avatar()
        script = "#!/bin/sh\nexec python3 main.py\n"
        for number in range(8):
            files: dict[str, str | bytes] = {
                "cyber-dojo.sh": script,
                "main.py": "import one\n",
                "one.py": f"print({number})\n",
            }
            run = complete(runner, avatar, files)
            if run.status == 127:
                # Without Python, nothing in the image looks at whole seconds.
                return
            if run.stdout != f"{number}\n":
                raise Refuted(
                    f"the edit {number} within the second of the one before gave {run.stdout!r}"
                )


def _left_out(subject: Subject) -> None:
    """What is excluded after it was sent stays while the player has it, and goes with it."""
    with twin_folders() as (folder, _), subject.runner() as runner:
        avatar = subject.avatar()
        write_file_at(folder / "cyber-dojo.sh", b"#!/bin/sh\ncat source old 2>/dev/null\n", None)
        write_file_at(folder / "source", b"source\n", None)
        write_file_at(folder / "old", b"old\n", None)

        def play(*exclude: str) -> str:
            files = VisibleFiles.from_folder(folder, exclude=exclude)
            return complete(runner, avatar, files).stdout

        play()
        play("old")
        (folder / "old").unlink()
        for exclude in (("old",), ()):
            if (printed := play(*exclude)) != "source\n":
                raise Refuted(f"a file that was excluded, then removed, is still used: {printed!r}")


_CACHED = {
    "cyber-dojo.sh": b"#!/bin/sh\nmake -s 2>&1; cat product\n",
    "Makefile": b"product: source header\n\tcat source header >product\n"
    b"header: Makefile\n\techo header >header\n",
    "source": b"source\n",
}
"""A project whose run makes a header, and of both a product."""


def _out_of_a_cache(subject: Subject) -> None:
    """A product from elsewhere is older than a header that a run made, and than a fresh clone."""
    now = time.time_ns()
    for case, cached, cloned in (
        ("a header that a run made", now - 50 * _SECOND, None),
        ("a fresh clone", now - 90 * _SECOND, now - 20 * _SECOND),
    ):
        with twin_folders() as (folder, _), subject.runner() as runner:
            avatar = subject.avatar()
            for name, content in _CACHED.items():
                write_file_at(folder / name, content, now - 100 * _SECOND)
            complete(runner, avatar, VisibleFiles.from_folder(folder))
            write_file_at(folder / "product", b"other\n", cached)
            for name, content in _CACHED.items():
                if cloned is not None:
                    write_file_at(folder / name, content, cloned)
            run = complete(runner, avatar, VisibleFiles.from_folder(folder))
            if run.stdout != "source\nheader\n":
                raise Refuted(f"a product out of a cache hides {case}: {run.stdout!r}")


EDIT_CASES = {
    "what is left out and then removed": _left_out,
    "a product out of a cache": _out_of_a_cache,
    "what travels": _travels,
    "the folder changes while the run goes on": _frozen,
    "Python within the same second": _same_second,
}
