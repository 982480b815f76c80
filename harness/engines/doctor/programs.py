"""Examine the programs of this machine: what each is for, and whether it works."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from harness.engines.doctor.finding import Finding, install_command, softly, toolchain
from harness.engines.doctor.round_trip import exact_pipe, flavour
from harness.engines.guest.environment import PATH
from harness.inside.errors import StreamCut

_PROGRAM = '#include <stdio.h>\nint main(void) { return puts("hello") < 0; }\n'

_SECONDS = 30

TOOL_PATH = PATH
"""The PATH of the local engine's runs, which is not the user's own."""


def examine() -> tuple[Finding, ...]:
    """Examine the tar-pipe's tar, what the local engine builds with, and git."""
    return (
        softly("tar", _tar),
        softly("gcc", _gcc),
        softly("make", _make),
        softly("git", _git),
    )


def _tar() -> Finding:
    if not shutil.which("tar"):
        return Finding(
            "tar", "missing", "not installed", "Nothing can be piped.", install_command("tar")
        )
    name = flavour(_say("tar", "--version"))
    try:
        changed = exact_pipe()
    except StreamCut as error:
        changed, name = ("the whole tree",), f"{name} ({error})"
    if changed:
        return Finding(
            "tar",
            "missing",
            f"{name} did not bring back as they went: {', '.join(changed)}",
            "It cuts stamps to whole seconds, so builds miss edits and go stale.",
            f"GNU tar: {install_command('tar')}",
        )
    return Finding(
        "tar",
        "good",
        f"{name} keeps nanoseconds, with --format=posix at both ends (its default cuts them)",
    )


def _gcc() -> Finding:
    why = "The local engine builds C with it. Docker does not need it: its image has one."
    gcc = shutil.which("gcc", path=TOOL_PATH)
    cure = toolchain()
    if not gcc:
        return Finding("gcc", "missing", "not installed", why, cure)
    version = _say(gcc, "-dumpfullversion", "-dumpversion").strip()
    with tempfile.TemporaryDirectory(prefix="harness-doctor-") as folder:
        source, program = Path(folder, "hello.c"), Path(folder, "hello")
        source.write_text(_PROGRAM)
        done = _run(gcc, "-o", str(program), str(source))
    if done.returncode:
        reason = next(
            (line for line in done.stderr.splitlines() if "error" in line), "it gave no reason"
        )
        return Finding(
            "gcc", "missing", f"gcc {version} cannot build a program: {reason}", why, cure
        )
    return Finding("gcc", "good", f"gcc {version} compiles and links")


def _make() -> Finding:
    make = shutil.which("make", path=TOOL_PATH)
    if not make:
        why = "The local engine builds with it. Docker does not need it: its image has one."
        return Finding("make", "missing", "not installed", why, install_command("make"))
    said = _say(make, "--version")
    if "GNU Make" not in said:
        return Finding(
            "make", "fair", f"{make} is not GNU make", "The typical tree's Makefile needs GNU make."
        )
    return Finding("make", "good", said.partition("\n")[0].strip())


def _git() -> Finding:
    why = "Optional, to look at histories; the harness writes them without it."
    if not shutil.which("git"):
        return Finding("git", "fair", "not installed", why, install_command("git"))
    return Finding("git", "good", _say("git", "--version").strip(), why)


def _say(*command: str) -> str:
    done = _run(*command)
    return done.stdout or done.stderr


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        timeout=_SECONDS,
        check=False,
    )
