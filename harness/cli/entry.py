"""The command line: parses, calls, prints, and turns every error into one line and an exit status."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import NoReturn

from harness.cli.options import USAGE
from harness.inside.errors import HarnessError
from harness.report.plain import shown

COMMANDS = (
    "compare",
    "scale",
    "load",
    "gate",
    "history",
    "verify",
    "soak",
    "run",
    "katas",
    "report",
    "plot",
    "export",
    "doctor",
    "image",
    "clean",
)
"""The commands, each the module of its name, in the order of the help."""

BROKEN = 70
"""Exit status of a mistake in the harness itself, as sysexits(3) has it: 1 means a verdict."""

SIGNALLED = 128
"""The exit status of what a signal stopped is its number and this, as shells have it."""


class Terminated(BaseException):
    """SIGTERM came, which time-outs and CI systems send, or SIGHUP, of a terminal that is gone; like ctrl-C it unwinds
    everything, so that all is tidied up. Its one argument is the signal's number.
    """


def main(arguments: Sequence[str] | None = None) -> int:  # noqa: PLR0911 - each end has its status
    """The console script `harness`; returns the exit status."""
    _fill_streams()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # not under nohup
            signal.signal(signal.SIGHUP, _terminate)
    try:
        # What the parser imports takes a moment, in which ctrl-C may come.
        parsed = make_parser().parse_args(arguments)
        status: int = parsed.command_function(parsed)
    except HarnessError as error:
        for note in getattr(error, "__notes__", ()):
            print(shown(note), file=sys.stderr)
        _say(str(error))
        return USAGE
    except KeyboardInterrupt:
        _say("interrupted; everything that was started has been tidied up")
        return SIGNALLED + signal.SIGINT
    except Terminated as ended:
        with contextlib.suppress(OSError):  # the terminal may be what is gone
            _say("terminated; everything that was started has been tidied up")
        return SIGNALLED + int(ended.args[0])
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone, and would be told so in a traceback
        return 0
    except OSError as error:
        _say(f"{os.fsdecode(error.filename or 'the output')}: {error.strerror or error}")
        return USAGE
    except Exception:
        sys.stderr.write(shown(traceback.format_exc()))
        _say("this is a mistake of the harness, not yours; please report what stands above")
        return BROKEN
    return status


def _fill_streams() -> None:
    """Where this was started with a standard stream closed, as some services do, what goes there goes nowhere: else the next
    file that is opened would take its number, and get what is printed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
            os.set_inheritable(number, True)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115


def _say(line: str) -> None:
    """The one line of an error."""
    print(f"harness: {shown(line)}", file=sys.stderr)


def _terminate(number: int, frame: object) -> None:
    raise Terminated(number)


class Parser(argparse.ArgumentParser):
    """One that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {shown(message)}; see {self.prog} --help\n")


def make_parser() -> argparse.ArgumentParser:
    """That of `harness`, with one for each of the COMMANDS."""
    parser = Parser(
        prog="harness",
        description="How should a source tree travel into a container and back? Proofs and measurements.",
    )
    parser.add_argument(
        "--version", action="version", version=f"harness {version('tarpipe-harness')}"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for each in COMMANDS:
        import_module(f"harness.cli.{each}").add(commands)
    return parser
